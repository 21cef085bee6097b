"""What an audit looks at, each split's triples once each, and the table that it fills."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from mmkg.errors import DataError
from mmkg.graph.names import Names

SPLITS = ("train", "val", "test")
SEVERITIES = ("problem", "caution", "fact", "fine", "unjudged")
COLUMNS = ("severity", "topic", "finding", "count", "of", "share", "example", "advice")


@dataclass
class SplitTriples:
    """The triples of each split, each once.

    Args:
        data: The whole graph.
        keys: Sorted keys of the distinct triples ``[E']``, by split.
        lines: How many triples there are, copies included, by split.
        triples: Ids (h, r, t), each ``[E']``, in the order of the keys, by split.
        copies: Keys that occur more than once, by split.
    """

    data: Any
    keys: dict[str, Tensor] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    triples: dict[str, tuple[Tensor, Tensor, Tensor]] = field(default_factory=dict)
    copies: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        data = self.data
        missing = [k for k in ("num_relations", *(f"{s}_mask" for s in SPLITS)) if k not in data]
        if missing:
            raise DataError(f"the graph has no {', '.join(missing)}", cure="give the whole graph, not one split's view")
        self.num_nodes, self.num_relations = int(data.num_nodes), int(data.num_relations)
        self.names = Names.of(data)
        (h, t), r = data.edge_index.cpu(), data.edge_type.cpu()
        for name, ids, size in (("entity", h, self.num_nodes), ("relation", r, self.num_relations)):
            ids = torch.cat([h, t]) if name == "entity" else ids
            if ids.numel() and (int(ids.min()) < 0 or int(ids.max()) >= size):
                raise DataError(f"{name} ids run from {int(ids.min())} to {int(ids.max())}, expected 0 to {size - 1}")
        if self.num_nodes**2 * max(self.num_relations, 1) >= 2**63:
            raise DataError(f"{self.num_nodes} entities, {self.num_relations} relations: keys beyond 63 bits")
        for split in SPLITS:
            keep = data[f"{split}_mask"].cpu()
            self.lines[split] = int(keep.sum())
            key = (h[keep] * self.num_relations + r[keep]) * self.num_nodes + t[keep]  # [E_split]
            self.keys[split], times = torch.unique(key, return_counts=True)
            self.copies[split] = self.keys[split][times > 1]
            self.triples[split] = self.split_key(self.keys[split])

    def split_key(self, key: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Ids (h, r, t) of keys, each of their shape."""
        question, tail = key // max(self.num_nodes, 1), key % max(self.num_nodes, 1)
        return question // max(self.num_relations, 1), question % max(self.num_relations, 1), tail

    def listed(self, *names: str) -> list[str] | None:
        """The first of some lists of names that the graph has."""
        return next((self.data[n] for n in names if n in self.data and self.data[n] is not None), None)

    def entity(self, number: int) -> str:
        """A name to show."""
        return self.names.entity(number)

    def relation(self, number: int) -> str:
        """A name to show."""
        return self.names.relation(number)

    def show(self, key: Tensor) -> str:
        """The first of some triples ``[n]``, by name; empty if there is none."""
        if not key.numel():
            return ""
        h, r, t = (int(x) for x in self.split_key(key[0]))
        return self.names.triple(h, r, t)

    def title(self) -> str:
        """Sizes."""
        sizes = ", ".join(f"{name} {n:,}" for name, n in self.lines.items())
        return f"{self.num_nodes:,} entities, {self.num_relations:,} relations; triples: {sizes}"


class Findings:
    """Rows of an audit's table.

    Args:
        graph: Whose triples are shown as examples.
    """

    def __init__(self, graph: SplitTriples) -> None:
        self.graph, self.rows, self.topic = graph, [], ""

    def add(
        self,
        finding: str,
        count: int,
        of: int | None,
        example: str,
        advice: str,
        severity: str = "fact",
        fine: bool | None = None,
    ) -> None:
        """Add a finding.

        Args:
            finding: What was looked for.
            count: How often it was found.
            of: Out of how many; None for a mere count. Out of none at all, nothing can be said: it is "unjudged".
            example: One of them, or nothing.
            advice: What to do about it.
            severity: "problem", "caution" or "fact", where it was found.
            fine: Whether to have found none is good news; None for "if it is more than a fact".
        """
        fine = severity != "fact" if fine is None else fine
        severity = "unjudged" if of == 0 else "fine" if fine and not count else severity
        share = count / of if of else 0.0
        self.rows.append((severity, self.topic, finding, count, of or 0, share, example if count else "", advice))

    def add_triples(
        self, finding: str, keys: Tensor, of: int, advice: str, severity: str = "fact", fine: bool | None = None
    ) -> None:
        """Add a finding about triples, given by their keys."""
        self.add(finding, keys.numel(), of, self.graph.show(keys), advice, severity, fine)

    def table(self) -> pd.DataFrame:
        """The findings, the gravest first."""
        self.rows.sort(key=lambda row: SEVERITIES.index(row[0]))  # stable: within a severity as they were looked for
        return pd.DataFrame(self.rows, columns=list(COLUMNS))
