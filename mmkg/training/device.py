"""Device and precision of the arithmetic."""

from __future__ import annotations

import torch
from accelerate import Accelerator

from mmkg.errors import DataError


def apart(device: torch.device) -> bool:
    """Whether a device computes beside the host, which may then prepare what comes next."""
    return device.type != "cpu"


def accelerator_of(precision: str) -> Accelerator:
    """Device and precision of the arithmetic: the GPU where CUDA finds one, the CPU otherwise.

    Args:
        precision: "no", "bf16" or "fp16".

    Raises:
        DataError: If the precision cannot be had here.
    """
    if precision == "fp16" and not torch.cuda.is_available():
        raise DataError("precision fp16 needs a GPU", cure="choose bf16, or no for float32")
    try:
        # Apple's GPUs lack float64, which exact filtered sampling and ranks need
        accelerator = Accelerator(mixed_precision=precision, cpu=not torch.cuda.is_available())
    except ValueError as error:  # accelerate keeps one precision a process
        problem = f"precision {precision} after another one in the same process ({error})"
        raise DataError(problem, cure="use one precision, or start a new process") from None
    if accelerator.num_processes > 1:
        raise DataError(f"{accelerator.num_processes} processes", cure="train in one; each would do the same work")
    return accelerator
