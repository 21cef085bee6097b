"""From an entity's regions or sentences to one vector."""

from __future__ import annotations

import torch
from torch import Tensor

from mmkg.types import Features

ENTITIES_AT_ONCE = 1024  # read from disk together
SCALES = ("channels", "length")


def masked_mean(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean ``[n, D]`` over the real ones of rows ``[n, R, D]``, and whether there are any ``[n]``; zero where not."""
    count = mask.sum(1)  # [n]
    total = values.masked_fill(~mask[..., None], 0.0).sum(1)  # [n, R, D] -> [n, D]
    return total / count.clamp(min=1)[:, None], count > 0


class MeanPooling(torch.nn.Module):
    """The mean of an entity's regions or sentences, taken once and kept in memory, ``[N, D]``.

    Args:
        features: Features of one modality.
        scale: "channels": each channel gets mean 0 and deviation 1 over the entities that have the modality, and those
            that never change are left at zero. "length": all are divided by one number, so that the mean square length
            is 1. None: as they are.

    Raises:
        ValueError: If the scale is none of these.
    """

    def __init__(self, features: Features, *, scale: str | None = None) -> None:
        super().__init__()
        if scale is not None and scale not in SCALES:
            raise ValueError(f"scale {scale!r}: choose one of None, {', '.join(SCALES)}")
        parts = [self.pool(*features.gather(ids)) for ids in torch.arange(len(features.row)).split(ENTITIES_AT_ONCE)]
        pooled, present = (torch.cat(x) for x in zip(*parts, strict=True))  # [N, D], [N]
        mean, deviation = torch.zeros(pooled.shape[1]), torch.ones(pooled.shape[1])
        if scale == "length" and present.any():
            length = pooled[present].square().sum(1).mean().sqrt()
            deviation = torch.full_like(deviation, float(length) or torch.inf)
        elif scale == "channels" and present.any():
            mean = pooled[present].mean(0)
            deviation = pooled[present].std(0, correction=0)
            # a dead channel's deviation is rounding: dividing by it would make noise of the first other value
            deviation[deviation < 1e-6 * deviation.max().clamp(min=1e-30)] = torch.inf
        # statistics are saved, so that an unseen entity is treated alike; features are not: they are on disk already
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.register_buffer("pooled", self.scaled(pooled, present), persistent=False)
        self.register_buffer("present", present, persistent=False)

    def pool(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Rows ``[n, R, D]`` with mask ``[n, R]`` to vectors ``[n, D]`` and whether there is one ``[n]``."""
        return masked_mean(values, mask)

    def scaled(self, pooled: Tensor, present: Tensor) -> Tensor:
        """Vectors ``[n, D]`` on the scale of the statistics, zero where there is none."""
        return ((pooled - self.mean) / self.deviation) * present[:, None]

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors ``[n, D]`` of entities ``[n]`` and whether they have the modality ``[n]``."""
        return self.pooled[ids], self.present[ids]

    def encode(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The same from features ``[n, R, D]`` and mask ``[n, R]`` of entities that the graph does not hold."""
        pooled, present = self.pool(values.to(self.mean), mask.to(self.mean.device))
        return self.scaled(pooled, present), present
