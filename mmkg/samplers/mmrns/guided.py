"""The guided half of KCA for every entity of a pool under every relation, projected and never kept."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CACHE_NUMBERS = 2**18
"""Mixing weights computed at once: with what is made beside them, as many numbers as a core's cache holds."""


class GuidedProjection(torch.autograd.Function):
    r"""Sums rows, weighted by relation, through the projection: :math:`\sum_{jo} s_{puo} g_{ujo} M_{pjo}\, c_{pj} W_o`.

    Autograd would keep the weights :math:`s g` for every entity and relation and walk over them, and over the
    projected rows :math:`M c W`, several times. Here parts of the entities small enough for the cache are made, used
    and forgotten, and made again in the backward pass.

    Args:
        content: Rows :math:`c`, shape ``[P, J, a]``.
        affinity: :math:`M`, shape ``[P, J, O]``.
        weight: :math:`W`, shape ``[a, O, a']``.
        scale: :math:`s`, shape ``[P, U, O]``.
        guide: :math:`g`, shape ``[U, J, O]``.
        rest: Added for each entity, shape ``[P, a']``.

    Returns:
        Shape ``[P, U, a']``.
    """

    @staticmethod
    def forward(ctx, content, affinity, weight, scale, guide, rest):  # noqa: D102 - the class says it
        ctx.save_for_backward(content, affinity, weight, scale, guide)
        out = content.new_empty(len(content), len(guide), weight.shape[-1])  # [P, U, a']
        step = _Step(affinity.shape[1], weight, guide)
        for part in step.parts(len(content)):
            _, rows = step.rows(content[part], affinity[part])  # [c, J O, a']
            mixing = step.mixing(scale[part])  # [c, U, J O]
            torch.baddbmm(rest[part, None], mixing, rows, out=out[part])  # [c, U, a']
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, slope):  # noqa: D102
        content, affinity, weight, scale, guide = ctx.saved_tensors
        slope = slope.contiguous()
        step = _Step(affinity.shape[1], weight, guide)
        to_content, to_affinity, to_scale = (torch.empty_like(x) for x in (content, affinity, scale))
        to_weight = torch.zeros(content.shape[-1], weight[0].numel(), dtype=weight.dtype, device=weight.device)
        to_guide = torch.zeros_like(step.guide)  # [U, A, B]
        for part in step.parts(len(content)):
            plain, rows = step.rows(content[part], affinity[part])  # [c, J, O, a'], [c, J O, a']
            mixing, given = step.mixing(scale[part]), slope[part]  # [c, U, J O], [c, U, a']
            to_rows = step.unordered(torch.bmm(mixing.transpose(1, 2), given))  # [c, J, O, a'], a view
            to_mixing = torch.bmm(given, rows.transpose(1, 2)).view(len(given), *step.guide.shape)  # [c, U, A, B]
            to_scale[part] = (to_mixing * step.guide).sum(step.content_dim)  # [c, U, O]
            to_guide += to_mixing.mul_(scale[part].unsqueeze(step.content_dim)).sum(0)  # [U, A, B]
            to_affinity[part] = torch.linalg.vecdot(to_rows, plain)  # [c, J, O]
            to_plain = (to_rows * affinity[part][..., None]).flatten(0, 1).flatten(1)  # [c J, O a']
            to_content[part] = (to_plain @ step.flat.T).view(content[part].shape)  # [c, J, a]
            to_weight += content[part].flatten(0, 1).T @ to_plain  # [a, O a']
        to_guide = to_guide.transpose(1, 2) if step.content_inner else to_guide  # [U, J, O]
        return to_content, to_affinity, to_weight.view(weight.shape), to_scale, to_guide, slope.sum(1)


class NormScale(torch.autograd.Function):
    r"""Norm's scale :math:`s = (\mathrm{var} + ε)^{-1/2}` from variances that are quadratic forms, 0 where masked.

    Only :math:`s` is kept, from which its slope follows: :math:`∂\mathrm{var} = -s^3 / 2`.

    Args:
        outer: Products of guides, shape ``[U, Q, O]``.
        form: Coefficients, shape ``[P, Q, O]``.
        row_mask: True where there is a row to scale, shape ``[P, O]``.
        eps: :math:`ε`.

    Returns:
        Shape ``[P, U, O]``.
    """

    @staticmethod
    def forward(ctx, outer, form, row_mask, eps):  # noqa: D102 - the class says it
        variance = torch.bmm(outer.permute(2, 0, 1), form.permute(2, 1, 0))  # [O, U, P]
        # rounding can leave a variance of nothing slightly below zero
        scale = variance.clamp_(min=0).add_(eps).rsqrt_().permute(2, 1, 0)  # [P, U, O]
        scale = torch.mul(scale, row_mask[:, None], out=scale.new_empty(scale.shape))  # [P, U, O], laid out anew
        ctx.save_for_backward(outer, form, scale)
        return scale

    @staticmethod
    @once_differentiable
    def backward(ctx, slope):  # noqa: D102
        outer, form, scale = ctx.saved_tensors
        to_variance = (scale**3).mul_(slope).mul_(-0.5).permute(2, 1, 0)  # [O, U, P], 0 where masked
        to_variance = to_variance.contiguous()
        to_outer = torch.bmm(to_variance, form.permute(2, 0, 1)).permute(1, 2, 0)  # [U, Q, O]
        to_form = torch.bmm(outer.permute(2, 1, 0), to_variance).permute(2, 1, 0)  # [P, Q, O]
        return to_outer, to_form, None, None


class _Step:
    """What the parts share. Of own rows J and the other's O, the more numerous lie innermost: ``[A, B]``."""

    def __init__(self, contents: int, weight: Tensor, guide: Tensor) -> None:
        self.outputs = weight.shape[1]
        self.content_inner = contents >= self.outputs
        self.content_dim = -1 if self.content_inner else -2  # place of J in [..., A, B]
        self.flat = weight.flatten(1)  # [a, O a']
        self.guide = (guide.transpose(1, 2) if self.content_inner else guide).contiguous()  # [U, A, B]

    def parts(self, count: int) -> Iterator[slice]:
        """Slices of the entities."""
        size = max(1, CACHE_NUMBERS // self.guide.numel())
        for start in range(0, count, size):
            yield slice(start, start + size)

    def rows(self, content: Tensor, affinity: Tensor) -> tuple[Tensor, Tensor]:
        """Projected rows ``[c, J, O, a']``, and the same times the affinity in the order of the mixing."""
        plain = (content.flatten(0, 1) @ self.flat).view(*content.shape[:2], self.outputs, -1)  # [c, J, O, a']
        left, right = (plain, affinity) if not self.content_inner else (plain.transpose(1, 2), affinity.transpose(1, 2))
        return plain, (left * right[..., None]).reshape(len(content), -1, plain.shape[-1])  # [c, J O, a']

    def mixing(self, scale: Tensor) -> Tensor:
        """Weights ``[c, U, J O]`` of the rows from scales ``[c, U, O]``."""
        return (scale.unsqueeze(self.content_dim) * self.guide).flatten(2)  # [c, U, J O]

    def unordered(self, rows: Tensor) -> Tensor:
        """Rows ``[c, J O, a']`` in the order of the mixing as ``[c, J, O, a']``."""
        rows = rows.view(len(rows), *self.guide.shape[1:], -1)  # [c, A, B, a']
        return rows.transpose(1, 2) if self.content_inner else rows
