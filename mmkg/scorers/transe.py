"""TransE: a relation is a translation."""

import torch
from torch import Tensor

from mmkg.scorers.distance import DistanceScorer
from mmkg.scorers.pairs import Parts
from mmkg.types import Side


class TransE(DistanceScorer):
    r"""`Translating Embeddings for Modeling Multi-Relational Data
    <https://proceedings.neurips.cc/paper/2013/hash/1cecc7a77928ca8133fa24680a88d2f9-Abstract.html>`_
    (Bordes et al., NeurIPS 2013).

    .. math:: s(h, r, t) = \gamma - \lVert h + r - t \rVert_p

    Args:
        num_nodes: Number of entities.
        num_relations: Number of relations.
        hidden_channels: Embedding size.
        margin: Margin :math:`\gamma`.
        p_norm: Norm, 1 or 2.
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
        p_norm: float = 1.0,
        chunk_mb: float = 1.0,
        reciprocal: bool = False,
    ) -> None:
        if p_norm not in (1, 2):
            raise ValueError(f"p_norm is {p_norm}, must be 1 or 2")
        super().__init__(
            num_nodes, num_relations, hidden_channels, margin=margin, chunk_mb=chunk_mb, reciprocal=reciprocal
        )
        self.p_norm = float(p_norm)
        self.distance = _l1 if p_norm == 1 else _l2  # type: ignore[method-assign]

    def query(self, anchor: Tensor, relation: Tensor, side: Side) -> Tensor:
        """``h + r`` for tails, ``t - r`` for heads, ``[..., d]``."""
        return anchor + relation if side == "tail" else anchor - relation

    def without_kernel(self, query: Parts, placed: Parts, relation: Parts) -> Tensor:
        """All distances ``[B, n]`` by ``cdist``, which builds no differences; exact, never the expanded square."""
        return torch.cdist(query[0], placed[0], p=self.p_norm, compute_mode="donot_use_mm_for_euclid_dist")


def _l1(query: Parts, placed: Parts, relation: Parts) -> Tensor:
    return (query[0] - placed[0]).abs().sum(-1)


def _l2(query: Parts, placed: Parts, relation: Parts) -> Tensor:
    return torch.linalg.vector_norm(query[0] - placed[0], dim=-1)
