"""What KCA looks at: its attention over an entity's regions and sentences, to be shown."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmkg.samplers.mmrns.views import Views

LOOKS = ("image", "text")


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
    rows = kca.encode(views.stored("image", ids), views.stored("text", ids))
    found: dict[str, Tensor | None] = {f"{m}_{half}": None for m in LOOKS for half in ("free", "guided")}
    for name, branch, view in kca.branches(rows):  # own rows J, the other modality's O
        real = view.content_mask[:, :, None] & view.row_mask[:, None, :]  # [n, J, O]
        real = real & views.present(name, ids)[:, None, None]
        if kca.use_free:
            found[f"{name}_free"] = branch.attention(view) * real  # [n, J, O]
        if kca.use_guide:
            found[f"{name}_guided"] = view.affinity * branch.guide(relation.to(view.affinity.dtype)) * real  # [n, J, O]
    has = {m: views.present(m, ids) if m in views.features else torch.zeros_like(ids, dtype=torch.bool) for m in LOOKS}
    return Attention(
        **found,
        image_mask=rows.image_mask & has["image"][:, None],
        text_mask=rows.text_mask & has["text"][:, None],
        rows={"image": rows.text_mask.sum(1), "text": rows.image_mask.sum(1)},
    )
