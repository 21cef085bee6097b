"""The guided half of KCA for every entity of a pool under every relation, projected and never kept."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmkg.samplers.mmrns.parts import parts


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
        step = _Step(weight, guide)
        for part in parts(len(content), step.guide.numel(), content.device):
            weights = step.spread(scale[part]).mul_(step.guide).mul_(affinity[part].flatten(1)[:, None])  # [c, U, J O]
            torch.bmm(weights, step.rows(content[part]), out=out[part]).add_(rest[part, None])  # [c, U, a']
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, slope):  # noqa: D102
        content, affinity, weight, scale, guide = ctx.saved_tensors
        slope = slope.contiguous()
        step = _Step(weight, guide)
        to_content, to_affinity, to_scale = (torch.empty_like(x) for x in (content, affinity, scale))
        to_weight, to_guide = torch.zeros_like(step.weight), torch.zeros_like(step.guide)  # [a, O a'], [U, J O]
        for part in parts(len(content), step.guide.numel(), content.device):
            given, own, rows = slope[part], affinity[part].flatten(1)[:, None], step.rows(content[part])
            both = step.spread(scale[part]).mul_(step.guide)  # [c, U, J O], s g
            to_weights = torch.bmm(given, rows.transpose(1, 2)).mul_(both)  # [c, U, J O], times s g from here on
            to_affinity[part] = to_weights.sum(1).view(affinity[part].shape)  # [c, J, O]
            to_rows = torch.bmm(both.mul_(own).transpose(1, 2), given)  # [c, J O, a']
            to_rows = to_rows.view(-1, step.weight.shape[1])  # [c J, O a']
            to_content[part] = (to_rows @ step.weight.T).view(content[part].shape)  # [c, J, a]
            to_weight.addmm_(content[part].flatten(0, 1).T, to_rows)  # [a, O a']
            to_weights.mul_(own)
            to_scale[part] = step.gather(to_weights)  # [c, U, O]
            to_guide += to_weights.sum(0)  # [U, J O]
        # slopes of s and of g share one product, out of which the one and the other is divided
        to_scale, to_guide = _without(to_scale, scale), _without(to_guide, step.guide)  # [P, U, O], [U, J O]
        return to_content, to_affinity, to_weight.view(weight.shape), to_scale, to_guide.view(guide.shape), slope.sum(1)


def _without(product: Tensor, factor: Tensor) -> Tensor:
    """A product without one of its factors; 0 where that is 0: a masked row, or a guide that has no slope itself."""
    return product.div_(factor).masked_fill_(factor == 0, 0.0)


class _Step:
    """What the parts share: weight and guide with J and O, or O and a', in one dimension.

    Products that broadcast over a last dimension as short as J or O are slow, and so are sums over it. A product with a
    matrix of zeros and ones spreads ``[.., O]`` to ``[.., J O]`` and adds up the other way.
    """

    def __init__(self, weight: Tensor, guide: Tensor) -> None:
        self.weight, self.guide = weight.flatten(1), guide.flatten(1)  # [a, O a'], [U, J O]
        self.ones = torch.eye(guide.shape[2], dtype=guide.dtype, device=guide.device).repeat(1, guide.shape[1])

    def rows(self, content: Tensor) -> Tensor:
        """Rows ``[c, J, a]`` projected for each row of the other modality, ``[c, J O, a']``."""
        projected = content.flatten(0, 1) @ self.weight  # [c J, O a']
        return projected.view(len(content), self.guide.shape[1], -1)  # [c, J O, a']

    def spread(self, scale: Tensor) -> Tensor:
        """Scales ``[c, U, O]`` for every own row, ``[c, U, J O]``."""
        return scale @ self.ones

    def gather(self, slope: Tensor) -> Tensor:
        """The sum over own rows, from ``[c, U, J O]`` to ``[c, U, O]``."""
        return slope @ self.ones.T
