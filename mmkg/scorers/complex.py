"""ComplEx: DistMult over the complex numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from mmkg.scorers.base import moduli
from mmkg.scorers.bilinear import BilinearScorer
from mmkg.types import Side


class ComplEx(BilinearScorer):
    r"""`Complex Embeddings for Simple Link Prediction <https://arxiv.org/abs/1606.06357>`_
    (Trouillon et al., ICML 2016).

    .. math:: s(h, r, t) = \mathrm{Re} \sum_i h_i r_i \bar{t}_i

    Embeddings hold the real parts, then the imaginary parts.

    Args:
        num_nodes: Number of entities.
        num_relations: Number of relations.
        hidden_channels: Number of complex components; entities and relations are twice as wide.
        initial_std: See :class:`BilinearScorer`.
        chunk_mb: Unused here; one matrix product needs no blocks.
        reciprocal: See :class:`Scorer`.
    """

    entity_factor = 2
    relation_factor = 2

    def query(self, anchor: Tensor, relation: Tensor, side: Side) -> Tensor:
        """``h * r`` for tails, ``t * conj(r)`` for heads, ``[..., 2d]``; a real dot product matches either."""
        a_re, a_im = anchor.chunk(2, dim=-1)
        r_re, r_im = relation.chunk(2, dim=-1)
        if side == "head":
            r_im = -r_im
        return torch.cat([a_re * r_re - a_im * r_im, a_re * r_im + a_im * r_re], dim=-1)

    def pair(self, anchor: Tensor, answer: Tensor, side: Side) -> Tensor:
        """``conj(h) * t``, ``[..., 2d]``; its real dot product with a relation is the score."""
        head, tail = (anchor, answer) if side == "tail" else (answer, anchor)
        h_re, h_im = head.chunk(2, dim=-1)
        t_re, t_im = tail.chunk(2, dim=-1)
        return torch.cat([h_re * t_re + h_im * t_im, h_re * t_im - h_im * t_re], dim=-1)

    def modulus(self, embedding: Tensor) -> Tensor:
        """Moduli ``[..., d]`` of embeddings ``[..., 2d]``."""
        return moduli(embedding)
