"""Several processes that train one model: what they exchange, and what one says when another is gone."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import Tensor

from mmkg.errors import MMKGError, ProcessLost
from mmkg.training.trade import trade


def process_number() -> int:
    """Number of this process among those that ``torchrun`` or ``accelerate launch`` started; 0 where none was."""
    return int(os.environ.get("RANK", "0"))


LOST = re.compile(r"gloo|nccl|peer|timed? ?out|timeout|connection|socket", re.IGNORECASE)


class RanOutElsewhere(MemoryError):
    """Memory ran out in another process, and all know."""


class Processes:
    """The processes that ``torchrun`` or ``accelerate launch`` started, or the one that there is.

    Args:
        accelerator: Knows how many there are.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.count, self.number = accelerator.num_processes, accelerator.process_index

    @property
    def first(self) -> bool:
        """Whether this one writes."""
        return self.number == 0

    def wrap(self, module: torch.nn.Module) -> torch.nn.Module:
        """The module in PyTorch's DistributedDataParallel where there are several processes.

        All begin with the first one's parameters; gradients are means over processes.
        """
        if self.count == 1:
            return module
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of an option that has another name in later versions
            return self.accelerator.prepare(module)  # a sampler's buffers stay each process's own

    def sum(self, parts: dict[str, Tensor]) -> dict[str, Tensor]:
        """Sums of scalars over processes, by name; the names are the same in all."""
        if self.count == 1 or not parts:
            return parts
        whole = torch.stack([x.detach().float().reshape(()) for x in parts.values()])  # [n]
        dist.all_reduce(whole)
        return dict(zip(parts, whole, strict=True))

    def average(self, tensors: list[Tensor]) -> None:
        """Put in each tensor's place its mean over processes."""
        for tensor in tensors if self.count > 1 else ():
            dist.all_reduce(tensor)
            tensor /= self.count

    def any(self, asked: bool) -> bool:
        """Whether any process was asked, so that all stop after the same step."""
        if self.count == 1:
            return asked
        flag = torch.tensor([float(asked)], device=self.accelerator.device)
        dist.all_reduce(flag)
        return bool(flag[0] > 0)

    def meet(self) -> None:
        """Go on together, or not at all.

        Raises:
            RanOutElsewhere: If memory ran out in another process, which asked :meth:`any` meanwhile; then this one must
                not ask again.
        """
        if self.any(False):
            raise RanOutElsewhere("in another process")

    def trade(self, columns: Tensor, rows: Sequence[int], widths: Sequence[int]) -> Tensor:
        """Columns of all rows for rows of all columns, see :func:`mmkg.training.trade.trade`."""
        return trade(columns, rows, widths, self.number, self.meet)

    def gather(self, state: Tensor) -> list[Tensor]:
        """The state ``[n]`` of each process, in order."""
        if self.count == 1:
            return [state]
        states: list = [None] * self.count
        dist.all_gather_object(states, state)
        return states

    @contextmanager
    def contact(self, last_good) -> Iterator[None]:
        """While entered, a lost connection is told as such.

        Args:
            last_good: Gives the latest checkpoint, or None.

        Raises:
            ProcessLost: If another process ended or fell silent.
        """
        try:
            yield
        except RuntimeError as error:
            if self.count == 1 or isinstance(error, MMKGError) or not LOST.search(str(error)):
                raise
            path: Path | None = last_good()
            kept = "no checkpoint was written yet" if path is None else f"the last checkpoint is {path}"
            reason = " ".join(str(error).split())[:200]
            raise ProcessLost(
                f"process {self.number} of {self.count} lost contact with another one, which ended or was killed "
                f"({reason}); {kept}. Cure: start all processes again and resume"
            ) from error
