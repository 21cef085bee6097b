"""Distances between questions and one table of candidates: by a compiled kernel where it pays, else by blocks."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmkg.types import Side

Distance = Callable[[Tensor, Tensor, Tensor, Side], Tensor]
"""``(query, candidates, relation, side) -> [...]`` over the last dimension; leading shapes broadcast; stateless."""

LEAST_WORK = 2**28
"""Numbers to be read (questions x candidates x width) from which compiling pays: about a second of uncompiled work."""
LEAST_QUERIES, QUERIES = 32, 64  # from how many on, and at most how many at once
TABLE_BYTES = 2**20  # of the table at once, so that it stays in a core's cache while all questions pass over it

_log = logging.getLogger(__name__)
_kernels: dict[Distance, Distance | None] = {}  # None: this machine cannot compile it


def by_kernel(distance: Distance, query: Tensor, table: Tensor, relation: Tensor, side: Side) -> Tensor | None:
    """Distances ``[B, n]`` by one fused kernel that stores no differences.

    The kernel comes from ``torch.compile``, which needs a C++ compiler (a GPU: Triton) and keeps what it compiled on
    disk. It serves where no gradient is wanted. Whether it is used depends on the sizes alone, so that equal runs give
    equal numbers; they differ from those of the blocks by rounding.

    Args:
        distance: Pure function of ``[B, 1, d]``, ``[1, n, d]``, ``[B, 1, d_r]`` and the side.
        query: Questions, shape ``[B, d]``.
        table: Candidates, shape ``[n, d]``.
        relation: Relations of the questions, shape ``[B, d_r]``.
        side: The side asked for.

    Returns:
        Distances, or None where a kernel does not pay or cannot be had.
    """
    small = len(query) < LEAST_QUERIES or len(query) * table.numel() < LEAST_WORK
    if small or torch.is_grad_enabled() or _kernels.get(distance, distance) is None:
        return None
    if distance not in _kernels:
        _kernels[distance] = torch.compile(distance, dynamic=True, fullgraph=True)
    kernel, columns = _kernels[distance], []
    table_parts = -(-table.numel() * table.element_size() // TABLE_BYTES)
    query_parts = -(-len(query) // QUERIES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the compiler's own; nothing that a user could act upon
            for c in table.tensor_split(table_parts):  # of nearly equal size: a last row alone would be compiled anew
                pairs = zip(query.tensor_split(query_parts), relation.tensor_split(query_parts), strict=True)
                columns.append(torch.cat([kernel(q[:, None], c[None], r[:, None], side) for q, r in pairs]))  # [B, n']
    except Exception as error:  # no compiler, an unknown one, a full disk: whatever it is, the blocks do the same work
        _log.info("scoring without a compiled kernel: %s", error)
        _kernels[distance] = None
        return None
    return torch.cat(columns, dim=1)  # [B, n]


def by_blocks(
    distance: Distance, query: Tensor, table: Tensor, relation: Tensor, side: Side, chunk_mb: float
) -> Tensor:
    """Distances ``[B, n]`` block by block, so that no ``[B, n, d]`` ever stands in memory.

    Where a gradient is wanted, blocks are computed anew in the backward pass.

    Args:
        distance: As in :func:`by_kernel`.
        query: Questions, shape ``[B, d]``.
        table: Candidates, shape ``[n, d]``.
        relation: Relations of the questions, shape ``[B, d_r]``.
        side: The side asked for.
        chunk_mb: Memory for one block of differences, in MiB; 64 times as much on an accelerator, which has no small
            cache to spare but many cores to fill.
    """
    limit = chunk_mb * 2**20 * (1 if query.device.type == "cpu" else 64)
    rows = max(1, int(limit / (table.element_size() * table.shape[1] * 8)))  # candidates at 8 questions
    keep = torch.is_grad_enabled() and any(x.requires_grad for x in (query, table, relation))

    def run(q: Tensor, c: Tensor, r: Tensor) -> Tensor:
        return distance(q[:, None], c[None], r[:, None], side)  # [b, n']

    blocks = []
    for q, r in zip(query.split(8), relation.split(8), strict=True):
        parts = [checkpoint(run, q, c, r, use_reentrant=False) if keep else run(q, c, r) for c in table.split(rows)]
        blocks.append(torch.cat(parts, dim=1))  # [8, n]
    return torch.cat(blocks) if blocks else query.new_zeros(0, len(table))  # [B, n]
