"""Exact draws from sets of entities, without what a row must not get and without rejection."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmkg.graph.facts import Facts
from mmkg.types import Batch, Side

TOTAL = 2**40
"""What real weights are scaled to add up to: integers keep sums exact, and rows can still be told apart in 63 bits."""


@dataclass
class Drawn:
    """Independent draws for each row.

    Args:
        ids: Entities, shape ``[B, K]``; they mean nothing where nothing is left.
        left: Weight that a row can draw from, shape ``[B]``; 0 where nothing is left.
        log_prob: Log of weight over ``left``, shape ``[B, K]``; 0 where nothing is left.
    """

    ids: Tensor
    left: Tensor
    log_prob: Tensor

    def valid(self) -> Tensor:
        """False for rows where nothing is left, ``[B, K]``."""
        return (self.left > 0)[:, None].expand(self.ids.shape)  # [B, K]


class WeightedSets:
    r"""Sets of entities with integer weights, drawn from with replacement and without each row's taboo entities.

    A row draws entity :math:`e` of its set :math:`S` with probability
    :math:`w_e / \sum_{e' \in S \setminus T} w_{e'}`, where :math:`T` is what it must not get. A number is drawn
    uniformly below the weight that is left, moved up by the weight of the taboo entities at or below it, and looked up
    in the running sums of the set; all by binary search in integers, so that no rounding can ever let a taboo through.

    Args:
        group: Set of each member, shape ``[M]``.
        ids: Entity of each member, shape ``[M]``; once in a set.
        count: Number of sets ``G``.
        num_nodes: Number of entities ``N``.
        weight: Integer weights of at least 0, shape ``[M]``; all ones if None.
    """

    def __init__(self, group: Tensor, ids: Tensor, count: int, num_nodes: int, weight: Tensor | None = None) -> None:
        key = group * num_nodes + ids  # [M]
        weight = torch.ones_like(key) if weight is None else weight.long()  # [M]
        if not bool((key[1:] > key[:-1]).all()):
            key, order = key.sort()
            ids, weight = ids[order], weight[order]
        self.num_nodes, self.key, self.ids, self.weight = num_nodes, key, ids, weight
        self.above = weight.cumsum(0)  # [M], sums over all sets in a row
        start = torch.searchsorted(key, torch.arange(count + 1, device=key.device) * num_nodes)  # [G + 1]
        sums = torch.cat([weight.new_zeros(1), self.above])[start]  # [G + 1]
        self.below, self.total = sums[:-1], sums.diff()  # [G], weight of the sets before each; [G], its own
        self.base = int(self.total.max()) + 1 if count else 1

    def draw(
        self, group: Tensor, taboo: tuple[Tensor, Tensor], num: int, generator: torch.Generator | None = None
    ) -> Drawn:
        """``K`` independent draws for each row.

        Args:
            group: Set of each row, shape ``[B]``.
            taboo: Pairs (row ``[X]``, entity ``[X]``) that must not be drawn, in order and without repetition.
            num: Number of draws ``K``.
            generator: Source of randomness on the device of the sets.
        """
        shape = (group.numel(), num)
        if not self.key.numel():
            nothing = group.new_zeros(shape)  # [B, K]
            return Drawn(nothing, group.new_zeros(group.numel()), torch.zeros(shape, device=group.device))
        row, at = self._members(group, *taboo)  # [X'], [X']
        weight = self.weight[at]  # [X']
        upto = torch.cat([weight.new_zeros(1), weight.cumsum(0)])  # [X' + 1], taboo weight over all rows in a row
        first = torch.searchsorted(row, torch.arange(group.numel() + 1, device=row.device))  # [B + 1]
        left = self.total[group] - upto[first].diff()  # [B]
        # float64 has 53 bits: every entity's share is met to one in 2^53
        noise = torch.rand(shape, generator=generator, device=group.device, dtype=torch.float64)  # [B, K]
        number = (noise * left[:, None]).long().minimum(left[:, None] - 1).clamp(min=0)  # [B, K]
        # the weight that is left below a row's j-th taboo entity never falls with j; with the row's number in front all
        # of them are sorted, and one binary search tells how many taboo entities lie at or below each number
        gap = self.above[at] - weight - self.below[group[row]] - (upto[:-1] - upto[first[row]])  # [X']
        wanted = torch.arange(len(left), device=row.device)[:, None] * self.base + number  # [B, K]
        passed = torch.searchsorted(row * self.base + gap, wanted, right=True)  # [B, K]
        moved = number + upto[passed] - upto[first[:-1], None] + self.below[group][:, None]  # [B, K]
        place = torch.searchsorted(self.above, moved, right=True).clamp(max=self.key.numel() - 1)  # [B, K]
        share = self.weight[place].double() / left.clamp(min=1)[:, None]  # [B, K]
        log_prob = torch.where(left[:, None] > 0, share.log(), 0.0).float()  # [B, K]
        return Drawn(self.ids[place], left, log_prob)

    def _members(self, group: Tensor, row: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Row and place among the members of those taboo pairs that are in their row's set, ``[X']`` each."""
        wanted = group[row] * self.num_nodes + ids  # [X]
        at = torch.searchsorted(self.key, wanted).clamp(max=self.key.numel() - 1)  # [X]
        inside = self.key[at] == wanted  # [X]
        return row[inside], at[inside]


def draw_where(allowed: Tensor, num: int, generator: torch.Generator | None = None) -> Drawn:
    """``K`` independent uniform draws of a row's places that are allowed, ``[B, P]``; ``ids`` are these places."""
    upto = allowed.cumsum(1, dtype=torch.int32)  # [B, P]
    left = upto[:, -1].long()  # [B]
    shape = (len(allowed), num)
    noise = torch.rand(shape, generator=generator, device=allowed.device, dtype=torch.float64)  # [B, K]
    order = (noise * left[:, None]).int().minimum(left[:, None].int() - 1).clamp(min=0)  # [B, K]
    places = torch.searchsorted(upto, order + 1).clamp(max=allowed.shape[1] - 1)  # [B, K]
    return Drawn(places, left, -left.clamp(min=1).log()[:, None].expand(shape))


def taboo(batch: Batch, side: Side, facts: Facts) -> tuple[Tensor, Tensor]:
    """What each row must not get: its known answers and its own, which the facts may miss (those of another split).

    Returns:
        Pairs (row ``[X]``, entity ``[X]``) in order and without repetition.
    """
    row, ids = facts.known(batch, side)  # [X], [X], in order
    answer = batch.answer(side)  # [B]
    stranger = ~facts.contains(batch.head, batch.relation, batch.tail)  # [B]
    if not bool(stranger.any()):
        return row, ids
    new = stranger.nonzero().flatten()  # [S]
    key = torch.cat([row * facts.num_nodes + ids, new * facts.num_nodes + answer[new]]).sort().values  # [X + S]
    return key // facts.num_nodes, key % facts.num_nodes


def integer_weights(weight: Tensor) -> Tensor:
    """Real weights of at least 0, shape ``[M]``, as integers in the same proportion whose sum is about ``TOTAL``.

    Each weight is met to 2^-40 of the sum, and none above 0 becomes 0.
    """
    weight = weight.double()
    scaled = (weight * (TOTAL / weight.sum().clamp(min=torch.finfo(torch.float64).tiny))).round()  # [M]
    return scaled.clamp(min=1).masked_fill(weight <= 0, 0).long()  # [M]
