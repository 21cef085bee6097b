"""Device and precision of the arithmetic."""

from __future__ import annotations

from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

from mmkg.errors import DataError

SILENCE = timedelta(minutes=10)
"""How long a process waits for one that is there and says nothing; one that ended is noticed at once."""


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
        handlers = [
            # which of a sampler's parameters take part in a step depends on the step
            DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False),
            InitProcessGroupKwargs(timeout=SILENCE),
        ]
        # Apple's GPUs lack float64, which exact filtered sampling and ranks need
        cpu = not torch.cuda.is_available()
        return Accelerator(mixed_precision=precision, cpu=cpu, kwargs_handlers=handlers)
    except ValueError as error:  # accelerate keeps one precision a process
        problem = f"precision {precision} after another one in the same process ({error})"
        raise DataError(problem, cure="use one precision, or start a new process") from None
