"""Which entities a step looks at: a shared pool of candidates, and known answers off-pool."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mmkg.graph.facts import Facts
from mmkg.types import Batch, Side

MANY = 2**18
"""Entities from which going over all of them for a pool takes longer than the rest of a plan."""


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
    if num_entities >= MANY and 8 * size <= num_entities:
        return _few_of_many(num_entities, size, device, generator)
    return torch.randperm(num_entities, generator=generator, device=device)[:size].sort().values  # [P]


def _few_of_many(num_entities: int, size: int, device: torch.device, generator: torch.Generator | None) -> Tensor:
    """As :func:`random_pool`, at a cost that does not grow with the number of entities."""
    found = torch.empty(0, dtype=torch.long, device=device)
    while found.numel() < size:  # once, but for chances of one in very many
        more = torch.randint(num_entities, (size + size // 4 + 16,), generator=generator, device=device)
        found = torch.cat([found, more])
        distinct, which = found.unique(return_inverse=True)
        # the first that were drawn, each once: any set of that size is as likely as any other
        first = torch.full_like(distinct, found.numel())
        first.scatter_reduce_(0, which, torch.arange(found.numel(), device=device), "amin")
        found = found[first.sort().values]
    return found[:size].sort().values  # [P]


def typed_pool(
    relations: Tensor,
    side: Side,
    facts: Facts,
    size: int,
    at_least: int,
    generator: torch.Generator | None = None,
    padded: Callable[[int], int] | None = None,
) -> tuple[Tensor, Tensor]:
    """For each relation entities that the graph shows at that side of it, in one pool.

    Args:
        relations: Different relations of a batch, shape ``[U]``.
        side: The side asked for.
        facts: Known triples; in training those of the train split only.
        size: Largest number of a relation's own candidates, chosen by chance where more are seen.
        at_least: Entities that nobody may draw fill the pool up to this number.
        generator: Source of randomness on the device of the relations.
        padded: The size to fill the pool up to, from the number of candidates; as long as there are entities.

    Returns:
        Ascending ids ``[P]``, and whether each is a candidate of each relation ``[U, P]``.
    """
    rows, ids = facts.seen(relations, side)  # [M], [M]
    if size < facts.num_nodes:
        keep = _some_of_each(rows, relations.numel(), size, generator)[0]  # [M']
        rows, ids = rows[keep], ids[keep]
    distinct = ids.unique()  # [P'], ascending
    found = distinct.numel()
    wanted = max(at_least, found) if padded is None else padded(max(at_least, found))
    number = torch.arange(min(wanted, facts.num_nodes) - found, device=ids.device)  # [P - P']
    # the n-th entity that is not seen, of which so many that are seen lie below
    below = distinct - torch.arange(found, device=ids.device)  # [P'], not falling
    others = number + torch.searchsorted(below, number, right=True)  # [P - P']
    pool = torch.cat([distinct, others]).sort().values  # [P]
    return pool, _marks(rows, ids, relations.numel(), pool, facts.num_nodes)


def members(relations: Tensor, side: Side, facts: Facts, pool: Tensor) -> Tensor:
    """Whether the graph shows each candidate ``[P]`` at that side of each relation ``[U]``, shape ``[U, P]``."""
    return _marks(*facts.seen(relations, side), relations.numel(), pool, facts.num_nodes)


def _marks(rows: Tensor, ids: Tensor, count: int, pool: Tensor, num_nodes: int) -> Tensor:
    """True at pairs (row ``[M]``, entity ``[M]``) whose entity is in the pool ``[P]``, shape ``[count, P]``."""
    if num_nodes >= MANY and 8 * pool.numel() <= num_nodes:  # at a cost that does not grow with them
        ordered, order = pool.sort()  # [P], [P]
        at = torch.searchsorted(ordered, ids).clamp(max=pool.numel() - 1)  # [M]
        inside, column = ordered[at] == ids, order[at]  # [M], [M]
    else:
        place = pool.new_full((num_nodes,), -1)  # [N]
        place[pool] = torch.arange(pool.numel(), device=pool.device)
        column = place[ids]  # [M]
        inside = column >= 0  # [M]
    marks = torch.zeros(count, pool.numel(), dtype=torch.bool, device=pool.device)
    marks[rows[inside], column[inside]] = True  # [count, P]
    return marks


def _some_of_each(rows: Tensor, count: int, limit: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Positions of at most ``limit`` entries of each row, chosen by chance, and their number within the row.

    Args:
        rows: Row of each entry, ascending, shape ``[M]``.
        count: Number of rows.
        limit: At least 0.
        generator: Source of randomness on the device of the rows.
    """
    # a random key within each row: rows stay together, their entries are shuffled
    key = rows + torch.rand(rows.shape, dtype=torch.float64, generator=generator, device=rows.device)  # [M]
    order = key.argsort()
    sizes = torch.bincount(rows, minlength=count)  # [count]
    rank = torch.arange(rows.numel(), device=rows.device) - (sizes.cumsum(0) - sizes)[rows]  # [M]
    keep = rank < limit
    return order[keep], rank[keep]


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
    known = _marks(*facts.known(batch, side), len(batch), pool, facts.num_nodes)  # [B, P]
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
    chosen, rank = _some_of_each(rows, len(batch), limit, generator)  # [M'], [M']
    rows, others = rows[chosen], others[chosen]
    ids[rows, 1 + rank] = others
    mask[rows, 1 + rank] = True
    return ids, mask
