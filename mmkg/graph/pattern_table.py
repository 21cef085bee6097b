"""Patterns that were found: as tables, as labels of relations, as a network of relations, as a page of text."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import networkx as nx
import numpy as np
import pandas as pd
import torch

from mmkg.errors import DataError
from mmkg.graph.links import Links
from mmkg.graph.names import Names
from mmkg.graph.ragged import packs, ragged
from mmkg.graph.thresholds import Thresholds

KINDS = ("symmetric", "inverse", "implies", "transitive", "composition", "reflexive", "antisymmetric")
"""Kinds of pattern, the one that says most about a relation first."""

COLUMNS = (
    *("kind", "first", "second", "head", "support", "body", "confidence", "known", "pca", "known_side"),
    *("head_coverage", "redundant", "x", "z", "y"),
)
EDGES = {"inverse": "inverse", "implies": "implies", "composition": "composes"}
HEADINGS = {
    "symmetric": "Symmetric relations",
    "inverse": "Inverse relations",
    "implies": "Sub-relations",
    "transitive": "Transitive relations",
    "composition": "Compositions",
    "reflexive": "Reflexive relations",
    "antisymmetric": "Antisymmetric relations",
}


@dataclass
class Patterns:
    """What :func:`~mmkg.graph.mine_patterns` found.

    Attributes:
        rules: One row a rule, by kind, the best supported first, redundant ones last: ``kind`` (of :data:`KINDS`),
            ``first`` and ``second`` (directions of the body's links: a relation r, or r + R for r turned round; -1
            where there is no second), ``head`` (relation), ``support``, ``body`` (pairs of the body), ``confidence``,
            ``known`` (pairs of the body that PCA counts), ``pca``, ``known_side``, ``head_coverage``, ``redundant``,
            and an example ``x``, ``z``, ``y`` (entities; z is -1 where there is no second link).
        categories: As :func:`~mmkg.graph.relation_categories` gives them.
        links: The links that the rules are about.
        names: What to call entities and relations.
        thresholds: What was asked of a rule.
        title: Sizes, in one line.
    """

    rules: pd.DataFrame
    categories: pd.DataFrame
    links: Links
    names: Names
    thresholds: Thresholds
    title: str = ""

    def __len__(self) -> int:
        return len(self.rules)

    def __getitem__(self, kind: str) -> pd.DataFrame:
        """The table of one kind, see :meth:`table`."""
        return self.table(kind)

    def table(self, kind: str | None = None, *, redundant: bool = True) -> pd.DataFrame:
        """Rules by name.

        Args:
            kind: One of :data:`KINDS`; all if None.
            redundant: Whether to give those that say again what another one says.

        Returns:
            Columns ``kind``, ``rule``, ``first``, ``second`` (empty where there is none), ``head``, ``support``,
            ``body``, ``confidence``, ``pca``, ``known_side``, ``head_coverage``, ``redundant`` and ``example``, in the
            order of :attr:`rules` and with its index.

        Raises:
            DataError: If there is no such kind.
        """
        rows = self._of(kind)
        rows = rows if redundant else rows[~rows.redundant]
        first, second = ([self._direction(s) for s in rows[c]] for c in ("first", "second"))
        head = [self.names.relation(r) for r in rows["head"]]
        told = {"kind": rows.kind.astype(str).astype(object), "rule": [self.told(row) for row in rows.itertuples()]}
        told |= {"first": first, "second": second, "head": head}
        measures = ("support", "body", "confidence", "pca", "known_side", "head_coverage", "redundant")
        told |= {name: rows[name] for name in measures}
        told["example"] = [self._example(row) for row in rows.itertuples()]
        return pd.DataFrame(told, index=rows.index)

    def told(self, rule) -> str:
        """A row of :attr:`rules` in words: ``capital_of ∘ borders⁻¹ ⇒ near``, paths read from x to y."""
        head = self.names.relation(rule.head)
        if rule.kind == "reflexive":
            return f"{head}(x, x)"
        body = self._direction(rule.first) + (f" ∘ {self._direction(rule.second)}" if rule.second >= 0 else "")
        return f"{body} ⇒ {'not ' if rule.kind == 'antisymmetric' else ''}{head}"

    def examples(self, rule: int, k: int = 3) -> pd.DataFrame:
        """Entities for which a rule holds.

        Args:
            rule: Index of the rule in :attr:`rules`, which its tables share.
            k: How many to look for.

        Returns:
            At most k rows ``x``, ``z``, ``y`` (ids, z -1 where the body is a single link) and ``example`` (in words),
            in the order of x and y.

        Raises:
            DataError: If there is no such rule.
        """
        if rule not in self.rules.index:
            raise DataError(f"no rule {rule!r}", cure=f"give one of the {len(self)} in the index of rules")
        row, links = self.rules.loc[rule], self.links
        if row.kind == "reflexive":
            x = y = links.loops[0][links.loops[1] == row["head"]]
        else:
            own = links.s == row["head"]
            x, y = links.x[own], links.y[own]
        z = np.full_like(x, -1)
        if row.second >= 0:
            x, z, y = self._through(row, x, y, k)
        elif row.kind == "antisymmetric":
            alone = ~links.has(y, np.full_like(x, row["head"]), x)
            x, z, y = x[alone], z[alone], y[alone]
        elif row.kind != "reflexive":
            both = links.has(x, np.full_like(x, row["first"]), y)
            x, z, y = x[both], z[both], y[both]
        found = pd.DataFrame({"x": x[:k], "z": z[:k], "y": y[:k]})
        shown = found.assign(kind=row.kind, first=row["first"], second=row.second, head=row["head"])
        return found.assign(example=[self._example(one) for one in shown.itertuples()])

    def _through(self, row: pd.Series, x: np.ndarray, y: np.ndarray, k: int) -> tuple[np.ndarray, ...]:
        """For the first k pairs ``[n]`` that the path of a rule joins: x, the least z, and y."""
        start, size = self.links.of_row(x, np.full_like(x, row["first"]))
        found = [np.zeros((3, 0), dtype=np.int64)]
        for begin, end in packs(size, 2**16):
            which, step = ragged(size[begin:end])
            pair, z = begin + which, self.links.y[start[begin:end][which] + step]
            fits = self.links.has(z, np.full_like(z, row.second), y[pair])
            pair, first = np.unique(pair[fits], return_index=True)
            found.append(np.stack([x[pair], z[fits][first], y[pair]]))
            if sum(part.shape[1] for part in found) >= k:
                break
        return tuple(np.concatenate(found, axis=1))

    def labels(self) -> pd.DataFrame:
        """Which patterns each relation has: one row a relation, one boolean column a kind.

        A relation has a pattern if it is the head of such a rule: something in the graph then speaks for its triples
        (or, antisymmetric, against them turned round).
        """
        table = np.zeros((self.links.num_relations, len(KINDS)), dtype=bool)
        table[self.rules["head"], self.rules.kind.cat.codes] = True
        return pd.DataFrame(table, columns=list(KINDS))

    def pattern_of_relation(self) -> pd.Series:
        """The pattern that says most about each relation, the first of :data:`KINDS` that it has, or "none"."""
        labels = self.labels()
        first = pd.Series(labels.to_numpy().argmax(1)).map(dict(enumerate(KINDS)))
        return first.where(labels.any(axis=1), "none").astype(object).rename("pattern")

    def groups(self, relation) -> dict[str, list[str]]:
        """Groupings for :func:`mmkg.evaluation.breakdown`, or for a table of negatives.

        Args:
            relation: Relation ids, shape ``[Q]``.

        Returns:
            Under "pattern" the label of :meth:`pattern_of_relation`, under each kind "yes" or "no"; ``Q`` each.
        """
        relation = np.asarray(relation.cpu() if isinstance(relation, torch.Tensor) else relation)
        labels, main = self.labels(), self.pattern_of_relation()
        groups = {"pattern": main.to_numpy()[relation].tolist()}
        return groups | {kind: np.where(labels[kind].to_numpy()[relation], "yes", "no").tolist() for kind in KINDS}

    def pattern_graph(self, *, redundant: bool = False) -> nx.DiGraph:
        """Relations as a network, to draw and to query.

        Args:
            redundant: Whether rules that say again what another one says make edges as well.

        Returns:
            A node for each relation, by name, with ``id``, ``triples``, ``category``, ``pattern`` and, where it is so,
            ``symmetric``, ``transitive``, ``reflexive`` and ``antisymmetric`` (confidence). An edge from the body's
            relation to the head where a rule leads there, with the confidence of the best rule of each kind as
            ``inverse``, ``implies`` and ``composes``, ``kinds`` (those it has, joined by commas), ``weight`` (the
            greatest of them) and, where it composes, ``with`` (the best such rule in words) and ``compositions`` (their
            number). All are plain numbers and texts, so that networkx can write them as GraphML.
        """
        graph = nx.DiGraph()
        main = self.pattern_of_relation()
        node = [self.names.relation(r) for r in range(self.links.num_relations)]
        if len(set(node)) < len(node):
            raise DataError("two relations have the same name", cure="give each its own in relation_names")
        for r, row in enumerate(self.categories.itertuples()):
            graph.add_node(node[r], id=r, triples=int(row.triples), category=row.category, pattern=main[r])
        rules = self.rules if redundant else self.rules[~self.rules.redundant]
        for rule in rules.sort_values("confidence", ascending=False, kind="stable").itertuples():
            kind = EDGES.get(rule.kind)
            if kind is None:
                graph.nodes[node[rule.head]][rule.kind] = float(rule.confidence)
                continue
            for r in {s % len(node) for s in (rule.first, rule.second) if s >= 0}:
                graph.add_edge(node[r], node[rule.head])
                edge = graph.edges[node[r], node[rule.head]]
                edge.setdefault(kind, float(rule.confidence))
                edge["kinds"] = ",".join(k for k in EDGES.values() if k in edge)
                edge["weight"] = max(edge[k] for k in EDGES.values() if k in edge)
                if kind == "composes":
                    edge.setdefault("with", self.told(rule))
                    edge["compositions"] = edge.get("compositions", 0) + 1
        return graph

    def page(self, width: int = 100, k: int = 5) -> str:
        """The patterns as a page of plain text, k rules of each kind."""
        lines = [self.title]
        for kind in KINDS:
            rows = self._of(kind)
            again = int(rows.redundant.sum())
            more = f" (and {again:,} that say the same again)" if again else ""
            lines += ["", f"{HEADINGS[kind]}: {len(rows) - again:,}{more}"]
            for row in rows[~rows.redundant].head(k).itertuples():
                lines += _wrap(f"{self.told(row)}: {_share(row)}", width, "  ", "    ")
                lines += _wrap(f"e.g. {self._example(row)}", width, "      ", "      ")
        counts = self.categories.category.value_counts()
        shown = ", ".join(f"{name} {counts.get(name, 0):,}" for name in ("1-1", "1-N", "N-1", "N-N"))
        unseen = f"; without a triple {counts['none']:,}" if "none" in counts else ""
        return "\n".join([*lines, "", f"Relations by category: {shown}{unseen}"])

    def _direction(self, s: int) -> str:
        return self.names.direction(s, self.links.num_relations)

    def _of(self, kind: str | None) -> pd.DataFrame:
        if kind is not None and kind not in KINDS:
            raise DataError(f"kind {kind!r}", cure=f"choose one of {', '.join(KINDS)}")
        return self.rules if kind is None else self.rules[self.rules.kind == kind]

    def _example(self, rule) -> str:
        """Three entities for which a rule holds, in triples."""
        x, z, y = rule.x, rule.z, rule.y
        head = self.names.triple(x, rule.head, y)
        if rule.kind == "reflexive":
            return head
        if rule.kind == "antisymmetric":
            return f"{head}, not {self.names.triple(y, rule.head, x)}"
        steps = [(x, rule.first, y)] if rule.second < 0 else [(x, rule.first, z), (z, rule.second, y)]
        return f"{', '.join(self.names.link(*step, self.links.num_relations) for step in steps)} ⇒ {head}"


def _share(rule) -> str:
    """Measures of a rule in words."""
    of = "entities" if rule.kind == "reflexive" else "pairs"
    told = f"{rule.support:,} of {rule.body:,} {of} ({rule.confidence:.1%})"
    told += f"; PCA {rule.pca:.1%}" if rule.known else "; PCA can tell of none"
    return told + ("" if np.isnan(rule.head_coverage) else f"; {rule.head_coverage:.1%} of the head")


def _wrap(text: str, width: int, first: str, then: str) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=then, break_long_words=False)
