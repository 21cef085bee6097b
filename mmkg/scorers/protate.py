"""pRotatE: RotatE on entities of one modulus, told apart by their phases alone."""

import math

import torch
from torch import Tensor
from torch.nn import Parameter

from mmkg.scorers.base import uniform_range
from mmkg.scorers.distance import DistanceScorer
from mmkg.scorers.pairs import Parts
from mmkg.types import Side


class PRotatE(DistanceScorer):
    r"""The baseline of `RotatE <https://arxiv.org/abs/1902.10197>`_ (Sun et al., ICLR 2019, section 4.1).

    .. math:: s(h, r, t) = \gamma - 2 C \sum_i \Big\lvert \sin \frac{\theta_{h,i} + \theta_{r,i} - \theta_{t,i}}{2}
        \Big\rvert

    as in the paper; its code leaves out both twos, so that opposite phases coincide there. All embeddings are phases,
    scaled by :math:`(\gamma + 2) / (\pi d)` as in that code, and start uniform on the circle; the modulus :math:`C` is
    learned and starts at :math:`(\gamma + 2) / (2d)`.

    Args:
        num_nodes: Number of entities.
        num_relations: Number of relations.
        hidden_channels: Number of phases ``d``.
        margin: Margin :math:`\gamma`.
        chunk_mb: See :class:`Scorer`.
        reciprocal: See :class:`Scorer`.
    """

    def reset_parameters(self) -> None:
        """Uniform on ±(γ + 2)/d, and half of that for the modulus."""
        super().reset_parameters()
        if not hasattr(self, "scale"):
            self.scale = Parameter(torch.empty(()))
        torch.nn.init.constant_(self.scale, uniform_range(self.margin, self.hidden_channels) / 2)

    def query(self, anchor: Tensor, relation: Tensor, side: Side) -> Tensor:
        """``h + r`` for tails, ``t - r`` for heads, as points on a circle of radius 2C, ``[..., 2d]``."""
        placed = self.place(anchor + relation if side == "tail" else anchor - relation)
        return 2 * self.scale * torch.cat(placed, dim=-1)

    def query_parts(self, query: Tensor) -> Parts:
        """Cosines and sines, ``[..., d]`` each."""
        return query.chunk(2, dim=-1)

    def place(self, candidates: Tensor) -> Parts:
        """Cosines and sines of half the phases, ``[..., d]`` each."""
        half = candidates * (math.pi / 2 / uniform_range(self.margin, self.hidden_channels))
        return half.cos(), half.sin()

    @staticmethod
    def distance(query: Parts, placed: Parts, relation: Parts) -> Tensor:
        """Sum of ``2C |sin((a - b) / 2)|``, ``[...]``, by the addition theorem: no sine is taken for a pair."""
        return (query[1] * placed[0] - query[0] * placed[1]).abs().sum(-1)
