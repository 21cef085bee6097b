"""What was found out about a negative: tables, a text to read, a small network to draw."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import networkx as nx
import pandas as pd

from mmkg.graph.names import Names
from mmkg.types import Side


@dataclass
class Explanation:
    """Why a negative is hard, or in truth plausible; see :func:`mmkg.analysis.explain_negative`.

    Columns ``entity``, ``start``, ``relation`` and ``end`` hold ids, ``told`` is in words, and ``held_out`` is True for
    what rests on links outside train.

    Attributes:
        triple: Ids (h, r, t) of the negative triple.
        side: Which of its entities is the negative.
        answer: Id of the true answer, or None.
        splits: Whose links were looked at.
        known: Whether the triple is a fact of these splits, and so no negative.
        held_out: Whether it is a fact of a split other than train; None where only train was looked at.
        rules: Mined rules for the relation whose body holds for the triple, the most confident first: ``rule``,
            ``kind``, ``speaks`` ("for" or "against"), ``confidence``, ``pca``, ``support``, ``redundant``, ``times``
            (in how many ways the body holds), ``told`` (one of them), ``held_out`` (no way is without such links).
        distance: Length of the shortest paths between the two entities, None if there is none within the bound.
        num_paths: How many there are, as sequences of entities.
        paths: The most telling of them, a row a link: ``path``, ``step``, ``start``, ``relation``, ``reversed``
            (whether the link leads from end to start), ``end``, ``told`` (the triple), ``held_out``.
        neighbours: Entities linked to both, those with the fewest links first, a row a link: ``entity``, ``name``,
            ``links`` (how many the entity has), ``of`` ("given" or "negative"), ``start``, ``relation``, ``end``,
            ``told`` (the triple), ``held_out``.
        roles: What the negative does in the graph, what is typical of this relation's answers first: ``role`` ("head
            of borders"), ``relation``, ``place``, ``count`` (of the negative's links in it), ``typical`` (share of the
            entities known as this side of the relation that have it), ``usual`` (share of all entities), ``answer``
            (whether the true answer has it; None without one).
        shared_facts: Facts that the negative shares with the true answer, the rarest first: ``told``, ``relation``,
            ``place`` (of the two in it, "head" or "tail"), ``entity`` (in the other), ``holders`` (how many entities
            have it), ``held_out``; None without an answer.
        names: What to call entities and relations.
    """

    triple: tuple[int, int, int]
    side: Side
    answer: int | None
    splits: tuple[str, ...]
    known: bool
    held_out: bool | None
    rules: pd.DataFrame
    distance: int | None
    num_paths: int
    paths: pd.DataFrame
    neighbours: pd.DataFrame
    roles: pd.DataFrame
    shared_facts: pd.DataFrame | None
    names: Names

    @property
    def negative(self) -> int:
        """Id of the negative."""
        return self.triple[2] if self.side == "tail" else self.triple[0]

    @property
    def given(self) -> int:
        """Id of the entity that the question gives."""
        return self.triple[0] if self.side == "tail" else self.triple[2]

    def text(self, k: int = 3, width: int = 100) -> str:
        """All of it to read, k lines of each kind."""
        given, negative = self.names.entity(self.given), self.names.entity(self.negative)
        lines = [f"{self.names.triple(*self.triple)}: {negative} as a negative for the {self.side}"]
        if self.answer is not None:
            lines[0] += f", true answer {self.names.entity(self.answer)}"
        lines += [f"looked at {', '.join(self.splits)}: {self._standing()}"]
        for speaks in ("for", "against"):
            rows = self.rules[self.rules.speaks == speaks]
            lines.append(f"Rules that speak {speaks} it: {len(rows)}")
            for row in rows.head(k).itertuples():
                more = f", in {row.times:,} ways" if row.times > 1 else ""
                lines.append(f"  {row.rule} (confidence {row.confidence:.0%}, PCA {_share(row.pca)}){more}")
                lines.append(f"      as {row.told}{_mark(row)}")
        if self.distance is None:
            lines.append(f"No short path between {given} and {negative}")
        else:
            lines.append(f"Shortest paths between {given} and {negative}: {self.num_paths:,} of length {self.distance}")
        for _, path in list(self.paths.groupby("path"))[:k]:
            steps = [given]
            for (_, end), hop in path.groupby(["step", "end"]):
                row, more = hop.iloc[0], f" (+{len(hop) - 1})" if len(hop) > 1 else ""
                relation = f"{self.names.relation(row.relation)}{more}{_mark(row)}"
                steps.append(f"{f'←{relation}—' if row.reversed else f'—{relation}→'} {self.names.entity(end)}")
            lines.append(f"  {' '.join(steps)}")
        lines.append(f"Neighbours that they share: {self.neighbours.entity.nunique():,}")
        for _, rows in list(self.neighbours.groupby("entity", sort=False))[:k]:
            told = ", ".join(f"{row.told}{_mark(row)}" for row in rows.itertuples())
            lines.append(f"  {rows['name'].iloc[0]} ({rows.links.iloc[0]:,} links): {told}")
        lines.append(f"Roles of {negative}: {len(self.roles):,}")
        for row in self.roles.head(k).itertuples():
            told = f"{_share(row.typical)} of the relation's {self.side}s have it, {row.usual:.1%} of all entities"
            also = {True: "; the true answer too", False: "; the true answer not"}.get(row.answer, "")
            lines.append(f"  {row.role} ({_links(row.count)}): {told}{also}")
        if self.shared_facts is not None:
            lines.append(f"Facts that it shares with {self.names.entity(self.answer)}: {len(self.shared_facts):,}")
            for row in self.shared_facts.head(k).itertuples():
                lines.append(f"  {row.told}: {row.holders:,} entities have it{_mark(row)}")
        return "\n".join(part for line in lines for part in _wrap(line, width))

    def to_networkx(self, k: int = 10) -> nx.MultiDiGraph:
        """The two entities, the paths between them and their k first shared neighbours, to draw.

        Returns:
            Nodes are ids with ``label`` and ``role`` ("given", "negative", "answer" or ""). Edges have ``relation``
            (its name), ``why`` ("asked" for the negative triple itself, "path", "neighbour" or "shared" with the true
            answer) and ``held_out``.
        """
        graph = nx.MultiDiGraph()
        roles = {self.answer: "answer", self.negative: "negative", self.given: "given"}

        def add(start: int, relation: int, end: int, why: str, held_out: bool = False) -> None:
            for entity in (start, end):
                graph.add_node(entity, label=self.names.entity(entity), role=roles.get(entity, ""))
            key = f"{relation} asked" if why == "asked" else relation
            if not graph.has_edge(start, end, key):
                graph.add_edge(start, end, key, relation=self.names.relation(relation), why=why, held_out=held_out)

        add(*self.triple, "asked")
        for row in self.paths.itertuples():
            ends = (row.end, row.start) if row.reversed else (row.start, row.end)
            add(ends[0], row.relation, ends[1], "path", row.held_out)
        near = self.neighbours.entity.drop_duplicates().head(k)
        for row in self.neighbours[self.neighbours.entity.isin(near)].itertuples():
            add(row.start, row.relation, row.end, "neighbour", row.held_out)
        for row in () if self.shared_facts is None else self.shared_facts.head(k).itertuples():
            for entity in (self.negative, self.answer):
                ends = (entity, row.entity) if row.place == "head" else (row.entity, entity)
                add(ends[0], row.relation, ends[1], "shared", row.held_out)
        return graph

    def _standing(self) -> str:
        if self.held_out:
            return "a held-out fact, so a false negative"
        if self.known:
            return "a fact, so no negative at all"
        return "not among its facts"


def _share(value: float) -> str:
    return "unknown" if pd.isna(value) else f"{value:.0%}"


def _links(number: int) -> str:
    return "1 link" if number == 1 else f"{number:,} links"


def _mark(row) -> str:
    return " [held out]" if row.held_out else ""


def _wrap(text: str, width: int) -> list[str]:
    indent = " " * (len(text) - len(text.lstrip()))
    return textwrap.wrap(text, width, subsequent_indent=f"{indent}    ", break_long_words=False, drop_whitespace=True)
