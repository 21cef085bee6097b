"""Work that takes smaller portions where memory runs out, and says so."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from typing import TypeVar

import torch

from mmkg.errors import OutOfMemory

T = TypeVar("T")


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory ran out: Python's, numpy's, or PyTorch's on a GPU or a CPU."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def shrinking(work: Callable[[float], T], size: float, least: float, what: str, unit: str = "MiB") -> T:
    """Do work in portions of a size, and of half of it each time that memory runs out.

    Args:
        work: Takes the size. What it did before memory ran out is done anew.
        size: To begin with.
        least: Smallest size.
        what: What is done, for the message.
        unit: Of the size.

    Raises:
        OutOfMemory: If the smallest size is too large.
    """
    while True:
        try:
            return work(size)
        except (MemoryError, RuntimeError) as error:
            if not ran_out(error) or isinstance(error, OutOfMemory):  # that one was of the smallest portion already
                raise
            told = str(error)
        # outside, for an error holds on to all that was being computed
        smaller = max(least, size / 2)
        tell(what, told, None if smaller == size else f"{smaller:g} {unit} at once")
        size = smaller


def portion(size: int, number: int, count: int) -> slice:
    """Run ``number``, from 0 on, of ``size`` things divided into ``count`` runs of nearly equal length."""
    return slice(size * number // count, size * (number + 1) // count)


def tell(what: str, told: str, chosen: str | None) -> None:
    """Free what nobody holds on to, and say what is done next.

    Args:
        what: What ran out of memory.
        told: What the system said.
        chosen: What was chosen; None where nothing smaller is left.

    Raises:
        OutOfMemory: If nothing is left.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    told = " ".join(told.split())[:200] or "MemoryError"
    if chosen is None:
        raise OutOfMemory(f"{what}: the smallest portion does not fit into memory ({told}). Cure: free some memory")
    warnings.warn(f"{what}: memory ran out ({told}); going on with {chosen}", stacklevel=3)
