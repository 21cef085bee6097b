"""Optimisers by name."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from mmkg.training.optimizers.row_adagrad import RowAdagrad
from mmkg.training.optimizers.row_adam import RowAdam


def adagrad(params: Iterable[Tensor], lr: float, weight_decay: float) -> torch.optim.Adagrad:
    """Torch's Adagrad, in one pass over memory where parameters lie on a CPU: there memory is what a step waits for.

    Args:
        params: Dense parameters.
        lr: Learning rate, above 0.
        weight_decay: L2 penalty.
    """
    params = list(params)
    fused = True if all(p.device.type == "cpu" for p in params) else None
    return torch.optim.Adagrad(params, lr=lr, weight_decay=weight_decay, fused=fused)


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adagrad": adagrad,
    "row_adagrad": RowAdagrad,
    "row_adam": RowAdam,
}
"""Optimisers by the name that the command line knows them under; each takes ``params, lr, weight_decay``."""

BY_ROWS = frozenset({"row_adagrad", "row_adam"})
"""Those that take a sparse gradient of a table, and then cost what a step touches."""

__all__ = ["BY_ROWS", "OPTIMIZERS", "RowAdagrad", "RowAdam"]
