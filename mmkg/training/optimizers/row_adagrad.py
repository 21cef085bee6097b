"""Adagrad with one number of state a row, which leaves alone the rows that a step did not touch."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from mmkg.training.optimizers.touched import RowOptimizer, as_rows, touched


class RowAdagrad(RowOptimizer):
    r"""Row-wise Adagrad for large tables of embeddings.

    .. math:: G_i \leftarrow G_i + \frac{1}{d} \|g_i\|^2, \qquad
        \theta_i \leftarrow \theta_i - \eta\, g_i / (\sqrt{G_i} + \delta)

    for each row :math:`g_i` of the gradient that is not zero (Duchi et al., `Adaptive Subgradient Methods
    <https://jmlr.org/papers/v12/duchi11a.html>`_, JMLR 2011, with one adaptive rate a row). State is ``1/d`` of
    Adagrad's, and a step costs as much as the rows that it touches where the gradient is sparse. Tensors of fewer than
    two dimensions count as one row.

    Args:
        params: Parameters or groups of them.
        lr: Learning rate :math:`\eta`, above 0.
        eps: :math:`\delta`, above 0.
        weight_decay: L2 penalty on the rows that are touched.
    """

    def __init__(self, params: Iterable, lr: float = 0.1, eps: float = 1e-10, weight_decay: float = 0.0) -> None:
        super().__init__(params, lr, eps, weight_decay)

    def _update(self, parameter: Tensor, group: dict) -> None:
        flat = as_rows(parameter)  # [n, d]
        rows, values = touched(parameter)  # [m], [m, d]
        state = self.state[parameter]
        if not state:
            state["sum"] = flat.new_zeros(len(flat))  # [n]
        if group["weight_decay"]:
            values = values + group["weight_decay"] * flat.index_select(0, rows)  # [m, d]
        # each row once: in a table far beyond the caches every look costs more than the arithmetic
        total = state["sum"].index_select(0, rows).add_(values.square().mean(1))  # [m]
        state["sum"].index_copy_(0, rows, total)
        rate = total.sqrt_().add_(group["eps"]).reciprocal_().mul_(-group["lr"])  # [m]
        # index_add_ does the same, several times as slowly where rows lie far apart
        flat.scatter_add_(0, rows[:, None].expand_as(values), values * rate[:, None])
