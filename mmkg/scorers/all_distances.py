"""All distances as one step of autograd, whose gradient comes from kernels of its own."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmkg.scorers.kernels import over_blocks
from mmkg.scorers.pairs import Distance, of_candidates, of_questions, pairs


class AllDistances(torch.autograd.Function):
    """All distances by a kernel; their differences are computed anew for the gradient, in other kernels."""

    @staticmethod
    def forward(ctx, distance: Distance, queries: int, tables: int, *tensors: Tensor) -> Tensor:
        """Distances ``[B, n]`` of so many parts of queries, so many of candidates, and the rest of relations."""
        ctx.save_for_backward(*tensors)
        ctx.distance, ctx.cuts = distance, (queries, queries + tables)
        return over_blocks(pairs, distance, *_cut(tensors, ctx.cuts))[0]  # [B, n]

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of those parts that want one, from that of the distances ``[B, n]``."""
        parts, wanted = _cut(ctx.saved_tensors, ctx.cuts), _cut(ctx.needs_input_grad[3:], ctx.cuts)
        queries, nothing = ctx.cuts[0], [None] * len(ctx.saved_tensors)
        asked, table = nothing, nothing[: len(parts[1])]
        if any(wanted[0] + wanted[2]):
            asked = over_blocks(of_questions, ctx.distance, *parts, grad)
        if any(wanted[1]):
            table = over_blocks(of_candidates, ctx.distance, *parts, grad)
        return None, None, None, *asked[:queries], *table, *asked[queries : queries + len(parts[2])]


def _cut(values: tuple, cuts: tuple[int, int]) -> tuple[tuple, tuple, tuple]:
    return values[: cuts[0]], values[cuts[0] : cuts[1]], values[cuts[1] :]
