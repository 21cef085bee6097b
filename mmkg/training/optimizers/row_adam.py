"""Adam that leaves alone the rows that a step did not touch."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from mmkg.training.optimizers.touched import RowOptimizer, as_rows, touched


class RowAdam(RowOptimizer):
    r"""Lazy Adam for large tables of embeddings.

    .. math:: m_i \leftarrow \beta_1 m_i + (1 - \beta_1) g_i, \quad v_i \leftarrow \beta_2 v_i + (1 - \beta_2) g_i^2,
        \quad \theta_i \leftarrow \theta_i - \eta \frac{m_i / (1 - \beta_1^s)}{\sqrt{v_i / (1 - \beta_2^s)} + \delta}

    at step :math:`s` for each row :math:`g_i` of the gradient that is not zero (Kingma & Ba, `Adam
    <https://arxiv.org/abs/1412.6980>`_, ICLR 2015). Adam's averages of other rows would decay and their momentum move
    them on; here they stand still, as in PyTorch's ``SparseAdam``, and a step costs as much as the rows that it touches
    where the gradient is sparse. Where all rows are touched it is Adam. Tensors of fewer than two dimensions count as
    one row.

    Args:
        params: Parameters or groups of them.
        lr: Learning rate :math:`\eta`, above 0.
        betas: :math:`\beta_1, \beta_2` in [0, 1).
        eps: :math:`\delta`, above 0.
        weight_decay: L2 penalty on the rows that are touched.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas are {betas}, expected at least 0 and below 1")
        super().__init__(params, lr, eps, weight_decay, betas=betas)

    def _update(self, parameter: Tensor, group: dict) -> None:
        flat = as_rows(parameter)  # [n, d]
        rows, gradient = touched(parameter)  # [m], [m, d]
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["mean"], state["square"] = torch.zeros_like(flat), torch.zeros_like(flat)  # [n, d], [n, d]
        state["step"] += 1
        first, second = group["betas"]
        if group["weight_decay"]:
            gradient = gradient + group["weight_decay"] * flat[rows]
        mean = state["mean"][rows].lerp_(gradient, 1 - first)  # [m, d]
        square = state["square"][rows].mul_(second).addcmul_(gradient, gradient, value=1 - second)  # [m, d]
        state["mean"][rows], state["square"][rows] = mean, square
        step = float(state["step"])
        scale = square.div_(1 - second**step).sqrt_().add_(group["eps"])  # [m, d]
        flat.index_add_(0, rows, mean.div_(scale), alpha=-group["lr"] / (1 - first**step))
