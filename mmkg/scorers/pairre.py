"""PairRE: a relation scales heads and tails apart."""

import torch.nn.functional as F
from torch import Tensor

from mmkg.scorers.distance import DistanceScorer
from mmkg.scorers.pairs import Parts
from mmkg.types import Side


class PairRE(DistanceScorer):
    r"""`PairRE: Knowledge Graph Embeddings via Paired Relation Vectors <https://arxiv.org/abs/2011.03798>`_
    (Chao et al., ACL 2021).

    .. math:: s(h, r, t) = \gamma - \lVert \hat{h} \circ r^H - \hat{t} \circ r^T \rVert_1,
        \qquad \hat{e} = e / \lVert e \rVert_2

    Relations hold :math:`r^H`, then :math:`r^T`.

    Args:
        num_nodes: Number of entities.
        num_relations: Number of relations.
        hidden_channels: Embedding size; relations are twice as wide.
        margin: Margin :math:`\gamma`.
        chunk_mb: See :class:`Scorer`.
        reciprocal: See :class:`Scorer`.
    """

    relation_factor = 2

    def query(self, anchor: Tensor, relation: Tensor, side: Side) -> Tensor:
        """Normalised head times its half for tails, normalised tail times its half for heads, ``[..., d]``."""
        for_head, for_tail = relation.chunk(2, dim=-1)
        return F.normalize(anchor, dim=-1) * (for_head if side == "tail" else for_tail)

    def place(self, candidates: Tensor) -> Parts:
        """Normalised, ``[..., d]``."""
        return (F.normalize(candidates, dim=-1),)

    def relation_parts(self, relation: Tensor, side: Side) -> Parts:
        """The half for candidates, ``[..., d]``."""
        for_head, for_tail = relation.chunk(2, dim=-1)
        return (for_tail if side == "tail" else for_head,)

    @staticmethod
    def distance(query: Parts, placed: Parts, relation: Parts) -> Tensor:
        """L1 distance to the candidates times their half, ``[...]``."""
        return (query[0] - placed[0] * relation[0]).abs().sum(-1)
