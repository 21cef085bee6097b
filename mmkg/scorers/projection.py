"""What an entity's place in the graph is likely to be, from what it looks like and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

PENALTIES = tuple(10.0**power for power in range(-4, 5))
"""Ridge penalties that are tried, in units of the mean variance of the features."""


@dataclass
class Projection:
    """A linear map from pooled features to structural embeddings.

    Args:
        weight: Shape ``[p, d]``, over the modalities side by side, each followed by whether it is there.
        bias: Shape ``[d]``.
        penalty: The ridge penalty that was chosen, out of :data:`PENALTIES`.
        explained: Share of the structural embeddings' variance that it explains of an entity left out; 0 or less says
            that the mean of all entities does as well.
    """

    weight: Tensor
    bias: Tensor
    penalty: float
    explained: float

    def __call__(self, vectors: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
        """Structural embeddings ``[n, d]`` of pooled vectors ``[n, D_m]`` and who has them ``[n]``."""
        return (side_by_side(vectors, present) @ self.weight + self.bias).float()


def side_by_side(vectors: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
    """Features ``[n, p]`` in float64: each modality's vectors, zero where it is not there, and whether it is."""
    parts = [torch.cat([vectors[m] * present[m][:, None], present[m][:, None]], 1) for m in sorted(vectors)]
    return torch.cat(parts, 1).double()


def fit_projection(vectors: dict[str, Tensor], present: dict[str, Tensor], structure: Tensor) -> Projection:
    r"""Ridge regression from known entities' features to their structural embeddings.

    .. math:: W = (X^\top X + \lambda I)^{-1} X^\top S

    with columns centred. Of :data:`PENALTIES` the one is taken with the smallest error of entities left out one at a
    time, which needs no refit: :math:`r_i / (1 - H_{ii})` with residuals :math:`r` and
    :math:`H = X (X^\top X + \lambda I)^{-1} X^\top + 1/n` (Allen's PRESS, 1974).

    Args:
        vectors: Pooled vectors of known entities by modality, shape ``[n, D_m]``.
        present: Whether each has the modality, shape ``[n]``.
        structure: Their structural embeddings, shape ``[n, d]``.

    Raises:
        ValueError: If there are fewer than two entities.
    """
    if len(structure) < 2:
        raise ValueError(f"{len(structure)} entities with features: a projection needs two or more")
    x, y = side_by_side(vectors, present), structure.detach().double()  # [n, p], [n, d]
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    values, axes = torch.linalg.eigh(x.T @ x)  # [p], [p, p]
    values = values.clamp(min=0)
    scores, target = x @ axes, axes.T @ (x.T @ y)  # [n, p], [p, d]
    unit, total = values.mean().clamp(min=1e-12), (y * len(y) / (len(y) - 1)).square().sum()  # of the mean, left out
    best = None
    for penalty in PENALTIES:
        shrink = 1 / (values + penalty * unit)  # [p]
        leverage = (scores.square() * shrink).sum(1) + 1 / len(y)  # [n]
        # an entity that alone has a feature is its own fit: it says nothing, and must not be divided by zero
        left_out = (y - scores @ (shrink[:, None] * target)) / (1 - leverage).clamp(min=1e-6)[:, None]  # [n, d]
        error = float(left_out.square().sum())
        if best is None or error < best[0]:
            best = error, penalty, shrink
    weight = axes @ (best[2][:, None] * target)  # [p, d]
    return Projection(weight, y_mean - x_mean @ weight, best[1], 1 - best[0] / float(total.clamp(min=1e-30)))
