"""Which entities a step looks at: a shared pool of candidates, and known answers off-pool."""

from __future__ import annotations

import torch
from torch import Tensor

from mmkg.graph.facts import Facts
from mmkg.types import Batch, Side


def random_pool(num_entities: int, size: int, device: torch.device, generator: torch.Generator | None) -> Tensor:
    """Entities drawn without replacement, shared by the whole batch.

    Args:
        num_entities: Number of entities ``N``.
        size: Number of candidates ``P``; all entities if it is ``N`` or more.
        device: Where the pool is wanted.
        generator: Source of randomness on that device.

    Returns:
        Ascending ids ``[P]``: features on disk are then read in order.
    """
    if size >= num_entities:
        return torch.arange(num_entities, device=device)  # [N]
    return torch.randperm(num_entities, generator=generator, device=device)[:size].sort().values  # [P]


def known_in_pool(batch: Batch, side: Side, facts: Facts, pool: Tensor) -> Tensor:
    """True where a candidate is a known answer or the batch's own.

    Args:
        batch: ``B`` triples.
        side: The side asked for.
        facts: Known triples.
        pool: Ids without repetition, shape ``[P]``.

    Returns:
        Shape ``[B, P]``. Work grows with the known answers, not with all ``[B, N]``.
    """
    place = pool.new_full((facts.num_nodes,), -1)  # [N]
    place[pool] = torch.arange(pool.numel(), device=pool.device)
    rows, ids = facts.known(batch, side)  # [M], [M]
    column = place[ids]  # [M]
    inside = column >= 0  # [M]
    known = torch.zeros(len(batch), pool.numel(), dtype=torch.bool, device=pool.device)
    known[rows[inside], column[inside]] = True  # [B, P]
    return known | (pool == batch.answer(side)[:, None])  # [B, P]


def known_answers(
    batch: Batch, side: Side, facts: Facts, limit: int, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """The true answer of each row and other known ones, at most ``limit``, chosen by chance where there are more.

    Args:
        batch: ``B`` triples.
        side: The side asked for.
        facts: Known triples; in training those of the train split only.
        limit: Number of *other* answers ``J``, at least 0.
        generator: Source of randomness on the device of the batch.

    Returns:
        Ids ``[B, 1 + J]``, the true answer first, and mask ``[B, 1 + J]``; ids are the true answer where masked.
    """
    answer = batch.answer(side)
    ids = answer[:, None].repeat(1, 1 + limit)  # [B, 1 + J]
    mask = torch.zeros_like(ids, dtype=torch.bool)  # [B, 1 + J]
    mask[:, 0] = True
    if limit == 0:
        return ids, mask
    rows, others = facts.known(batch, side)  # [M], [M]
    other = others != answer[rows]  # [M]
    rows, others = rows[other], others[other]
    # a random key within each row: rows stay together, their answers are shuffled
    key = rows + torch.rand(rows.shape, dtype=torch.float64, generator=generator, device=rows.device)  # [M]
    order = key.argsort()
    rows, others = rows[order], others[order]
    count = torch.bincount(rows, minlength=len(batch))  # [B]
    rank = torch.arange(rows.numel(), device=rows.device) - (count.cumsum(0) - count)[rows]  # [M]
    keep = rank < limit
    ids[rows[keep], 1 + rank[keep]] = others[keep]
    mask[rows[keep], 1 + rank[keep]] = True
    return ids, mask
