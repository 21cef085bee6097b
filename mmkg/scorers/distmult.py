"""DistMult: a diagonal bilinear form."""

from torch import Tensor

from mmkg.scorers.bilinear import BilinearScorer
from mmkg.types import Side


class DistMult(BilinearScorer):
    r"""`Embedding Entities and Relations for Learning and Inference in Knowledge Bases
    <https://arxiv.org/abs/1412.6575>`_ (Yang et al., ICLR 2015).

    .. math:: s(h, r, t) = \sum_i h_i r_i t_i

    Symmetric in head and tail by construction.

    Args:
        num_nodes: Number of entities.
        num_relations: Number of relations.
        hidden_channels: Embedding size.
        initial_std: See :class:`BilinearScorer`.
        chunk_mb: Unused here; one matrix product needs no blocks.
        reciprocal: See :class:`Scorer`.
    """

    def query(self, anchor: Tensor, relation: Tensor, side: Side) -> Tensor:
        """``h * r`` or ``t * r``, ``[..., d]``."""
        return anchor * relation

    def pair(self, anchor: Tensor, answer: Tensor, side: Side) -> Tensor:
        """``h * t``, ``[..., d]``."""
        return anchor * answer
