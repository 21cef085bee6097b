"""Distances of all pairs, and their gradients, by compiled kernels that never store a pair's differences."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from types import FunctionType

import torch
from torch import Tensor
from torch.fx.experimental import _config as symbols

from mmkg.memory import portion, ran_out
from mmkg.scorers.pairs import Distance, Parts, of_questions, pairs

QUERIES = 64  # at most so many at once
TABLE_BYTES = 2**20  # of the table at once, so that it stays in a core's cache while all questions pass over it
LARGER = 64  # times as much at once on an accelerator, which has no small cache to spare but many cores to fill
# left to itself inductor stores what several sums read: here every pair's differences, which cost less to compute anew
OPTIONS = {"realize_reads_threshold": 1000, "realize_opcount_threshold": 1000, "realize_acc_reads_threshold": 1000}

_log = logging.getLogger(__name__)
_kernels: dict[
    Distance, dict[tuple[Callable, torch.dtype], Callable] | None
] = {}  # None: this machine cannot compile it


class NoKernel(Exception):
    """This distance could not be compiled."""


def available(distance: Distance) -> bool:
    """False once compiling this distance has failed."""
    return _kernels.get(distance, {}) is not None


def over_blocks(
    work: Callable, distance: Distance, query: Parts, table: Parts, relation: Parts, *grad: Tensor
) -> list[Tensor]:
    """What ``pairs``, ``of_questions`` or ``of_candidates`` gives for all pairs, by its kernel and without gradient.

    Raises:
        NoKernel: If distances cannot be compiled. Gradients then come as plain torch computes them.
    """
    device = query[0].device.type
    larger = 1 if device == "cpu" else LARGER
    heavy = sum(x.numel() * x.element_size() for x in table) / (TABLE_BYTES * larger)
    if grad:  # sums over the blocks of the other side
        found = [x.new_zeros(x.shape) for x in ((*query, *relation) if work is of_questions else table)]
    else:
        found = [query[0].new_empty(len(query[0]), len(table[0]))]  # [B, n]
    with torch.no_grad(), torch.autocast(device, enabled=False), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler's own; nothing that a user could act upon
        for columns in _slices(len(table[0]), heavy):
            some = _rows(table, columns)
            for rows in _slices(len(query[0]), len(query[0]) / (QUERIES * larger)):
                given = (x[rows, columns].contiguous() for x in grad)  # [b, n']
                result = _call(work, distance, _rows(query, rows), some, _rows(relation, rows), *given)
                if not grad:
                    found[0][rows, columns] = result
                for whole, part in zip(found, result, strict=True) if grad else ():
                    whole[rows if work is of_questions else columns] += part
    return found


def _call(work: Callable, distance: Distance, *args: Parts | Tensor) -> Tensor | Parts:
    kernels = _kernels.setdefault(distance, {})
    if kernels is None:
        return work(distance, *args)
    kind = work, args[0][0].dtype
    if kind not in kernels:
        # code of its own, for the compiler counts the versions of a code and gives up after some
        code = work.__code__.replace(co_name=f"{work.__name__}_{distance.__qualname__}")
        own = FunctionType(code, work.__globals__, work.__name__)
        kernels[kind] = torch.compile(own, dynamic=True, fullgraph=True, options=OPTIONS)
    try:
        with symbols.patch(use_duck_shape=False):  # else sizes that are equal by chance are taken for one
            return kernels[kind](distance, *args)
    except Exception as error:  # no compiler, an unknown one, a full disk: whatever it is, plain torch does the same
        if ran_out(error):
            raise
        _log.info("scoring without a compiled kernel: %s", error)
        _kernels[distance] = None
        if work is pairs:
            raise NoKernel from error
        return work(distance, *args)


def _rows(parts: Parts, where: slice) -> Parts:
    return tuple(x[where].contiguous() for x in parts)  # one layout, one kernel


def _slices(size: int, count: float) -> Iterator[slice]:
    """At least ``count`` runs of nearly equal size: a last row alone would be compiled anew."""
    number = max(1, min(size, -int(-count // 1)))
    return (portion(size, i, number) for i in range(number))
