"""TransD: a translation after a projection that depends on relation and entity."""

from torch import Tensor

from mmkg.scorers.distance import DistanceScorer
from mmkg.scorers.pairs import Parts
from mmkg.types import Side


class TransD(DistanceScorer):
    r"""`Knowledge Graph Embedding via Dynamic Mapping Matrix <https://aclanthology.org/P15-1067/>`_
    (Ji et al., ACL 2015).

    .. math:: s(h, r, t) = \gamma - \lVert h_\perp + r - t_\perp \rVert_2^2,
        \qquad e_\perp = (r_p e_p^\top + I) e = e + (e_p^\top e) r_p

    Entities hold :math:`e`, then :math:`e_p`; relations :math:`r`, then :math:`r_p`, all of one size. The paper's
    constraints on norms belong to its optimisation and are not here.

    Args:
        num_nodes: Number of entities.
        num_relations: Number of relations.
        hidden_channels: Embedding size; entities and relations are twice as wide.
        margin: Margin :math:`\gamma`.
        chunk_mb: See :class:`Scorer`.
        reciprocal: See :class:`Scorer`.
    """

    entity_factor = 2
    relation_factor = 2

    def query(self, anchor: Tensor, relation: Tensor, side: Side) -> Tensor:
        """``h⊥ + r`` for tails, ``t⊥ - r`` for heads, ``[..., d]``."""
        translation, direction = relation.chunk(2, dim=-1)
        mapped = _map(*self.place(anchor), direction)
        return mapped + translation if side == "tail" else mapped - translation

    def place(self, candidates: Tensor) -> Parts:
        """The entity ``[..., d]``, and how far it goes along the relation's direction, ``[..., 1]``."""
        entity, own = candidates.chunk(2, dim=-1)
        return entity, (own * entity).sum(-1, keepdim=True)

    def relation_parts(self, relation: Tensor, side: Side) -> Parts:
        """The direction, ``[..., d]``."""
        return (relation.chunk(2, dim=-1)[1],)

    @staticmethod
    def distance(query: Parts, placed: Parts, relation: Parts) -> Tensor:
        """Squared distance to the mapped candidates, ``[...]``."""
        return (query[0] - _map(*placed, *relation)).square().sum(-1)


def _map(entity: Tensor, along: Tensor, direction: Tensor) -> Tensor:
    """Entities ``[..., d]`` moved ``[..., 1]`` along ``r_p`` ``[..., d]``, ``[..., d]``."""
    return entity + along * direction
