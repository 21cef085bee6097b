"""Tables whose rows differ in length, as flat arrays: sorted keys, runs of equal ones, and cuts that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray


def ragged(sizes: Array) -> tuple[Array, Array]:
    """Row and step of each cell of a ragged table with rows of these sizes: ``[n]`` -> ``[M]``, ``[M]``."""
    row = np.repeat(np.arange(len(sizes)), sizes)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def runs(ordered: Array) -> tuple[Array, Array]:
    """Where each run of equal values begins in a sorted array ``[n]``, and how long it is."""
    start = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.zeros(0, dtype=np.int64)
    return start, np.diff(np.r_[start, len(ordered)])


def sorted_unique(values: Array) -> Array:
    """The distinct values, sorted; many times faster on long arrays of integers than ``np.unique``, which hashes."""
    ordered = np.sort(values)
    return ordered[runs(ordered)[0]]


def split_key(key: Array, base: int) -> Array:
    """Quotient and remainder of keys ``[n]``, ``[2, n]``."""
    return np.stack(np.divmod(key, max(base, 1)))


def find(ordered: Array, wanted: Array) -> tuple[Array, Array]:
    """Place of each wanted value in a sorted array (any place where it is not) and whether it is there."""
    if not len(ordered):
        return np.zeros(wanted.shape, dtype=np.int64), np.zeros(wanted.shape, dtype=bool)
    place = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return place, ordered[place] == wanted


def packs(sizes: Array, limit: int) -> Iterator[tuple[int, int]]:
    """Cut sizes ``[n]`` into runs (begin, end) whose sum is at most ``limit``, or that hold a single larger one."""
    total, begin = np.cumsum(sizes), 0
    while begin < len(sizes):
        before = total[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(total, before + limit, side="right")))
        yield begin, end
        begin = end


def add_up(rule: Array, support: Array, pair: Array) -> tuple[Array, Array, Array]:
    """Support of the same rule in several parts added up, with its first pair; ``[q']`` -> ``[q]`` each."""
    rule, first, where = np.unique(rule, return_index=True, return_inverse=True)
    return rule, np.bincount(where, weights=support, minlength=len(rule)).astype(np.int64), pair[first]
