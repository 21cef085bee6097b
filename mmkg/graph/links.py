"""A graph's links read in both directions, laid out so that relations can be multiplied with one another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from mmkg.errors import DataError
from mmkg.graph.findings import SPLITS, SplitTriples
from mmkg.graph.ragged import Array, find, ragged, runs, sorted_unique, split_key


class Links:
    r"""Distinct links between two different entities, each read forwards and backwards.

    A *direction* :math:`s` is a relation as it is (:math:`s < R`) or turned round (:math:`s \ge R`). It stands for a
    boolean matrix :math:`A_s` of size :math:`N \times N` with :math:`A_{s + R} = A_s^\top` and an empty diagonal:
    self-loops are kept apart, as each is its own reverse. Arrays are numpy's, whose sort of integers is several times
    faster than torch's.

    Args:
        head: Entity ids, shape ``[E]``.
        relation: Relation ids, shape ``[E]``.
        tail: Entity ids, shape ``[E]``.
        num_nodes: Number of entities ``N``.
        num_relations: Number of relations ``R``.

    Attributes:
        x, s, y: Links :math:`A_s(x, y) = 1`, sorted by x, then s, then y, shape ``[2 E']`` each.
        loops: Entities and relations of the distinct self-loops, shape ``[2, E'']``.
        run_x, run_s: Entity and direction of each run of links that share both, shape ``[G]``.
        run_start, run_size: Where the run begins in the links, and its length, shape ``[G]``.
        node: Runs of entity ``x`` are ``node[x]`` to ``node[x + 1]``, shape ``[N + 1]``.
        row: Links of entity ``x`` are ``row[x]`` to ``row[x + 1]``, shape ``[N + 1]``.
        size: Number of links of each direction, shape ``[2 R]``.

    Raises:
        DataError: If the keys of links would not fit 63 bits.
    """

    def __init__(
        self, head: ArrayLike, relation: ArrayLike, tail: ArrayLike, num_nodes: int, num_relations: int
    ) -> None:
        self.num_nodes, self.num_relations, self.directions = num_nodes, num_relations, 2 * num_relations
        if num_nodes**2 * max(self.directions, 1) >= 2**63:
            raise DataError(f"{num_nodes} entities, {num_relations} relations: keys of links beyond 63 bits")
        h, r, t = (np.asarray(ids, dtype=np.int64) for ids in (head, relation, tail))
        loop = h == t
        self.loops = split_key(sorted_unique(h[loop] * max(num_relations, 1) + r[loop]), num_relations)  # [2, E'']
        h, r, t = h[~loop], r[~loop], t[~loop]
        x, s, y = np.r_[h, t], np.r_[r, r + num_relations], np.r_[t, h]  # [2 E]
        self._key = sorted_unique((x * self.directions + s) * num_nodes + y)  # [2 E']
        run, self.y = split_key(self._key, num_nodes)
        self.x, self.s = split_key(run, self.directions)
        self.run_start, self.run_size = runs(run)  # [G], [G]
        self.run_x, self.run_s = self.x[self.run_start], self.s[self.run_start]
        self._run = run[self.run_start]
        self.node = np.searchsorted(self.run_x, np.arange(num_nodes + 1))
        self.row = np.searchsorted(self.x, np.arange(num_nodes + 1))
        self.size = np.bincount(self.s, minlength=self.directions)
        by_pair = sorted_unique((self.x * num_nodes + self.y) * max(self.directions, 1) + self.s)  # [2 E']
        pair, self._pair_s = split_key(by_pair, self.directions)
        self._pair_start, self._pair_size = runs(pair)
        self._pair = pair[self._pair_start]  # [P]
        # one bit of most pairs that no link joins says so: a search for each of them would take most of the time
        self._bits = max(3, (8 * len(self._pair)).bit_length())
        self._maybe = np.zeros(2**self._bits, dtype=bool)
        self._maybe[self._spread(self._pair)] = True

    @classmethod
    def of(cls, graph: SplitTriples, splits: Sequence[str] = ("train",)) -> Links:
        """The links of some splits of a graph.

        Raises:
            DataError: If there is no split, or one that is none of train, val and test.
        """
        if wrong := [split for split in splits if split not in SPLITS]:
            raise DataError(f"split {wrong[0]!r}", cure=f"choose out of {', '.join(SPLITS)}")
        if not splits:
            raise DataError("no split to look at", cure=f"choose out of {', '.join(SPLITS)}")
        parts = [graph.triples[split] for split in dict.fromkeys(splits)]
        columns = [np.concatenate([part[i].numpy() for part in parts]) for i in range(3)]  # [E], three times
        return cls(*columns, graph.num_nodes, graph.num_relations)

    def turn(self, s: Array) -> Array:
        """The same directions turned round, of their shape."""
        return np.where(s < self.num_relations, s + self.num_relations, s - self.num_relations)

    def has(self, x: Array, s: Array, y: Array) -> Array:
        """Whether :math:`A_s(x, y) = 1`; ids of any common shape, mask of that shape."""
        return find(self._key, (x * self.directions + s) * self.num_nodes + y)[1]

    def of_row(self, x: Array, s: Array) -> tuple[Array, Array]:
        """Where the links of direction ``s`` from ``x`` begin and how many there are; ``[n]`` -> ``[n]``, ``[n]``."""
        if not len(self._run):
            return np.zeros_like(x), np.zeros_like(x)
        run, found = find(self._run, x * self.directions + s)
        return self.run_start[run], self.run_size[run] * found

    def starts(self, x: Array, s: Array) -> Array:
        """Whether there is any link of direction ``s`` from ``x``; ids of any common shape, mask of that shape."""
        return find(self._run, x * self.directions + s)[1]

    def between(self, pair: Array) -> tuple[Array, Array]:
        """Directions that join pairs with keys ``x * N + y [n]``: (place among them ``[M]``, direction ``[M]``)."""
        place = np.flatnonzero(self._maybe[self._spread(pair)])
        at, found = find(self._pair, pair[place])
        place, at = place[found], at[found]
        which, step = ragged(self._pair_size[at])
        return place[which], self._pair_s[self._pair_start[at][which] + step]

    def _spread(self, pair: Array) -> Array:
        """A place in the table of bits for each pair, spread evenly (multiplicative hashing, Knuth 6.4); ``[n]``."""
        return (pair.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - self._bits)

    def times(self, pair: Array) -> Array:
        """How many directions join each pair with key ``x * N + y``; ``[n]`` -> ``[n]``."""
        at, found = find(self._pair, pair)
        return self._pair_size[at] * found if len(self._pair) else np.zeros_like(pair)

    def rows(self) -> sparse.csr_matrix:
        """How many links of each direction begin at each entity, ``[2 R, N]``."""
        shape = (self.directions, self.num_nodes)
        return sparse.csr_matrix((self.run_size, (self.run_s, self.run_x)), shape=shape)
