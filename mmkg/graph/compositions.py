r"""Rules whose body is a path of two links, :math:`s_1(x, z) \wedge s_2(z, y) \Rightarrow r(x, y)`: sparse products.

The boolean product :math:`A_{s_1} A_{s_2}` is the union over entities z of all pairs (an x that leads to z by
:math:`s_1`, a y that z leads to by :math:`s_2`). A *meeting* is one such z of one product: it gives :math:`a \cdot b`
pairs, from :math:`a` links that come in and :math:`b` that go out. Meetings are few where pairs are many, and their sum
and maximum over z bound the number of distinct pairs from above and from below. So products that can give no rule are
never multiplied out; nothing is sampled or estimated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from mmkg.graph.links import Links
from mmkg.graph.ragged import Array, add_up, packs, ragged, runs, sorted_unique
from mmkg.graph.thresholds import Thresholds

COLUMNS = ("first", "second", "head", "support", "body", "known", "x", "z", "y")
CELL = 192  # bytes held at once for each pair that is multiplied out, or for each meeting, as measured


def compositions(
    links: Links, at: Thresholds, known_head: Array, *, memory_mb: float = 128, progress: bool = False
) -> pd.DataFrame:
    r"""Rules :math:`s_1(x, z) \wedge s_2(z, y) \Rightarrow r(x, y)` over all directions :math:`s_1, s_2`.

    The three entities differ from one another, so that no rule is about loops and :math:`r \circ r^{-1}` is not
    credited with every entity's being equal to itself. A pair (x, y) counts once however many z join it. The head is
    never turned round: :math:`s_1 \circ s_2 \Rightarrow r^{-1}` is :math:`s_2^{-1} \circ s_1^{-1} \Rightarrow r`.

    Args:
        links: Links in both directions.
        at: Thresholds.
        known_head: For each relation whether PCA asks that the head be known to have it, or else the tail, ``[R]``.
        memory_mb: Working memory. The links themselves, a few arrays of their length and the result come on top.
        progress: Whether to show a bar.

    Returns:
        One row a rule: ``first``, ``second`` (directions, see :class:`~mmkg.graph.links.Links`), ``head`` (relation),
        ``support``, ``body`` and ``known`` (pairs of the body, and those that PCA counts), ``x``, ``z``, ``y`` (three
        entities for which it holds).
    """
    longest = (2**63 - 1) // max(links.num_nodes, 1) ** 2  # keys of so many bodies' pairs fit 63 bits
    cells = min(max(int(memory_mb * 2**20 / CELL), 1), longest)
    most = links.size.max(initial=0)  # no rule has more support
    # of a body and its reverse one is looked at, and bodies that are their own reverse
    total = int((np.bincount(links.x) ** 2).sum() + (links.run_size**2).sum()) // 2
    tables = []
    with tqdm(total=total, unit=" pairs", unit_scale=True, desc="compositions", delay=1, disable=not progress) as bar:
        for meetings in _meetings(links, cells):
            start, length = runs(meetings.body)
            pairs = np.add.reduceat(meetings.pairs, start) if len(start) else start  # [bodies], at least the distinct
            fewest = np.maximum.reduceat(meetings.apart, start) if len(start) else start  # [bodies], at most those
            worth = (pairs >= at.min_support) & (fewest * at.min_confidence <= most * (1 + 1e-9))
            bar.update(int(pairs[~worth].sum()))
            meetings, pairs, length = meetings.select(np.repeat(worth, length)), pairs[worth], length[worth]
            ends = np.r_[0, np.cumsum(length)]
            for begin, end in packs(pairs, cells):
                group = meetings.select(slice(ends[begin], ends[end]))
                tables.append(_rules(links, group, at, known_head, cells))
                bar.update(int(pairs[begin:end].sum()))
    columns = [np.concatenate([table[i] for table in tables] or [[]]).astype(np.int64) for i in range(8)]
    rules = pd.DataFrame(dict(zip(COLUMNS[:7] + COLUMNS[8:], columns, strict=True)))
    rules.insert(7, "z", _middle(links, *(rules[c].to_numpy() for c in ("x", "first", "second", "y")), cells))
    return rules


@dataclass
class _Meetings:
    """Meetings ``[m]``, sorted by ``body``, which is ``s1 * 2R + s2``; ``left`` and ``right`` are runs of links."""

    links: Links
    body: Array
    left: Array  # links z -> x of the direction s1 turned round
    right: Array  # links z -> y of the direction s2

    @property
    def pairs(self) -> Array:
        """Pairs (x, y) of each meeting, ``[m]``."""
        return self.links.run_size[self.left] * self.links.run_size[self.right]

    @property
    def apart(self) -> Array:
        """At most as many as those pairs of which x is not y, ``[m]``."""
        return self.pairs - np.minimum(self.links.run_size[self.left], self.links.run_size[self.right])

    def select(self, keep: Array | slice) -> _Meetings:
        """Some of them, in their order."""
        return _Meetings(self.links, self.body[keep], self.left[keep], self.right[keep])


def _meetings(links: Links, cells: int) -> Iterator[_Meetings]:
    """All meetings, in blocks of whole bodies.

    The body :math:`s_2^{-1} \\circ s_1^{-1}` is :math:`s_1 \\circ s_2` turned round: only one of the two is given.
    """
    s1 = links.turn(links.run_s)  # [G]
    order = np.argsort(s1, kind="stable")
    there = (links.node[1:] - links.node[:-1])[links.run_x[order]]  # [G], runs that begin where these end
    start, _ = runs(s1[order])
    for begin, end in packs(np.add.reduceat(there, start) if len(start) else start, cells):
        block = slice(start[begin], start[end] if end < len(start) else len(order))
        which, step = ragged(there[block])
        left = order[block][which]  # [m]
        right = links.node[links.run_x[left]] + step  # [m]
        first, second = s1[left], links.run_s[right]
        body = first * links.directions + second
        once = body <= links.turn(second) * links.directions + links.turn(first)
        body, left, right = body[once], left[once], right[once]
        by_body = np.argsort(body, kind="stable")
        yield _Meetings(links, body[by_body], left[by_body], right[by_body])


def _rules(links: Links, meetings: _Meetings, at: Thresholds, known_head: Array, cells: int) -> list[Array]:
    """Rules of some bodies: first, second, head, support, body, known, x, y, ``[q]`` each."""
    start, length = runs(meetings.body)
    bodies = meetings.body[start]  # [b]
    first, second = np.divmod(bodies, links.directions)
    parts = _multiplied(links, meetings, np.repeat(np.arange(len(bodies)), length), cells)
    size = np.zeros(len(bodies), dtype=np.int64)
    counted = []
    for key in parts():  # sorted keys of distinct (body, x, y), [n]
        here = _sizes(links, key, len(bodies))
        size += here
        body = np.repeat(np.arange(len(bodies)), here)  # [n]
        pair = key - body * links.num_nodes**2  # [n]
        place, s = links.between(pair)  # [M], [M]
        rule, example, support = np.unique(body[place] * links.directions + s, return_index=True, return_counts=True)
        counted.append((rule, support, pair[place[example]]))
    rule, support, pair = add_up(*map(np.concatenate, zip(*counted, strict=True)))
    body, s = np.divmod(rule, links.directions)
    keep = (support >= at.min_support) & (support / size[body] >= at.min_confidence)
    keep &= support / links.size[s] >= at.min_head_coverage
    # a body that is its own reverse says of a relation turned round what it says of the relation
    keep &= (s < links.num_relations) | (second[body] != links.turn(first[body]))
    body, s, support, pair = body[keep], s[keep], support[keep], pair[keep]
    turned, head = s >= links.num_relations, s % max(links.num_relations, 1)
    known = _known(links, parts, len(bodies), body, s, known_head[head] != turned, cells)
    keep = support / np.maximum(known, 1) >= at.min_pca
    body, head, turned, support, known, pair = (v[keep] for v in (body, head, turned, support, known, pair))
    x, y = np.divmod(pair, links.num_nodes)
    s1 = np.where(turned, links.turn(second[body]), first[body])
    s2 = np.where(turned, links.turn(first[body]), second[body])
    return [s1, s2, head, support, size[body], known, np.where(turned, y, x), np.where(turned, x, y)]


def _multiplied(links: Links, meetings: _Meetings, number: Array, cells: int) -> Callable[[], Iterator[Array]]:
    """Give, as often as called, the distinct pairs of bodies as sorted keys ``(number * N + x) * N + y``, in parts.

    There is one part unless a single body has more pairs than ``cells``. That one is cut between two x, so that its
    parts have no pair in common.
    """
    which, step = ragged(links.run_size[meetings.left])
    x = links.y[links.run_start[meetings.left[which]] + step]  # [l], each of them meets a run of y
    row = number[which] * links.num_nodes + x  # [l]
    width, start = links.run_size[meetings.right[which]], links.run_start[meetings.right[which]]  # [l], [l]
    cuts = [(0, len(row))]
    if width.sum() > cells:
        order = np.argsort(row, kind="stable")
        x, row, width, start = x[order], row[order], width[order], start[order]
        first, _ = runs(row)
        ends = np.r_[first, len(row)]
        cuts = [(ends[a], ends[b]) for a, b in packs(np.add.reduceat(width, first), cells)]

    def multiply(begin: int, end: int) -> Array:
        part = slice(begin, end)
        which, step = ragged(width[part])
        y = links.y[start[part][which] + step]  # [n]
        key = row[part][which] * links.num_nodes + y
        return sorted_unique(key[x[part][which] != y])

    if len(cuts) > 1:
        return lambda: (multiply(*cut) for cut in cuts)
    only = [multiply(*cuts[0])]
    return lambda: iter(only)


def _sizes(links: Links, key: Array, count: int) -> Array:
    """How many of some sorted keys ``(number * N + x) * N + y`` each of ``count`` numbers has, ``[count]``."""
    return np.diff(np.searchsorted(key, np.arange(count + 1) * links.num_nodes**2))


def _known(
    links: Links,
    parts: Callable[[], Iterator[Array]],
    count: int,
    body: Array,
    s: Array,
    at_x: Array,
    cells: int,
) -> Array:
    """Pairs of each rule's body for which PCA can tell, ``[q]``.

    Args:
        links: Links in both directions.
        parts: Gives the pairs of all bodies.
        count: Number of bodies.
        body: Number of each rule's body, ``[q]``.
        s: Direction of each rule's head, ``[q]``.
        at_x: Whether x is to have a link of that direction, or else y one of the direction turned round, ``[q]``.
        cells: How many numbers to hold at once.
    """
    known = np.zeros(len(body), dtype=np.int64)
    sides = [(here, np.flatnonzero(at_x == here)) for here in (True, False) if (at_x == here).any()]
    for key in parts() if sides else ():
        sizes = _sizes(links, key, count)
        for here, rules in sides:
            needed = np.isin(np.arange(count), body[rules])
            some = key[np.repeat(needed, sizes)]  # [n]
            row = some // links.num_nodes  # [n], body * N + x
            if not here:
                row = np.sort(row // links.num_nodes * links.num_nodes + some - row * links.num_nodes)  # body * N + y
            start, times = runs(row)  # [k], [k]: pairs of each body with this entity
            owner, entity = np.divmod(row[start], links.num_nodes)
            begin, end = (np.searchsorted(owner, body[rules], side=side) for side in ("left", "right"))
            asked = s[rules] if here else links.turn(s[rules])
            for a, b in packs(end - begin, cells):
                which, step = ragged((end - begin)[a:b])
                place = begin[a:b][which] + step
                there = times[place] * links.starts(entity[place], asked[a:b][which])
                known[rules[a:b]] += np.bincount(which, weights=there, minlength=b - a).astype(np.int64)
    return known


def _middle(links: Links, x: Array, first: Array, second: Array, y: Array, cells: int) -> Array:
    """For each row one z with :math:`s_1(x, z)` and :math:`s_2(z, y)`, the least there is; ``[q]`` each."""
    z = np.zeros(len(x), dtype=np.int64)
    out, width = links.of_row(x, first)
    back, narrow = links.of_row(y, links.turn(second))
    back = np.where(narrow < width, back, out)  # the shorter of the two lists is looked through
    for a, b in packs(np.minimum(narrow, width), cells):
        which, step = ragged(np.minimum(narrow, width)[a:b])
        row = a + which
        candidate = links.y[back[row] + step]
        fits = links.has(x[row], first[row], candidate) & links.has(candidate, second[row], y[row])
        row, candidate = row[fits], candidate[fits]
        begin, _ = runs(row)
        z[row[begin]] = candidate[begin]  # lists are sorted
    return z
