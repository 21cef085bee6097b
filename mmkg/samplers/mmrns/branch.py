"""One modality's half of KCA: attention over its rows, free of the relation and guided by it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkg.samplers.mmrns.guided import GuidedProjection
from mmkg.samplers.mmrns.norm_scale import NormScale
from mmkg.samplers.mmrns.plain import compute, guided_projection, norm_scale


@dataclass
class View:
    """Entities as one branch sees them: own rows to sum over, and the other modality's rows to sum for.

    Args:
        content: Encoded own rows (J regions or sentences) of n entities, shape ``[n, J, a]``.
        content_mask: True where such a row is real, shape ``[n, J]``; at least one per entity.
        row_mask: True where one of the other modality's O rows is real, shape ``[n, O]``.
        affinity: Inner products of own and other rows, zero where either is padding, shape ``[n, J, O]``.
    """

    content: Tensor
    content_mask: Tensor
    row_mask: Tensor
    affinity: Tensor


class Branch(torch.nn.Module):
    r"""Relation-free plus relation-guided attention of one modality, flattened and projected.

    For own rows :math:`ê_j` and each row :math:`o` of the other modality (MMRNS, Xu et al., ACM MM 2022):

    .. math::
        f_o = \sum_j \mathrm{softmax}_j(M_{jo})\, ê_j, \quad u_o = \sum_j g_{jo} M_{jo}\, ê_j, \quad
        g = \sigma(W^r r + b^r), \quad e = W [\mathrm{Norm}(f_o) + \mathrm{Norm}(u_o)]_o + b

    Image: J regions, O sentences; text: the other way round. The guided half exists in two forms that agree: for all
    pairs of a pool and some relations, with Norm folded through the projection (:meth:`guided_pool`), and for listed
    pairs (:meth:`guided_pairs`). Norm is one LayerNorm shared by both branches and therefore passed in.

    Args:
        contents: Number of own rows ``J``.
        outputs: Number of the other modality's rows ``O``.
        attention_dim: Width ``a``.
        relation_dim: Width of a relation; None leaves the guided half out.
        outputs_first: The guide's layer lists the other modality's rows first: both guides are ``[I, T]``, regions
            first, in the equations.
    """

    def __init__(
        self, contents: int, outputs: int, attention_dim: int, relation_dim: int | None, *, outputs_first: bool = False
    ) -> None:
        super().__init__()
        self.contents, self.outputs, self.attention_dim = contents, outputs, attention_dim
        self.outputs_first = outputs_first
        self.guide_in = None if relation_dim is None else torch.nn.Linear(relation_dim, contents * outputs)
        self.project = torch.nn.Linear(outputs * attention_dim, attention_dim)

    def guide(self, relation: Tensor) -> Tensor:
        """Guides ``[U, J, O]`` in (0, 1) of relations ``[U, d_r]``."""
        flat = torch.sigmoid(self.guide_in(relation))  # [U, J * O]
        if self.outputs_first:
            return flat.view(-1, self.outputs, self.contents).transpose(1, 2)  # [U, J, O]
        return flat.view(-1, self.contents, self.outputs)  # [U, J, O]

    def attention(self, view: View) -> Tensor:
        """Relation-free attention of each of the other modality's rows to own rows, ``[n, J, O]``, summing to 1."""
        padded = ~view.content_mask[:, :, None]  # [n, J, 1]
        return view.affinity.masked_fill(padded, -torch.inf).softmax(dim=1)  # [n, J, O], over own rows

    def free(self, view: View, norm: torch.nn.LayerNorm, normalise: bool = True) -> Tensor:
        """Projected relation-free half of each entity, without the projection's bias.

        Args:
            view: ``n`` entities.
            norm: The shared LayerNorm.
            normalise: False leaves Norm out, as published code does for the positive's image.

        Returns:
            Shape ``[n, a]``.
        """
        rows = self.attention(view).transpose(1, 2) @ view.content  # [n, O, a]
        rows = norm(rows) if normalise else rows
        return self._project(rows * view.row_mask[..., None])  # [n, a]

    def guided_pairs(
        self, view: View, guide: Tensor, entity: Tensor, relation: Tensor, norm: torch.nn.LayerNorm
    ) -> Tensor:
        """Projected guided half of listed (entity, relation) pairs, without the projection's bias.

        Args:
            view: ``n`` entities.
            guide: Guides of ``U`` relations, shape ``[U, J, O]``.
            entity: Positions among the ``n`` entities, shape ``[m]``.
            relation: Positions among the ``U`` relations, shape ``[m]``.
            norm: The shared LayerNorm.

        Returns:
            Shape ``[m, a]``.
        """
        # not brackets: several threads add up their gradient in any order, and a run would not be the same twice
        weights = view.affinity.index_select(0, entity) * guide.index_select(0, relation)  # [m, J, O]
        rows = weights.transpose(1, 2) @ view.content.index_select(0, entity)  # [m, O, a]
        return self._project(norm(rows) * view.row_mask[entity][..., None])  # [m, a]

    def guided_pool(self, view: View, guide: Tensor, norm: torch.nn.LayerNorm, rest: Tensor) -> Tensor:
        r"""Every (entity, relation) pair: the projected guided half, added to what does not depend on the relation.

        Norm's mean is linear in the rows, so rows are centred beforehand: :math:`c_j = ê_j - \mathrm{mean}(ê_j)`. Its
        variance is a quadratic form of the guide and its scale a number :math:`s`, so the projection moves inside:

        .. math::
            \mathrm{var}_o = g_o^T Q_o\, g_o, \quad Q_o[j, l] = M_{jo} M_{lo} \langle c_j, c_l \rangle / a, \quad
            \sum_{j,o} (s_o g_{jo}) (M_{jo}\, c_j γ W_o^T), \quad s_o = (\mathrm{var}_o + ε)^{-1/2}

        Nothing of shape ``[P, U, O, a]`` is built: per relation and entity only ``J * O`` numbers.

        Args:
            view: ``P`` entities.
            guide: Guides of ``U`` relations, shape ``[U, J, O]``.
            norm: The shared LayerNorm.
            rest: The projection's bias and the free half, shape ``[P, a]``.

        Returns:
            Shape ``[P, U, a]``.
        """
        width, outputs = self.attention_dim, self.outputs
        centred = view.content - view.content.mean(dim=-1, keepdim=True)  # [P, J, a]
        gram = centred @ centred.transpose(1, 2) / width  # [P, J, J]
        scale = compute(NormScale, norm_scale, view.affinity, gram, guide, view.row_mask, norm.eps)  # [P, U, O]
        # --- projection
        weight = self.project.weight.view(-1, outputs, width).permute(2, 1, 0)  # [a, O, a'], a' the projection's output
        # Norm's bias goes through the projection too, once for each real row of the other modality
        bias = torch.einsum("oax,a->ox", weight.transpose(0, 1), norm.bias)  # [O, a']
        rest = rest + view.row_mask.to(bias.dtype) @ bias  # [P, a']
        given = (centred * norm.weight, view.affinity, weight, scale, guide, rest)
        return compute(GuidedProjection, guided_projection, *given)  # [P, U, a']

    def _project(self, rows: Tensor) -> Tensor:
        """Rows ``[n, O, a]`` flattened and projected without bias, ``[n, a]``."""
        return F.linear(rows.flatten(1), self.project.weight)  # [n, a]
