"""Entities of equal embeddings, which must get equal scores."""

from __future__ import annotations

import torch
from torch import Tensor


def twins(table: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of a table that repeat an earlier one.

    A matrix product may sum the same numbers in another order near its edges, on some processors everywhere, so that
    equal candidates come out unequal by a rounding and ties break by entity id. Who knows the twins can copy scores.

    Args:
        table: Embeddings, shape ``[N, d]``.

    Returns:
        Rows that repeat another ``[D]``, and the first row of each one's kind ``[D]``.
    """
    sums = torch.cat([_fingerprint(part) for part in table.split(4096)]) if len(table) else table.new_zeros(0).long()
    order = sums.argsort(stable=True)  # [N], rows of one fingerprint side by side, the first row first
    ordered = sums[order]
    start = torch.ones_like(ordered, dtype=torch.bool)
    start[1:] = ordered[1:] != ordered[:-1]  # [N]
    first = order[start][start.cumsum(0) - 1]  # [N], the first row of the same fingerprint
    again = ~start
    rows, first = order[again], first[again]  # [D], [D]
    same = torch.cat([(table[r] == table[f]).all(1) for r, f in zip(rows.split(4096), first.split(4096), strict=True)])
    return rows[same], first[same]


def _fingerprint(rows: Tensor) -> Tensor:
    """A number ``[n]`` for each row ``[n, d]``, equal for equal rows and hardly ever for others."""
    rows = rows if rows.dtype == torch.float64 else rows.float()
    bits = (rows + 0.0).view(torch.int64 if rows.dtype == torch.float64 else torch.int32)  # [n, d]; -0 becomes 0
    half = 4 * bits.element_size()
    generator = torch.Generator().manual_seed(0)
    odd = 2 * torch.randint(2**30, (rows.shape[1],), generator=generator) + 1  # [d]
    mixed = bits.bitwise_xor_(bits >> half)  # [n, d], or the low bits of short fractions would all be zero
    return mixed.mul_(odd.to(bits)).sum(1)  # [n], wrapping around
