"""From an entity's regions or sentences to one vector, by a mean whose weights are learned."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmkg.scorers.pooling import ENTITIES_AT_ONCE
from mmkg.types import Features


class AttentionPooling(torch.nn.Module):
    r"""A learned mean, :math:`\sum_i a_i x_i` with :math:`a = \mathrm{softmax}_i(w^\top x_i)`; it starts as the mean.

    Features stay where they are and are read at each use; in training a block's are read anew in the backward pass. For
    losses over all entities this reads them all at every step: use it with sampled negatives, or on small graphs.

    Args:
        features: Features of one modality.
    """

    def __init__(self, features: Features) -> None:
        super().__init__()
        self.features = features
        self.weight = torch.nn.Parameter(torch.zeros(features.shape[2]))

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors ``[n, D]`` of entities ``[n]`` and whether they have the modality ``[n]``."""
        if not len(ids):
            return self.weight.new_zeros(0, len(self.weight)), torch.zeros(0, dtype=torch.bool, device=ids.device)
        parts = [checkpoint(self._read, part, use_reentrant=False) for part in ids.split(ENTITIES_AT_ONCE)]
        vectors, present = zip(*parts, strict=True)
        return torch.cat(vectors), torch.cat(present)

    def _read(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        return self.encode(*self.features.gather(ids))

    def encode(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The same from features ``[n, R, D]`` and mask ``[n, R]`` of any entities."""
        mask = mask.to(self.weight.device)
        values = values.to(self.weight).masked_fill(~mask[..., None], 0.0)  # [n, R, D]
        present = mask.any(1)  # [n]
        logits = (values @ self.weight).masked_fill(~mask & present[:, None], -torch.inf)  # [n, R]
        share = torch.softmax(logits, 1) * present[:, None]  # [n, R]
        return (share[..., None] * values).sum(1), present  # [n, R, D] -> [n, D]
