"""What optimisers share that leave alone the rows which a step did not touch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class RowOptimizer(torch.optim.Optimizer):
    """An optimiser that updates each parameter by the rows whose gradient is there and not zero.

    Args:
        params: Parameters or groups of them.
        lr: Learning rate, above 0.
        eps: What is added to a divisor, above 0.
        weight_decay: L2 penalty on the rows that are touched, at least 0.
        others: What else a group of parameters has, by name.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, params: Iterable, lr: float, eps: float, weight_decay: float, **others: Any) -> None:
        if not lr > 0 or not eps > 0 or weight_decay < 0:
            raise ValueError(f"lr {lr}, eps {eps}, weight_decay {weight_decay}: lr and eps above 0, decay at least 0")
        super().__init__(params, {"lr": lr, "eps": eps, "weight_decay": weight_decay, **others})

    @torch.no_grad()
    def step(self, closure=None):
        """One step along the gradients that there are, dense or sparse."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    @abstractmethod
    def _update(self, parameter: Tensor, group: dict) -> None:
        """Change a parameter in place."""


def as_rows(parameter: Tensor) -> Tensor:
    """A view of a parameter as rows ``[n, d]``; one of fewer than two dimensions is one row."""
    return parameter.view(len(parameter), -1) if parameter.dim() > 1 else parameter.view(1, -1)


def touched(parameter: Tensor) -> tuple[Tensor, Tensor]:
    """Rows whose gradient is there and, where it is dense, not zero: their numbers ``[m]`` and gradients ``[m, d]``."""
    if parameter.grad.is_sparse:
        gradient = parameter.grad.coalesce()
        return gradient.indices()[0], gradient.values()
    values = parameter.grad.reshape(as_rows(parameter).shape)  # [n, d]
    rows = values.any(1).nonzero()[:, 0]  # [m]
    return rows, values[rows]
