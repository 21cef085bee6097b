"""Streams of random numbers that have nothing to do with one another, from one seed."""

from __future__ import annotations

import hashlib


def stream(seed: int, what: str) -> int:
    """Seed of one purpose's generator.

    Torch's CPU generator keeps 32 bits of a seed only, so that sums such as ``seed + 2**32`` give the same numbers
    again, and ``seed + 1`` those of the next run. A hash keeps purposes and runs apart.

    Args:
        seed: The run's seed.
        what: The purpose, such as "batches".

    Example:
        >>> stream(0, "batches") == stream(0, "negatives"), stream(0, "batches") == stream(0, "batches")
        (False, True)
    """
    return int.from_bytes(hashlib.blake2b(f"{seed} {what}".encode(), digest_size=4).digest(), "little")
