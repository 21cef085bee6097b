"""Which rows of a table a step touches."""

from __future__ import annotations

from torch import Tensor


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
