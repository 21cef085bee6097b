"""What distance scorers share: a margin inside the score, and distances that never store their differences."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from mmkg.scorers.base import Scorer, init_uniform, uniform_range
from mmkg.scorers.pairs import Parts
from mmkg.scorers.shared_table import by_blocks, by_kernel
from mmkg.types import Side


class DistanceScorer(Scorer):
    r"""A scorer of the form :math:`s = \gamma - d(q(h, r), e_t)`.

    A subclass says how far a query is from candidates (:meth:`distance`) and, where the distance reads something else
    than queries and candidates as they are, what: halves of them, say, or normalised candidates (:meth:`place`).

    Args:
        num_nodes: Number of entities.
        num_relations: Number of relations.
        hidden_channels: Embedding size as the paper of the scorer counts it.
        margin: Margin :math:`\gamma`.
        chunk_mb: See :class:`Scorer`.
        reciprocal: See :class:`Scorer`.
    """

    def __init__(
        self,
        num_nodes: int,
        num_relations: int,
        hidden_channels: int,
        *,
        margin: float = 6.0,
        chunk_mb: float = 1.0,
        reciprocal: bool = False,
    ) -> None:
        super().__init__(num_nodes, num_relations, hidden_channels, chunk_mb=chunk_mb, reciprocal=reciprocal)
        self.margin = margin
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform on ±(γ + 2)/d."""
        init_uniform(self.node_emb, uniform_range(self.margin, self.hidden_channels))
        init_uniform(self.rel_emb, uniform_range(self.margin, self.hidden_channels))

    @staticmethod
    @abstractmethod
    def distance(query: Parts, placed: Parts, relation: Parts) -> Tensor:
        """Distance ``[...]`` of placed candidates from queries; leading shapes broadcast. Reads no state."""

    def query_parts(self, query: Tensor) -> Parts:
        """Queries ``[..., d]`` as :meth:`distance` takes them."""
        return (query,)

    def place(self, candidates: Tensor) -> Parts:
        """Candidates ``[..., d]`` as :meth:`distance` takes them, whatever the question."""
        return (candidates,)

    def relation_parts(self, relation: Tensor, side: Side) -> Parts:
        """What :meth:`distance` takes of relations ``[..., d_r]`` besides the query; by default nothing."""
        return ()

    def match(self, query: Tensor, candidates: Tensor, relation: Tensor, side: Side) -> Tensor:
        """Margin minus distance, ``[...]``."""
        relation_parts = self.relation_parts(relation, side)
        return self.margin - self.distance(self.query_parts(query), self.place(candidates), relation_parts)

    def match_shared(
        self, query: Tensor, table: Tensor, relation: Tensor, side: Side, out: Tensor | None = None
    ) -> Tensor:
        """Margin minus all distances, ``[B, n]``; never ``[B, n, d]`` in memory."""
        parts = self.query_parts(query), self.place(table), self.relation_parts(relation, side)
        found = by_kernel(self.distance, *parts)
        return self.margin - (self.without_kernel(*parts) if found is None else found)

    def without_kernel(self, query: Parts, placed: Parts, relation: Parts) -> Tensor:
        """All distances ``[B, n]`` where no kernel serves."""
        return by_blocks(self.distance, query, placed, relation, self.chunk_mb)
