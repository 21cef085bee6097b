"""MuRE: stretched heads, translated tails, and biases for each entity."""

from __future__ import annotations

import torch
from torch import Tensor

from mmkg.scorers.base import Scorer
from mmkg.scorers.pairs import Parts
from mmkg.scorers.shared_table import by_blocks, by_kernel
from mmkg.types import Side


class MuRE(Scorer):
    r"""`Multi-relational Poincaré Graph Embeddings <https://arxiv.org/abs/1905.09791>`_ (Balažević et al., NeurIPS
    2019), its Euclidean model.

    .. math:: s(h, r, t) = b^H_h + b^T_t - \lVert R_r \circ h - (t + r) \rVert_2^2

    Entities hold :math:`e`, then the biases :math:`b^H, b^T` as head and as tail; relations hold :math:`R_r`, then
    :math:`r`. As in the paper's code vectors start normal with standard deviation 1e-3, :math:`R_r` uniform on [-1, 1],
    biases at zero.

    Args:
        num_nodes: Number of entities.
        num_relations: Number of relations.
        hidden_channels: Embedding size; entities are wider by two, relations twice as wide.
        chunk_mb: See :class:`Scorer`.
        reciprocal: See :class:`Scorer`.
    """

    relation_factor = 2

    def __init__(
        self,
        num_nodes: int,
        num_relations: int,
        hidden_channels: int,
        *,
        chunk_mb: float = 1.0,
        reciprocal: bool = False,
    ) -> None:
        super().__init__(num_nodes, num_relations, hidden_channels, chunk_mb=chunk_mb, reciprocal=reciprocal)
        self.reset_parameters()

    def widths(self) -> tuple[int, int]:
        """Two biases beside the entity's vector."""
        return self.hidden_channels + 2, 2 * self.hidden_channels

    def reset_parameters(self) -> None:
        """As the class says."""
        with torch.no_grad():
            vector, bias = self.node_emb.weight.split([self.hidden_channels, 2], dim=1)
            stretch, shift = self.rel_emb.weight.chunk(2, dim=1)
            vector.normal_(std=1e-3), bias.zero_(), shift.normal_(std=1e-3), stretch.uniform_(-1, 1)

    def query(self, anchor: Tensor, relation: Tensor, side: Side) -> Tensor:
        """``R h - r`` for tails, ``t + r`` for heads, then the given entity's biases, ``[..., d + 2]``."""
        stretch, shift = relation.chunk(2, dim=-1)
        vector, bias = anchor[..., :-2], anchor[..., -2:]
        return torch.cat([stretch * vector - shift if side == "tail" else vector + shift, bias], dim=-1)

    def match(self, query: Tensor, candidates: Tensor, relation: Tensor, side: Side) -> Tensor:
        """Biases minus the squared distance, ``[...]``."""
        distance = _distance((query[..., :-2],), (candidates[..., :-2],), _stretch(relation, side))
        head, tail = (query, candidates) if side == "tail" else (candidates, query)
        return head[..., -2] + tail[..., -1] - distance

    def match_shared(
        self, query: Tensor, table: Tensor, relation: Tensor, side: Side, out: Tensor | None = None
    ) -> Tensor:
        """The same for all pairs, ``[B, n]``."""
        parts = (query[:, :-2],), (table[:, :-2],), _stretch(relation, side)
        distance = by_kernel(_distance, *parts)
        if distance is None:
            distance = by_blocks(_distance, *parts, self.chunk_mb)
        own, other = (-2, -1) if side == "tail" else (-1, -2)
        return query[:, own, None] + table[:, other] - distance  # [B, n]


def _stretch(relation: Tensor, side: Side) -> Parts:
    """What stretches candidates, ``[..., d]``: nothing where they are tails."""
    return () if side == "tail" else relation.chunk(2, dim=-1)[:1]


def _distance(query: Parts, vector: Parts, stretch: Parts) -> Tensor:
    """Squared distance ``[...]`` of candidates' vectors, stretched where they are heads."""
    return (query[0] - (stretch[0] * vector[0] if stretch else vector[0])).square().sum(-1)
