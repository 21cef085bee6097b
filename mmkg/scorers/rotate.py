"""RotatE: a relation is a rotation in the complex plane."""

import math

import torch
from torch import Tensor

from mmkg.scorers.base import length, moduli, uniform_range
from mmkg.scorers.distance import DistanceScorer
from mmkg.scorers.pairs import Parts
from mmkg.types import Side


class RotatE(DistanceScorer):
    r"""`RotatE: Knowledge Graph Embedding by Relational Rotation in Complex Space <https://arxiv.org/abs/1902.10197>`_
    (Sun et al., ICLR 2019).

    .. math:: s(h, r, t) = \gamma - \sum_i \lvert h_i e^{\mathrm{i} \theta_{r,i}} - t_i \rvert

    Entities hold the real parts, then the imaginary parts; relations hold the phases, scaled by
    :math:`(\gamma + 2) / (\pi d)` as in the paper's code. All start uniform on ±(γ + 2)/d, which makes the phases
    uniform on the circle.

    Args:
        num_nodes: Number of entities.
        num_relations: Number of relations.
        hidden_channels: Number of complex components ``d``; entities are twice as wide.
        margin: Margin :math:`\gamma`.
        chunk_mb: See :class:`Scorer`.
        reciprocal: See :class:`Scorer`.
    """

    entity_factor = 2

    def phase(self, relation: Tensor) -> Tensor:
        """Phases ``[..., d]`` in radians of relation embeddings ``[..., d]``."""
        return relation * (math.pi / uniform_range(self.margin, self.hidden_channels))

    def query(self, anchor: Tensor, relation: Tensor, side: Side) -> Tensor:
        """``h * r`` for tails, ``t * conj(r)`` for heads, ``[..., 2d]``."""
        phase = self.phase(relation)
        r_re, r_im = torch.cos(phase), torch.sin(phase)
        a_re, a_im = anchor.chunk(2, dim=-1)
        if side == "head":
            r_im = -r_im
        return torch.cat([a_re * r_re - a_im * r_im, a_re * r_im + a_im * r_re], dim=-1)

    def query_parts(self, query: Tensor) -> Parts:
        """Real and imaginary parts, ``[..., d]`` each."""
        return query.chunk(2, dim=-1)

    def place(self, candidates: Tensor) -> Parts:
        """Real and imaginary parts, ``[..., d]`` each."""
        return candidates.chunk(2, dim=-1)

    @staticmethod
    def distance(query: Parts, placed: Parts, relation: Parts) -> Tensor:
        """Sum of moduli, ``[...]``; a rotation keeps them, so that one formula serves both sides."""
        return length(query[0] - placed[0], query[1] - placed[1]).sum(-1)

    def modulus(self, embedding: Tensor) -> Tensor:
        """Moduli ``[..., d]``: of entities ``[..., 2d]``, and ones for relations ``[..., d]``, which are rotations."""
        is_relation = embedding.shape[-1] == self.hidden_channels
        return torch.ones_like(embedding) if is_relation else moduli(embedding)
