"""Features of some entities, projected without ever standing in memory as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmkg.samplers.mmrns.parts import parts
from mmkg.samplers.mmrns.plain import compute, projected
from mmkg.types import Features


@dataclass
class Stored:
    """Features of some entities where they are stored, maybe on disk.

    Args:
        features: Of all entities.
        ids: Entities, shape ``[n]``.
        all_rows: Padded and missing rows count as rows of zeros, as in published code.
    """

    features: Features
    ids: Tensor
    all_rows: bool = False

    def mask(self) -> Tensor:
        """True where a row counts, ``[n, R]``."""
        mask = self.features.row_mask(self.ids).to(self.ids.device)  # [n, R]
        return torch.ones_like(mask) if self.all_rows else mask

    def project(self, layer: torch.nn.Linear) -> Tensor:
        """The layer's output for all rows, ``[n, R, a]``."""
        return compute(Projected, projected, layer.weight, layer.bias, self.features, self.ids)


class Projected(torch.autograd.Function):
    """A linear layer over gathered rows, which are made in parts and forgotten, and made again for the gradient."""

    @staticmethod
    def forward(ctx, weight, bias, features, ids):  # noqa: D102 - the class says it
        out = weight.new_empty(ids.numel(), features.shape[1], len(weight))  # [n, R, a]
        for part in parts(len(out), features.shape[1] * features.shape[2], out.device):
            values, _ = features.gather(ids[part])  # [c, R, D]
            torch.addmm(bias, values.flatten(0, 1).to(weight.dtype), weight.T, out=out[part].flatten(0, 1))
        ctx.features, ctx.ids, ctx.dtype = features, ids, weight.dtype
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, slope):  # noqa: D102
        slope = slope.contiguous()  # [n, R, a]
        to_weight = slope.new_zeros(slope.shape[-1], ctx.features.shape[2])  # [a, D]
        for part in parts(len(slope), ctx.features.shape[1] * ctx.features.shape[2], slope.device):
            values, _ = ctx.features.gather(ctx.ids[part])  # [c, R, D]
            to_weight.addmm_(slope[part].flatten(0, 1).T, values.flatten(0, 1).to(slope.dtype))
        return to_weight, slope.sum((0, 1)), None, None
