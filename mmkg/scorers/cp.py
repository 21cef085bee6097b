"""CP: each entity has one vector as head and another as tail."""

from torch import Tensor

from mmkg.scorers.bilinear import BilinearScorer
from mmkg.types import Side


class CP(BilinearScorer):
    r"""Canonical polyadic decomposition, as in `Canonical Tensor Decomposition for Knowledge Base Completion
    <https://arxiv.org/abs/1806.07297>`_ (Lacroix et al., ICML 2018; Hitchcock, 1927).

    .. math:: s(h, r, t) = \sum_i h^H_i r_i t^T_i

    Entities hold :math:`e^H`, then :math:`e^T`. Without reciprocal relations the two halves learn little of each other.

    Args:
        num_nodes: Number of entities.
        num_relations: Number of relations.
        hidden_channels: Embedding size; entities are twice as wide.
        initial_std: See :class:`BilinearScorer`.
        chunk_mb: Unused here; one matrix product needs no blocks.
        reciprocal: See :class:`Scorer`.
    """

    entity_factor = 2

    def query(self, anchor: Tensor, relation: Tensor, side: Side) -> Tensor:
        """The given entity in its own role times the relation, ``[..., d]``."""
        as_head, as_tail = anchor.chunk(2, dim=-1)
        return (as_head if side == "tail" else as_tail) * relation

    def pair(self, anchor: Tensor, answer: Tensor, side: Side) -> Tensor:
        """The product of the two, each in its own role, ``[..., d]``."""
        return anchor.chunk(2, dim=-1)[side == "head"] * answer.chunk(2, dim=-1)[side == "tail"]

    def match(self, query: Tensor, candidates: Tensor, relation: Tensor, side: Side) -> Tensor:
        """Dot products with the candidates in the role asked for, ``[...]``."""
        return super().match(query, candidates.chunk(2, dim=-1)[side == "tail"], relation, side)

    def match_shared(
        self, query: Tensor, table: Tensor, relation: Tensor, side: Side, out: Tensor | None = None
    ) -> Tensor:
        """All of them by one matrix product, ``[B, n]``."""
        return super().match_shared(query, table.chunk(2, dim=-1)[side == "tail"], relation, side, out)
