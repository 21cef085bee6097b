"""Optimisers by name."""

from collections.abc import Callable

import torch

from mmkg.training.optimizers.row_adagrad import RowAdagrad

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adagrad": torch.optim.Adagrad,
    "row_adagrad": RowAdagrad,
}
"""Optimisers by the name that the command line knows them under; each takes ``params, lr, weight_decay``."""

__all__ = ["OPTIMIZERS", "RowAdagrad"]
