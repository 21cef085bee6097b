"""Norm's scale for every entity of a pool under every relation, without the rows that it scales."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmkg.samplers.mmrns.parts import parts


class NormScale(torch.autograd.Function):
    r"""Scales :math:`s_{puo} = (\mathrm{var}_{puo} + ε)^{-1/2}` from variances that are quadratic forms of the guide.

    .. math:: \mathrm{var}_{puo} = \sum_{jl} g_{ujo}\, g_{ulo}\, M_{pjo} M_{plo}\, C_{pjl}

    Products of two guides and coefficients of the form are made in parts of the candidates that stay in the cache, with
    candidates last: so every product runs along memory. Of :math:`s` its slope follows,
    :math:`∂\mathrm{var} = -s^3 / 2`.

    Args:
        affinity: :math:`M`, shape ``[P, J, O]``.
        gram: :math:`C`, mean products of centred rows, symmetric, shape ``[P, J, J]``.
        guide: :math:`g`, shape ``[U, J, O]``.
        row_mask: True where there is a row to scale, shape ``[P, O]``; the scale is 0 elsewhere.
        eps: :math:`ε`.

    Returns:
        Shape ``[P, U, O]``.
    """

    @staticmethod
    def forward(ctx, affinity, gram, guide, row_mask, eps):  # noqa: D102 - the class says it
        scale = affinity.new_empty(len(affinity), len(guide), affinity.shape[2])  # [P, U, O]
        outer = _outer(guide)  # [O, U, J J]
        for part in parts(len(affinity), gram[0].numel() * affinity.shape[2], affinity.device):
            rows, squares = _candidates_last(affinity[part], gram[part])  # [O, J, c], [J, J, c]
            form = (rows[:, :, None] * rows[:, None]).mul_(squares).flatten(1, 2)  # [O, J J, c]
            variance = torch.bmm(outer, form)  # [O, U, c]
            # rounding can leave a variance of nothing slightly below zero
            scale[part] = variance.clamp_(min=0).add_(eps).rsqrt_().permute(2, 1, 0)  # [c, U, O]
        scale.mul_(row_mask[:, None])
        ctx.save_for_backward(affinity, gram, guide, scale)
        return scale

    @staticmethod
    @once_differentiable
    def backward(ctx, slope):  # noqa: D102
        affinity, gram, guide, scale = ctx.saved_tensors
        (_, contents, outputs), relations = affinity.shape, len(guide)
        to_affinity, to_gram = torch.empty_like(affinity), torch.empty_like(gram)  # [P, J, O], [P, J, J]
        outer = _outer(guide)  # [O, U, J J]
        to_outer = torch.zeros_like(outer)
        for part in parts(len(affinity), gram[0].numel() * outputs, affinity.device):
            rows, squares = _candidates_last(affinity[part], gram[part])  # [O, J, c], [J, J, c]
            pairs = rows[:, :, None] * rows[:, None]  # [O, J, J, c]
            to_variance = (scale[part] ** 3).mul_(slope[part]).mul_(-0.5).permute(2, 1, 0).contiguous()  # [O, U, c]
            to_form = torch.bmm(outer.transpose(1, 2), to_variance).view(pairs.shape)  # [O, J, J, c]
            to_gram[part] = (to_form * pairs).sum(0).permute(2, 0, 1)  # [c, J, J]
            form = pairs.mul_(squares).flatten(1, 2)  # [O, J J, c]
            to_outer.baddbmm_(to_variance, form.transpose(1, 2))  # [O, U, J J]
            # the form is symmetric: both of its rows give the same
            to_rows = to_form.mul_(squares).mul_(rows[:, None]).sum(2)  # [O, J, c]
            to_affinity[part] = to_rows.mul_(2).permute(2, 1, 0)  # [c, J, O]
        to_outer = to_outer.view(outputs, relations, contents, contents)
        across = torch.matmul(to_outer + to_outer.transpose(2, 3), guide.permute(2, 0, 1)[..., None])  # [O, U, J, 1]
        return to_affinity, to_gram, across[..., 0].permute(1, 2, 0), None, None


def _outer(guide: Tensor) -> Tensor:
    """Products of two guides ``[U, J, O]`` of a relation for the same row of the other modality, ``[O, U, J J]``."""
    rows = guide.permute(2, 0, 1).contiguous()  # [O, U, J]
    return (rows[..., None] * rows[:, :, None]).flatten(2)  # [O, U, J J]


def _candidates_last(affinity: Tensor, gram: Tensor) -> tuple[Tensor, Tensor]:
    """``[c, J, O]`` and ``[c, J, J]`` with candidates last, ``[O, J, c]`` and ``[J, J, c]``."""
    return affinity.permute(2, 1, 0).contiguous(), gram.permute(1, 2, 0).contiguous()
