"""SimplE: two CPs that share what they learn."""

import torch
from torch import Tensor

from mmkg.scorers.bilinear import BilinearScorer
from mmkg.types import Side


class SimplE(BilinearScorer):
    r"""`SimplE Embedding for Link Prediction in Knowledge Graphs <https://arxiv.org/abs/1802.04868>`_
    (Kazemi and Poole, NeurIPS 2018).

    .. math:: s(h, r, t) = \tfrac{1}{2} \sum_i \big( h^H_i v_{r,i} t^T_i + t^H_i v'_{r,i} h^T_i \big)

    Entities hold :math:`e^H`, then :math:`e^T`; relations :math:`v`, then that of the inverse, :math:`v'`.

    Args:
        num_nodes: Number of entities.
        num_relations: Number of relations.
        hidden_channels: Size of each of the vectors; entities and relations are twice as wide.
        initial_std: See :class:`BilinearScorer`.
        chunk_mb: Unused here; one matrix product needs no blocks.
        reciprocal: See :class:`Scorer`.
    """

    entity_factor = 2
    relation_factor = 2

    def query(self, anchor: Tensor, relation: Tensor, side: Side) -> Tensor:
        """What meets the candidates' halves, ``[..., 2d]``: the given entity's other half times its relation."""
        as_head, as_tail = anchor.chunk(2, dim=-1)
        forward, backward = relation.chunk(2, dim=-1)
        if side == "head":
            forward, backward = backward, forward
        return torch.cat([as_tail * backward, as_head * forward], dim=-1) / 2

    def pair(self, anchor: Tensor, answer: Tensor, side: Side) -> Tensor:
        """Products of one's half with the other's other half, in the order of the relation's halves, ``[..., 2d]``."""
        a_head, a_tail = anchor.chunk(2, dim=-1)
        b_head, b_tail = answer.chunk(2, dim=-1)
        ways = [a_head * b_tail, a_tail * b_head]
        return torch.cat(ways if side == "tail" else ways[::-1], dim=-1) / 2
