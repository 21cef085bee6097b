"""Knowledge-guided cross-modal attention: an entity's image and text, seen through a relation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkg.samplers.mmrns.branch import Branch, View
from mmkg.samplers.mmrns.stored import Stored

NULL_ROWS = 4
"""Learned rows that stand in for a modality that the whole graph lacks."""


@dataclass
class Rows:
    """Encoded rows of ``n`` entities, null rows standing in where an entity lacks one modality.

    Args:
        image: Regions, shape ``[n, I, a]``.
        image_mask: True where a region is real (all True for null rows), shape ``[n, I]``.
        text: Sentences, shape ``[n, T, a]``.
        text_mask: True where a sentence is real (all True for null rows), shape ``[n, T]``.
    """

    image: Tensor
    image_mask: Tensor
    text: Tensor
    text_mask: Tensor


class KCA(torch.nn.Module):
    r"""Image and text of an entity attend to each other, once freely and once guided by the relation.

    With regions :math:`ê_i = \mathrm{LeakyReLU}_{0.1}(e_i W_i + b_i)`, sentences :math:`ê_t` likewise and their inner
    products :math:`M = ê_i ê_t^T`, each modality is a :class:`~mmkg.samplers.mmrns.branch.Branch` (MMRNS, Xu et al.,
    ACM MM 2022, equations of the cross-modal part). Where an entity lacks the *other* modality, learned null rows guide
    in its place, so that a graph with text alone still uses its text; the missing modality itself has no output of
    meaning, which the caller masks.

    Args:
        image: ``(I, D_img)``, or None if the graph has no images.
        text: ``(T, D_txt)``, or None if the graph has no texts. At least one of both.
        relation_dim: Width ``d_r`` of a relation.
        attention_dim: Width ``a``.
        use_guide: Keep the relation-guided half.
        use_free: Keep the relation-free half. At least one of both halves.

    Raises:
        ValueError: If neither modality or neither half is left.
    """

    def __init__(
        self,
        image: tuple[int, int] | None,
        text: tuple[int, int] | None,
        relation_dim: int,
        attention_dim: int = 50,
        *,
        use_guide: bool = True,
        use_free: bool = True,
    ) -> None:
        super().__init__()
        if image is None and text is None:
            raise ValueError("KCA needs features of images or of texts")
        if not (use_guide or use_free):
            raise ValueError("use_guide and use_free are both off: nothing is left of KCA")
        self.use_guide, self.use_free, self.attention_dim = use_guide, use_free, attention_dim
        regions, sentences = (image or (NULL_ROWS, 0))[0], (text or (NULL_ROWS, 0))[0]
        guide_dim = relation_dim if use_guide else None
        self.norm = torch.nn.LayerNorm(attention_dim)
        self.image_in = self.text_in = self.image = self.text = self.null_image = self.null_text = None
        if image is not None:
            self.image_in = torch.nn.Linear(image[1], attention_dim)
            self.image = Branch(regions, sentences, attention_dim, guide_dim)
            self.null_text = torch.nn.Parameter(torch.empty(sentences, attention_dim))
        if text is not None:
            self.text_in = torch.nn.Linear(text[1], attention_dim)
            self.text = Branch(sentences, regions, attention_dim, guide_dim, outputs_first=True)
            self.null_image = torch.nn.Parameter(torch.empty(regions, attention_dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew: torch's defaults, and null rows of about unit length."""
        for module in self.modules():
            if isinstance(module, torch.nn.Linear | torch.nn.LayerNorm):
                module.reset_parameters()
        for null in (self.null_image, self.null_text):
            if null is not None:
                torch.nn.init.normal_(null, std=self.attention_dim**-0.5)

    def encode(self, image: Stored | None, text: Stored | None) -> Rows:
        """Bring both modalities to width ``a`` and fill in null rows.

        Args:
            image: Images of ``n`` entities, None if the graph has none.
            text: Texts of the same entities, None if the graph has none.
        """
        count = (image or text).ids.numel()
        images, image_mask = self._encode(image, self.image_in, self.null_image, count)
        texts, text_mask = self._encode(text, self.text_in, self.null_text, count)
        return Rows(images, image_mask, texts, text_mask)

    def pool(self, rows: Rows, relation: Tensor) -> dict[str, Tensor]:
        """Every entity seen through every relation, in factored form.

        Args:
            rows: ``P`` encoded entities.
            relation: ``U`` relations, shape ``[U, d_r]``.

        Returns:
            ``"image"`` and ``"text"`` (those that exist), each ``[P, U, a]``, or ``[P, 1, a]`` without the guided half.
        """
        out = {}
        for name, branch, view in self.branches(rows):
            part = branch.project.bias.expand(view.content.shape[0], -1)  # [P, a]
            if self.use_free:
                part = part + branch.free(view, self.norm)  # [P, a]
            if self.use_guide:
                out[name] = branch.guided_pool(view, branch.guide(relation), self.norm, part)  # [P, U, a]
            else:
                out[name] = part[:, None]  # [P, 1, a]
        return out

    def pairs(
        self, rows: Rows, relation: Tensor, entity_at: Tensor, relation_at: Tensor, *, normalise_image: bool = True
    ) -> dict[str, Tensor]:
        """Listed (entity, relation) pairs: the positives, which lie outside the pool.

        Args:
            rows: ``n`` encoded entities.
            relation: ``U`` relations, shape ``[U, d_r]``.
            entity_at: Positions among the entities, shape ``[m]``.
            relation_at: Positions among the relations, shape ``[m]``.
            normalise_image: False leaves Norm out of the image's relation-free half, as published code does here.

        Returns:
            ``"image"`` and ``"text"`` (those that exist), each ``[m, a]``.
        """
        out = {}
        for name, branch, view in self.branches(rows):
            part = branch.project.bias.expand(entity_at.numel(), -1)  # [m, a]
            if self.use_free:
                free = branch.free(view, self.norm, normalise=normalise_image or name != "image")  # [n, a]
                part = part + free.index_select(0, entity_at)  # [m, a]
            if self.use_guide:
                guide = branch.guide(relation)  # [U, J, O]
                part = part + branch.guided_pairs(view, guide, entity_at, relation_at, self.norm)  # [m, a]
            out[name] = part
        return out

    def _encode(
        self, given: Stored | None, layer: torch.nn.Linear | None, null: Tensor | None, count: int
    ) -> tuple[Tensor, Tensor]:
        """Rows ``[n, R, a]`` and mask ``[n, R]`` of one modality, null rows where an entity has none."""
        if given is None or layer is None:
            return null.expand(count, -1, -1), torch.ones(count, null.shape[0], dtype=torch.bool, device=null.device)
        rows, mask = F.leaky_relu(given.project(layer), 0.1), given.mask()  # [n, R, a], [n, R]
        missing = ~mask.any(dim=1)  # [n]
        if null is not None:
            rows = torch.where(missing[:, None, None], null, rows)  # [n, R, a]
        return rows, mask | missing[:, None]  # a softmax over nothing would be NaN, so the mask is never empty

    def branches(self, rows: Rows) -> list[tuple[str, Branch, View]]:
        """The modalities that exist, each with its view of the entities."""
        mask = rows.image_mask[:, :, None] & rows.text_mask[:, None, :]  # [n, I, T]
        affinity = (rows.image @ rows.text.transpose(1, 2)) * mask  # [n, I, T]
        image = View(rows.image, rows.image_mask, rows.text_mask, affinity)
        text = View(rows.text, rows.text_mask, rows.image_mask, affinity.transpose(1, 2))  # affinity [n, T, I]
        both = (("image", self.image, image), ("text", self.text, text))
        return [(name, branch, view) for name, branch, view in both if branch is not None]
