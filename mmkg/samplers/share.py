"""What one of several processes takes of a batch and of a pool that all of them look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmkg.memory import portion

Trade = Callable[[Tensor, Sequence[int], Sequence[int]], Tensor]
"""Gives each process its rows of all columns for its columns of all rows, with gradients the other way.

Takes columns ``[m, R, c]``, how many of the ``R`` rows each process wants, in order, and how many of ``P`` columns each
has; returns ``[m, r, P]``. All processes call it together."""


@dataclass(frozen=True)
class Share:
    """Rows of a batch by process, and ranges of a pool.

    Args:
        rows: Which rows of the batch each process takes, in the order of the processes; they may overlap.
        number: Which process this one is.
        trade: How columns are exchanged for rows.
    """

    rows: Sequence[slice]
    number: int
    trade: Trade

    @property
    def own(self) -> slice:
        """The rows that this process takes."""
        return self.rows[self.number]

    def wanted(self, device: torch.device) -> Tensor:
        """The rows that any process takes, one process's after the other's, shape ``[R]``."""
        return torch.cat([torch.arange(rows.start, rows.stop, device=device) for rows in self.rows])  # [R]

    def ranges(self, size: int) -> list[slice]:
        """Which candidates of a pool of ``P`` each process looks at; as many for each, but for one."""
        count = len(self.rows)
        return [portion(size, i, count) for i in range(count)]

    def divides(self, size: int) -> bool:
        """Whether a pool of ``P`` leaves something for each process; each looks at all of it where not."""
        return size >= len(self.rows)
