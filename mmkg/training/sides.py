"""One loss out of the parts of a batch that are asked at different sides."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mmkg.types import Batch


def joined(batches: Sequence[Batch], losses: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    r"""Means over parts of a batch as means over the whole: :math:`L = \sum_p \Omega_p L_p / \sum_p \Omega_p`.

    Args:
        batches: The parts; :math:`\Omega_p` is the sum of a part's weights, or its size where it has none.
        losses: Losses of each part by name; one that a part lacks counts as 0 there.
    """
    if len(losses) == 1:
        return losses[0]
    shares = [len(part) if part.weight is None else part.weight.sum() for part in batches]
    whole = sum(shares)
    names = dict.fromkeys(name for part in losses for name in part)
    return {
        name: sum(part[name] * (share / whole) for part, share in zip(losses, shares, strict=True) if name in part)
        for name in names
    }
