"""QuatE: a relation is a rotation of quaternions."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkg.scorers.base import moduli
from mmkg.scorers.bilinear import BilinearScorer
from mmkg.types import Side


class QuatE(BilinearScorer):
    r"""`Quaternion Knowledge Graph Embeddings <https://arxiv.org/abs/1904.10281>`_ (Zhang et al., NeurIPS 2019).

    .. math:: s(h, r, t) = \sum_i \Big\langle h_i \otimes \frac{r_i}{\lvert r_i \rvert}, t_i \Big\rangle

    with the Hamilton product :math:`\otimes` and the inner product of quaternions. Embeddings hold the real parts, then
    those along i, j and k.

    Args:
        num_nodes: Number of entities.
        num_relations: Number of relations.
        hidden_channels: Number of quaternions; entities and relations are four times as wide.
        initial_std: See :class:`BilinearScorer`.
        chunk_mb: Unused here; one matrix product needs no blocks.
        reciprocal: See :class:`Scorer`.
    """

    entity_factor = 4
    relation_factor = 4

    def query(self, anchor: Tensor, relation: Tensor, side: Side) -> Tensor:
        """``h ⊗ r`` for tails, ``t ⊗ conj(r)`` for heads, ``[..., 4d]``; r is normalised."""
        a, b, c, d = anchor.chunk(4, dim=-1)
        p, q, u, v = F.normalize(relation.unflatten(-1, (4, -1)), dim=-2).unbind(-2)  # [..., 4d] -> 4 of [..., d]
        if side == "head":
            q, u, v = -q, -u, -v
        rotated = (
            a * p - b * q - c * u - d * v,
            a * q + b * p + c * v - d * u,
            a * u - b * v + c * p + d * q,
            a * v + b * u - c * q + d * p,
        )
        return torch.cat(rotated, dim=-1)

    def modulus(self, embedding: Tensor) -> Tensor:
        """Moduli ``[..., d]`` of quaternions ``[..., 4d]``."""
        return moduli(embedding, parts=4)
