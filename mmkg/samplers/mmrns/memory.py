"""How many candidates a step can afford to keep."""

from __future__ import annotations

from typing import Literal

import psutil
import torch

LEAST = 32
"""Candidates in a chunk at least: fewer would only be slower."""


def affordable(memory_mb: float | Literal["auto"], bytes_each: int, device: torch.device) -> int:
    """Candidates in a chunk.

    Args:
        memory_mb: Memory for them in MiB; ``"auto"`` for half of what is free on the device.
        bytes_each: What a step keeps of one candidate.
        device: Where it is kept.
    """
    budget = free_bytes(device) // 2 if memory_mb == "auto" else int(memory_mb * 2**20)
    return max(LEAST, budget // max(1, bytes_each))


def shrink_chunks(sampler) -> str | None:
    """Compute half as many candidates at once: what was chosen, or None if that would be too few."""
    before = min(sampler.pool_size, sampler.chunk_size or sampler.pool_size)
    after = max(LEAST, before // 2)
    if after >= before:
        return None
    sampler.chunk_size = after
    return f"{after} candidates at once"


def fits(needed: int, device: torch.device) -> bool:
    """Whether half of what is free on a device holds so many bytes."""
    return needed <= free_bytes(device) // 2


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device, what PyTorch has reserved and does not use included."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return psutil.virtual_memory().available
