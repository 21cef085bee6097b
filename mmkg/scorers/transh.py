"""TransH: a translation on a hyperplane of the relation's own."""

import torch.nn.functional as F
from torch import Tensor

from mmkg.scorers.distance import DistanceScorer
from mmkg.scorers.pairs import Parts
from mmkg.types import Side


class TransH(DistanceScorer):
    r"""`Knowledge Graph Embedding by Translating on Hyperplanes
    <https://ojs.aaai.org/index.php/AAAI/article/view/8870>`_ (Wang et al., AAAI 2014).

    .. math:: s(h, r, t) = \gamma - \lVert h_\perp + d_r - t_\perp \rVert_2^2,
        \qquad e_\perp = e - (w_r^\top e) w_r, \quad \lVert w_r \rVert_2 = 1

    Relations hold the translation :math:`d_r`, then the normal :math:`w_r`, which is normalised at each use. The
    paper's soft constraints (entities in the unit ball, :math:`d_r` on the plane) belong to its loss and are not here.

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
        """``h⊥ + d`` for tails, ``t⊥ - d`` for heads, ``[..., d]``."""
        translation, normal = relation.chunk(2, dim=-1)
        flat = _onto_plane(anchor, F.normalize(normal, dim=-1))
        return flat + translation if side == "tail" else flat - translation

    def relation_parts(self, relation: Tensor, side: Side) -> Parts:
        """The normal of length 1, ``[..., d]``."""
        return (F.normalize(relation.chunk(2, dim=-1)[1], dim=-1),)

    @staticmethod
    def distance(query: Parts, placed: Parts, relation: Parts) -> Tensor:
        """Squared distance to the candidates on the relation's plane, ``[...]``."""
        return (query[0] - _onto_plane(*placed, *relation)).square().sum(-1)


def _onto_plane(entity: Tensor, normal: Tensor) -> Tensor:
    """Entities ``[..., d]`` without their part along the normal ``[..., d]`` of length 1."""
    return entity - (normal * entity).sum(-1, keepdim=True) * normal
