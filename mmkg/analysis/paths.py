"""Why a negative is hard, or in truth plausible: rules, paths, neighbours, roles and facts that speak for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch

from mmkg.analysis.explanation import Explanation
from mmkg.analysis.shortest_paths import shortest_paths
from mmkg.errors import DataError
from mmkg.graph import Facts, Patterns, mine_patterns
from mmkg.graph.findings import SplitTriples
from mmkg.graph.inverse import join
from mmkg.graph.links import Links
from mmkg.graph.names import Names, find_entity, find_relation
from mmkg.graph.ragged import Array
from mmkg.types import SIDES, Side


def explain_negative(
    data,
    given: int | str,
    relation: int | str,
    negative: int | str,
    side: Side = "tail",
    *,
    answer: int | str | None = None,
    splits: Sequence[str] = ("train",),
    patterns: Patterns | None = None,
    max_length: int = 4,
    max_paths: int = 10,
) -> Explanation:
    """What a graph says about a negative for (given, relation, ?), or for (?, relation, given).

    Held-out truths stay out of it unless ``splits`` asks for them, and are marked then. To explain many negatives, make
    one :class:`Explainer` and ask it.

    Args:
        data: A PyG ``Data`` with ``edge_index [2, E]``, ``edge_type [E]``, ``train_mask``, ``val_mask``, ``test_mask``
            ``[E]``, ``num_nodes`` and ``num_relations``; names and labels are used if there.
        given: The entity that the question gives, by id or by name.
        relation: Its relation, by id or by name.
        negative: The entity drawn as a negative, by id or by name.
        side: Side of the triple on which the negative stands.
        answer: The true answer, by id or by name, if the negative is to be compared with one.
        splits: Whose triples to look at.
        patterns: Rules to look for, as :func:`~mmkg.graph.mine_patterns` gives them; mined from the same splits at the
            default thresholds if None, which takes some seconds on a large graph.
        max_length: Longest path to look for.
        max_paths: How many of the shortest paths to give.

    Returns:
        Tables, with a text and a network made of them.

    Raises:
        UnknownNameError: If a name is not in the graph.
        DataError: If side, splits or a bound is none, or the patterns are those of another graph.

    Example:
        >>> from mmkg.datasets import from_triples
        >>> facts = [("Paris", "capital of", "France"), ("Paris", "in", "France"), ("Rome", "capital of", "Italy")]
        >>> data = from_triples([*facts, ("Rome", "in", "Italy"), ("Lyon", "in", "France")])
        >>> print(explain_negative(data, "Lyon", "capital of", "France", answer="Italy").text(k=1))
        (Lyon, capital of, France): France as a negative for the tail, true answer Italy
        looked at train: not among its facts
        Rules that speak for it: 0
        Rules that speak against it: 0
        Shortest paths between Lyon and France: 1 of length 1
          Lyon —in→ France
        Neighbours that they share: 0
        Roles of France: 2
          tail of capital of (1 link): 100% of the relation's tails have it, 40.0% of all entities; the true
              answer too
        Facts that it shares with Italy: 0
    """
    options: dict[str, Any] = {"answer": answer, "max_length": max_length, "max_paths": max_paths}
    return Explainer(data, splits=splits, patterns=patterns).explain(given, relation, negative, side, **options)


class Explainer:
    """Explains negatives of one graph; see :func:`explain_negative`.

    Args:
        data: The graph.
        splits: Whose triples to look at.
        patterns: Rules to look for; mined from the same splits if None.
        progress: Whether to show a bar while mining.
    """

    def __init__(
        self, data, *, splits: Sequence[str] = ("train",), patterns: Patterns | None = None, progress: bool = False
    ) -> None:
        self.data, self.splits, self.names = data, tuple(splits), Names.of(data)
        graph = SplitTriples(data)
        self.links, self.facts = Links.of(graph, self.splits), Facts.from_data(data, self.splits)
        self.train, self.train_facts = self.links, self.facts
        if set(self.splits) != {"train"}:
            self.train, self.train_facts = Links.of(graph), Facts.from_data(data)
        self.patterns = mine_patterns(data, splits=self.splits, progress=progress) if patterns is None else patterns
        size, other = ((x.num_nodes, x.num_relations) for x in (self.links, self.patterns.links))
        if size != other:
            raise DataError(
                f"patterns of {other[0]} entities and {other[1]} relations for a graph of {size[0]} and {size[1]}",
                cure="mine them from the same data",
            )
        starts = self.links.rows() > 0  # [2 R, N]
        self._usual = np.asarray(starts.sum(1)).ravel() / max(self.links.num_nodes, 1)  # [2 R], of all entities

    def explain(
        self,
        given: int | str,
        relation: int | str,
        negative: int | str,
        side: Side = "tail",
        *,
        answer: int | str | None = None,
        max_length: int = 4,
        max_paths: int = 10,
    ) -> Explanation:
        """Explain one negative; arguments as for :func:`explain_negative`."""
        if side not in SIDES:
            raise DataError(f"side {side!r}", cure="choose head or tail")
        for name, value in (("max_length", max_length), ("max_paths", max_paths)):
            if value < 1:
                raise DataError(f"{name} is {value}", cure="give at least 1")
        g, n = find_entity(self.data, given), find_entity(self.data, negative)
        r, true = find_relation(self.data, relation), None if answer is None else find_entity(self.data, answer)
        h, t = (g, n) if side == "tail" else (n, g)
        triple = [torch.tensor([number]) for number in (h, r, t)]
        known, in_train = (bool(facts.contains(*triple)) for facts in (self.facts, self.train_facts))
        found = shortest_paths(self.links, g, n, max_length=max_length, k=max_paths)
        return Explanation(
            triple=(h, r, t),
            side=side,
            answer=true,
            splits=self.splits,
            known=known,
            held_out=None if set(self.splits) == {"train"} else known and not in_train,
            rules=self._rules(h, r, t),
            distance=found.length,
            num_paths=found.count,
            paths=self._paths(found.entities),
            neighbours=self._neighbours(g, n),
            roles=self._roles(r, n, side, true),
            shared_facts=None if true is None else self._shared_facts(n, true),
            names=self.names,
        )

    def explain_row(self, row: Mapping, **options) -> Explanation:
        """Explain a row of :func:`mmkg.analysis.hard_negatives`, or of any table with these columns.

        Args:
            row: Ids ``head``, ``relation``, ``tail`` (the true triple) and ``negative``, and the ``side`` it replaces.
            **options: ``max_length`` and ``max_paths``.
        """
        given, answer = (row["head"], row["tail"]) if row["side"] == "tail" else (row["tail"], row["head"])
        return self.explain(given, row["relation"], row["negative"], row["side"], answer=answer, **options)

    def _rules(self, h: int, r: int, t: int) -> pd.DataFrame:
        """Rules for the relation whose body holds for a triple, with one way in which it does."""
        rules, ways = self.patterns.rules, self._ways(h, t)
        own = rules[(rules["head"] == r) & (rules.kind != "reflexive")]
        held = own.merge(ways, on=["first", "second"], how="inner").sort_values(["confidence", "pca"], ascending=False)
        rows = []
        for row in held.itertuples():
            told = self._link(h, row.first, t) if row.second < 0 else self._path(h, row.first, row.way, row.second, t)
            speaks = "against" if row.kind == "antisymmetric" else "for"
            measures = (row.confidence, row.pca, row.support, row.redundant)
            rows.append((self.patterns.told(row), row.kind, speaks, *measures, row.times, told, row.new))
        for row in rules[(rules["head"] == r) & (rules.kind == "reflexive")].itertuples() if h == t else ():
            measures = (row.confidence, row.pca, row.support, row.redundant)
            told = f"{self.names.entity(h)} is both head and tail"
            rows.append((self.patterns.told(row), row.kind, "for", *measures, 1, told, False))
        columns = ["rule", "kind", "speaks", "confidence", "pca", "support", "redundant", "times", "told", "held_out"]
        return pd.DataFrame(rows, columns=columns)

    def _ways(self, h: int, t: int) -> pd.DataFrame:
        """Bodies that hold from h to t: ``first``, ``second``, ``times``, ``way`` (an entity between) and ``new``.

        ``new`` says that all ways rest on links outside train; the way given is one that does not, if there is one.
        """
        links = self.links
        direct = links.between(np.array([h * links.num_nodes + t]))[1] if h != t else np.zeros(0, dtype=np.int64)
        out, back = slice(*links.row[h : h + 2]), slice(*links.row[t : t + 2])
        left, right = (v.numpy() for v in join(torch.from_numpy(links.y[out]), torch.from_numpy(links.y[back])))
        first, z, second = links.s[out][left], links.y[out][left], links.turn(links.s[back])[right]
        first, z, second = (v[(z != h) & (z != t) & (h != t)] for v in (first, z, second))
        new = self._new(np.full_like(z, h), first, z) | self._new(z, second, np.full_like(z, t))
        none = np.full_like(direct, -1)
        ways = pd.DataFrame(
            {
                "first": np.r_[direct, first],
                "second": np.r_[none, second],
                "way": np.r_[none, z],
                "new": np.r_[self._new(np.full_like(direct, h), direct, np.full_like(direct, t)), new],
            }
        ).sort_values(["new", "way"], kind="stable")
        bodies = ways.groupby(["first", "second"])
        return bodies.agg(times=("way", "size"), way=("way", "first"), new=("new", "min")).reset_index()

    def _paths(self, entities: Array) -> pd.DataFrame:
        """Links along paths of entities ``[k, length + 1]``."""
        rows = []
        for number, path in enumerate(entities.tolist()):
            for step, (start, end) in enumerate(pairwise(path)):
                for s in self.links.between(np.array([start * self.links.num_nodes + end]))[1].tolist():
                    relation, turned = s % self.links.num_relations, s >= self.links.num_relations
                    told, new = self._link(start, s, end), self._is_new(start, s, end)
                    rows.append((number, step, start, relation, turned, end, told, new))
        columns = ["path", "step", "start", "relation", "reversed", "end", "told", "held_out"]
        return pd.DataFrame(rows, columns=columns)

    def _neighbours(self, given: int, negative: int) -> pd.DataFrame:
        """Links of two entities to those that both are linked to."""
        links, rows = self.links, []
        near = {x: links.y[links.row[x] : links.row[x + 1]] for x in (given, negative)}
        both = np.intersect1d(near[given], near[negative]) if given != negative else near[given][:0]
        degree = links.row[both + 1] - links.row[both]
        for z, number in zip(both[np.argsort(degree, kind="stable")].tolist(), np.sort(degree).tolist(), strict=True):
            for of, x in (("given", given), ("negative", negative)):
                for s in links.between(np.array([x * links.num_nodes + z]))[1].tolist():
                    relation, ends = s % links.num_relations, (x, z) if s < links.num_relations else (z, x)
                    told, new = self._link(x, s, z), self._is_new(x, s, z)
                    rows.append((z, self.names.entity(z), number, of, ends[0], relation, ends[1], told, new))
        columns = ["entity", "name", "links", "of", "start", "relation", "end", "told", "held_out"]
        return pd.DataFrame(rows, columns=columns)

    def _roles(self, relation: int, negative: int, side: Side, answer: int | None) -> pd.DataFrame:
        """Directions that lead from the negative, against those from entities that stand where it is to stand."""
        links = self.links
        runs = slice(*links.node[negative : negative + 2])
        s, count = links.run_s[runs], links.run_size[runs]
        asked = relation + links.num_relations * (side == "tail")  # leads from each entity on this side
        fillers = links.run_x[links.run_s == asked]
        filled = np.bincount(links.run_s[np.isin(links.run_x, fillers)], minlength=links.directions)
        turned = s >= links.num_relations
        relations, places = s % max(links.num_relations, 1), np.where(turned, "tail", "head")
        roles = pd.DataFrame(
            {
                "role": [f"{p} of {self.names.relation(r)}" for p, r in zip(places, relations.tolist(), strict=True)],
                "relation": relations,
                "place": places.astype(object),
                "count": count,
                "typical": filled[s] / len(fillers) if len(fillers) else np.nan,
                "usual": self._usual[s],
                "answer": None if answer is None else links.starts(np.full_like(s, answer), s),
            }
        )
        order = ["typical", "usual", "relation", "place"]
        return roles.sort_values(order, ascending=[False, True, True, True], ignore_index=True)

    def _shared_facts(self, negative: int, answer: int) -> pd.DataFrame:
        """Links that lead from both entities by the same direction to the same entity."""
        links = self.links
        mine = slice(*links.row[negative : negative + 2])
        s, y = links.s[mine], links.y[mine]
        both = links.has(np.full_like(s, answer), s, y) & (negative != answer)
        s, y = s[both], y[both]
        holders = links.of_row(y, links.turn(s))[1]
        new = self._new(np.full_like(y, negative), s, y) | self._new(np.full_like(y, answer), s, y)
        rows = []
        for direction, entity, number, held_out in zip(*(v.tolist() for v in (s, y, holders, new)), strict=True):
            relation, turned = direction % links.num_relations, direction >= links.num_relations
            name, other = self.names.relation(relation), self.names.entity(entity)
            told = f"({other}, {name}, …)" if turned else f"(…, {name}, {other})"
            rows.append((told, relation, "tail" if turned else "head", entity, number, held_out))
        facts = pd.DataFrame(rows, columns=["told", "relation", "place", "entity", "holders", "held_out"])
        return facts.sort_values(["holders", "relation", "entity"], ignore_index=True)

    def _new(self, x: Array, s: Array, y: Array) -> Array:
        """Which links are not in train; ids ``[n]``, mask ``[n]``."""
        return ~self.train.has(x, s, y)

    def _is_new(self, x: int, s: int, y: int) -> bool:
        return bool(self._new(*(np.array([v]) for v in (x, s, y)))[0])

    def _link(self, x: int, s: int, y: int) -> str:
        return self.names.link(x, s, y, self.links.num_relations)

    def _path(self, x: int, s1: int, z: int, s2: int, y: int) -> str:
        return f"{self._link(x, s1, z)}, {self._link(z, s2, y)}"
