"""Columns of all rows exchanged for rows of all columns, between processes and with gradients the other way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable


def trade(columns: Tensor, rows: Sequence[int], widths: Sequence[int], number: int, meet: Callable[[], None]) -> Tensor:
    r"""This process's rows of a matrix of which each process has computed some columns.

    .. math::
        Y^{(p)} = [S^{(0)}_{R_p}, …, S^{(W-1)}_{R_p}], \qquad
        \bar S^{(q)}_{R_p} = \bar Y^{(p)}_{\cdot, C_q}

    with :math:`S^{(q)}` the columns :math:`C_q` of process q and :math:`R_p` the rows of process p; each number that
    another process needs is sent once, and its slope once.

    Args:
        columns: This process's columns of all rows, shape ``[m, R, c]``.
        rows: How many of the ``R`` rows each process wants, in order.
        widths: How many columns each process has, in order.
        number: Which process this one is.
        meet: Called before each exchange, once there is memory for it, and in the backward pass too; raises in all
            processes alike where one of them cannot take part.

    Returns:
        Shape ``[m, R_p, P]``.
    """
    return _Trade.apply(columns, tuple(rows), tuple(widths), number, meet)


class _Trade(torch.autograd.Function):
    """See :func:`trade`."""

    @staticmethod
    def forward(ctx, columns, rows, widths, number, meet):
        ctx.rows, ctx.widths, ctx.number, ctx.meet = rows, widths, number, meet
        sent = [columns[:, part] for part in _slices(rows)]  # of each process's rows
        shapes = [(columns.shape[0], rows[number], width) for width in widths]
        return torch.cat(_exchange(sent, shapes, meet), dim=2)  # [m, R_p, P]

    @staticmethod
    @once_differentiable
    def backward(ctx, slope):
        sent = [slope[:, :, part] for part in _slices(ctx.widths)]  # of each process's columns
        shapes = [(slope.shape[0], count, ctx.widths[ctx.number]) for count in ctx.rows]
        return torch.cat(_exchange(sent, shapes, ctx.meet), dim=1), None, None, None, None  # [m, R, c]


def _slices(sizes: Sequence[int]) -> list[slice]:
    """Slices of so many entries, one after the other."""
    return [slice(*ends) for ends in pairwise([0, *accumulate(sizes)])]


def _exchange(sent: list[Tensor], shapes: list[tuple[int, int, int]], meet: Callable[[], None]) -> list[Tensor]:
    """What each process sends to this one, of given shapes, for what this one sends to each."""
    out = torch.cat([part.reshape(-1) for part in sent])
    sizes = [a * b * c for a, b, c in shapes]
    got = out.new_empty(sum(sizes))
    meet()  # only now: whoever has no memory for this says so here, and nobody waits in the exchange
    dist.all_to_all_single(got, out, sizes, [part.numel() for part in sent])
    return [part.view(shape) for part, shape in zip(got.split(sizes), shapes, strict=True)]
