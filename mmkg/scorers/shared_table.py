"""Distances between questions and one table of candidates: by a compiled kernel where it pays, else by blocks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmkg.scorers.all_distances import AllDistances
from mmkg.scorers.kernels import LARGER, NoKernel, available
from mmkg.scorers.pairs import Distance, Parts, pairs

# numbers to be read (questions x candidates x width) from which compiling pays: about a second of uncompiled work; less
# where a gradient is wanted, for training asks as much many times over
LEAST_WORK, LEAST_TRAINING, LEAST_QUERIES = 2**28, 2**23, 32


def by_kernel(distance: Distance, query: Parts, table: Parts, relation: Parts) -> Tensor | None:
    """Distances ``[B, n]`` by one fused kernel that stores no differences, and their gradients by two others.

    Kernels come from ``torch.compile``, which needs a C++ compiler (a GPU: Triton) and keeps what it compiled on disk.
    Whether they are used depends on sizes and types alone, so that equal runs give equal numbers; they differ from
    those of the blocks by rounding. A gradient can be taken once, not twice.

    Args:
        distance: Pure function of ``[B, 1, d]``, ``[1, n, d]`` and ``[B, 1, d]``.
        query: Parts of the questions, shape ``[B, d]``.
        table: Parts of the candidates, shape ``[n, d]``.
        relation: Parts of the questions' relations, shape ``[B, d]``.

    Returns:
        Distances, or None where a kernel does not pay or cannot be had.
    """
    tensors = (*query, *table, *relation)
    training = _trained(tensors)
    work = len(query[0]) * sum(x.numel() for x in table)
    small = len(query[0]) < LEAST_QUERIES or work < (LEAST_TRAINING if training else LEAST_WORK)
    # sums over all of a table are no sums in half precision
    half = training and {x.dtype for x in tensors} not in ({torch.float32}, {torch.float64})
    if small or half or not available(distance):
        return None
    try:
        return AllDistances.apply(distance, len(query), len(table), *tensors)
    except NoKernel:
        return None


def by_blocks(distance: Distance, query: Parts, table: Parts, relation: Parts, chunk_mb: float) -> Tensor:
    """Distances ``[B, n]`` block by block, so that no ``[B, n, d]`` ever stands in memory.

    Where a gradient is wanted, blocks are computed anew in the backward pass.

    Args:
        distance: As in :func:`by_kernel`.
        query: Parts of the questions, shape ``[B, d]``.
        table: Parts of the candidates, shape ``[n, d]``.
        relation: Parts of the questions' relations, shape ``[B, d]``.
        chunk_mb: Memory for one block of differences, in MiB; 64 times as much on an accelerator, which has no small
            cache to spare but many cores to fill.
    """
    limit = chunk_mb * 2**20 * (1 if query[0].device.type == "cpu" else LARGER)
    step = max(1, int(limit / (8 * sum(x.shape[1] * x.element_size() for x in table))))  # candidates at 8 questions
    keep = _trained((*query, *table, *relation))

    def run(*parts: Parts) -> Tensor:
        return pairs(distance, *parts)  # [b, n']

    blocks = []
    for first in range(0, len(query[0]), 8):
        q, r = (tuple(x[first : first + 8] for x in parts) for parts in (query, relation))
        tables = [tuple(x[start : start + step] for x in table) for start in range(0, max(1, len(table[0])), step)]
        parts = [checkpoint(run, q, c, r, use_reentrant=False) if keep else run(q, c, r) for c in tables]
        blocks.append(torch.cat(parts, dim=1))  # [8, n]
    return torch.cat(blocks) if blocks else query[0].new_zeros(0, len(table[0]))  # [B, n]


def _trained(tensors: Parts) -> bool:
    return torch.is_grad_enabled() and any(x.requires_grad for x in tensors)
