"""Means over a batch with and without weights of its triples."""

from __future__ import annotations

from torch import Tensor


def weighted_mean(losses: Tensor, weight: Tensor | None) -> Tensor:
    """Mean of losses ``[B]``, weighted by positive weights ``[B]`` where there are any; a scalar."""
    return losses.mean() if weight is None else (weight * losses).sum() / weight.sum()


def valid_mean(losses: Tensor, valid: Tensor) -> Tensor:
    """Mean over the valid entries of each row, ``[B, K] -> [B]``; zero, with no gradient, where there are none."""
    return losses.masked_fill(~valid, 0.0).sum(-1) / valid.sum(-1).clamp(min=1)  # [B]
