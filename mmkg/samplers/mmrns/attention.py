"""What KCA looks at: its attention over an entity's regions and sentences, to be shown."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkg.samplers.mmrns.views import Views


@dataclass
class Attention:
    """Attention of ``n`` entities, each under a relation of its own; zero where a row is padding.

    Where an entity lacks the *other* modality its null rows stand in, so that its own rows still have weights. Where it
    lacks a modality itself, the weights over that modality mean nothing and are zero.

    Args:
        image_free: Softmax over regions, for each sentence, shape ``[n, I, T]``; None if the graph has no images, or
            KCA no relation-free half.
        image_guided: Guided weights of regions, for each sentence, of either sign, shape ``[n, I, T]``; None if the
            graph has no images, or KCA no relation-guided half.
        text_free: Softmax over sentences, for each region, shape ``[n, T, I]``; None likewise.
        text_guided: Guided weights of sentences, for each region, shape ``[n, T, I]``; None likewise.
        image_mask: True where a region is real, shape ``[n, I]``; all False where an entity has no image.
        text_mask: True where a sentence is real, shape ``[n, T]``; all False where an entity has no text.
        rows: For each modality the number of rows that its weights are a mean over: real sentences for ``"image"``,
            real regions for ``"text"``, null rows where they stand in; each ``[n]``.
    """

    image_free: Tensor | None
    image_guided: Tensor | None
    text_free: Tensor | None
    text_guided: Tensor | None
    image_mask: Tensor
    text_mask: Tensor
    rows: dict[str, Tensor]

    def over(self, modality: str, half: str) -> Tensor | None:
        """Weights of a modality's rows, as the mean over the other modality's rows.

        Args:
            modality: "image" (weights of regions) or "text" (of sentences).
            half: "free" (sums to 1 where there is anything to look at) or "guided" (of either sign).

        Returns:
            Shape ``[n, I]`` or ``[n, T]``; None where there are none.
        """
        weights = getattr(self, f"{modality}_{half}")
        return None if weights is None else weights.sum(-1) / self.rows[modality][:, None]  # [n, I] or [n, T]


@torch.no_grad()
def attention(views: Views, ids: Tensor, relation: Tensor) -> Attention:
    r"""The weights with which KCA sums up an entity's regions and sentences, for a handful of entities.

    With encoded regions :math:`ê_i`, sentences :math:`ê_t` and :math:`M = ê_i ê_t^T` (MMRNS, Xu et al., ACM MM 2022),
    the relation-free halves sum rows with softmaxes of M, the guided ones with M times a guide in (0, 1):

    .. math::
        a^i = \mathrm{softmax}_I(M), \quad u^i = M ⊙ σ(W^i r + b^i), \qquad
        a^t = \mathrm{softmax}_T(M), \quad u^t = M ⊙ σ(W^t r + b^t)

    Guided weights are those before Norm, which scales each sum to one size.

    Args:
        views: The views of a sampler, ``sampler.views``.
        ids: Entities, shape ``[n]``.
        relation: The relation of each, as ``model.relation`` gives it, shape ``[n, d_r]``.

    Raises:
        ValueError: If the views look at neither images nor texts.
    """
    kca = views.kca
    if kca is None:
        raise ValueError("these views look at structure alone: there is no attention to show")
    image, image_mask, has_image = _rows(views, "image", kca.image_in, kca.null_image, ids)  # [n, I, a]
    text, text_mask, has_text = _rows(views, "text", kca.text_in, kca.null_text, ids)  # [n, T, a]
    affinity = image @ text.transpose(1, 2)  # [n, I, T]
    real = image_mask[:, :, None] & text_mask[:, None, :]  # [n, I, T]
    relation = relation.to(affinity.dtype)  # [n, d_r]

    def free(branch, axis: int, mask: Tensor, has: Tensor) -> Tensor | None:
        """Softmax over an axis of ``[n, I, T]``."""
        if branch is None or not kca.use_free:
            return None
        weights = affinity.masked_fill(~mask, -torch.inf).softmax(axis)  # [n, I, T]
        return weights * (real & has[:, None, None])

    def guided(branch, has: Tensor) -> Tensor | None:
        """M times the guide, both guides being ``[I, T]``."""
        if branch is None or not kca.use_guide:
            return None
        guide = F.linear(relation, branch.guide_in.weight, branch.guide_in.bias).sigmoid()  # [n, I * T]
        return affinity * guide.view_as(affinity) * (real & has[:, None, None])  # [n, I, T]

    found = [
        free(kca.image, 1, image_mask[:, :, None], has_image),
        guided(kca.image, has_image),
        free(kca.text, 2, text_mask[:, None, :], has_text),
        guided(kca.text, has_text),
    ]
    found[2:] = [None if weights is None else weights.transpose(1, 2) for weights in found[2:]]  # [n, T, I]
    masks = image_mask & has_image[:, None], text_mask & has_text[:, None]
    return Attention(*found, *masks, rows={"image": text_mask.sum(1), "text": image_mask.sum(1)})


def _rows(views: Views, name: str, layer, null: Tensor | None, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Encoded rows ``[n, R, a]``, null rows where there are none; which of them are real ``[n, R]``; who has any."""
    if layer is None:
        ones = torch.ones(ids.numel(), len(null), dtype=torch.bool, device=null.device)  # [n, R]
        return null.expand(ids.numel(), -1, -1), ones, torch.zeros_like(ids, dtype=torch.bool)
    values, mask = views.features[name].gather(ids, layer.weight.device)  # [n, R, D], [n, R]
    mask = torch.ones_like(mask) if views.zero_rows else mask
    rows, has = F.leaky_relu(layer(values.to(layer.weight.dtype)), 0.1), mask.any(1)  # [n, R, a], [n]
    if null is not None:
        rows = torch.where(has[:, None, None], rows, null)  # [n, R, a]
    return rows, mask | ~has[:, None], has
