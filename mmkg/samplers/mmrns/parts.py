"""Candidates in parts that stay in the cache."""

from __future__ import annotations

from collections.abc import Iterator

CACHE_NUMBERS = 2**19
"""Numbers of a part's largest tensor: with what is made beside it, as many as a core's cache holds."""


def parts(count: int, each: int) -> Iterator[slice]:
    """Slices of ``count`` candidates, for each of which ``each`` numbers are made."""
    size = max(1, CACHE_NUMBERS // max(1, each))
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
