"""Candidates in parts that stay in a CPU's cache, or fill a GPU."""

from __future__ import annotations

from collections.abc import Iterator

import torch

CACHE_NUMBERS = 2**19
"""Numbers of a part's largest tensor on a CPU: with what is made beside it, as many as a core's cache holds."""
GPU_NUMBERS = 2**25
"""The same on a GPU, which wants few and large kernels; no more, so that memory stays bounded."""


def parts(count: int, each: int, device: torch.device) -> Iterator[slice]:
    """Slices of ``count`` candidates, for each of which ``each`` numbers are made on a device."""
    numbers = GPU_NUMBERS if device.type == "cuda" else CACHE_NUMBERS
    size = max(1, numbers // max(1, each))
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
