"""What a benchmark's own reader hands to the base class: names and triples, nothing of PyG yet."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from mmkg.datasets.graph_data import KGData
from mmkg.datasets.lines import Lines, read_lines
from mmkg.datasets.names import readable
from mmkg.datasets.readers import (
    EntityText,
    oddities,
    read_id_triples,
    read_names,
    read_triples,
    vocabulary,
)

PARTS = ("train", "valid", "test")


@dataclass
class RawGraph:
    """A graph as released, with its splits decided.

    Args:
        entities: Raw names, length ``N``; the place is the id.
        relations: Raw names, length ``R``.
        train: Ids (h, r, t), shape ``[E_train, 3]``.
        val: Shape ``[E_val, 3]``.
        test: Shape ``[E_test, 3]``.
        extra_filter: Triples known to be true that are in no split, shape ``[X, 3]``.
        labels: Human names, length ``N``; made from the raw names where empty.
        descriptions: Texts, length ``N``; empty where there is none.
        report: What the reader counted.
    """

    entities: list[str]
    relations: list[str]
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    extra_filter: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), dtype=np.int64))
    labels: list[str] | None = None
    descriptions: list[str] | None = None
    report: dict = field(default_factory=dict)

    @classmethod
    def from_id_files(cls, file: Callable[[str], Path]) -> RawGraph:
        """Read ``entity2id.txt``, ``relation2id.txt`` and ``{train,valid,test}2id.txt``, found by ``file``."""
        lines = {kind: read_lines(file(f"{kind}2id.txt")) for kind in ("entity", "relation", *PARTS)}
        entities, relations = read_names(lines["entity"]), read_names(lines["relation"])
        train, val, test = (read_id_triples(lines[part], len(entities), len(relations)) for part in PARTS)
        return cls(entities, relations, train, val, test, report=oddities(list(lines.values())))

    @classmethod
    def from_name_files(cls, file: Callable[[str], Path | Lines]) -> RawGraph:
        """Read ``{train,valid,test}.txt``, found by ``file``; ids follow the sorted names of all three."""
        parts = [read_triples(file(f"{part}.txt")) for part in PARTS]
        entities, relations = vocabulary(parts)
        train, val, test = (part.to_ids(entities, relations) for part in parts)
        return cls(entities, relations, train, val, test, report=oddities([part.lines for part in parts], parts))

    def add_texts(self, table: EntityText, path: Path) -> None:
        """Take labels and descriptions from a table; ``path`` is what a warning calls it."""
        self.labels, self.descriptions, matched = table.aligned(self.entities)
        self.report["text_rows_of_other_entities"] = len(table.ids) - matched
        if table.ids and self.entities and not matched:
            warnings.warn(
                f"{path}: not one of its {len(table.ids)} rows is of an entity of this graph; its first id is "
                f"{table.ids[0]!r}, an entity's is {self.entities[0]!r}",
                stacklevel=2,
            )

    def to_data(self) -> KGData:
        """One graph: train, then validation, then test triples, told apart by masks."""
        triples = torch.from_numpy(np.concatenate([self.train, self.val, self.test]).astype(np.int64))  # [E, 3]
        part = torch.tensor([0, 1, 2]).repeat_interleave(torch.tensor([len(self.train), len(self.val), len(self.test)]))
        labels = self.labels or [""] * len(self.entities)
        return KGData(
            edge_index=triples[:, [0, 2]].t().contiguous(),
            edge_type=triples[:, 1].contiguous(),
            train_mask=part == 0,
            val_mask=part == 1,
            test_mask=part == 2,
            extra_filter=torch.from_numpy(self.extra_filter.astype(np.int64)).t().contiguous(),
            num_nodes=len(self.entities),
            num_relations=len(self.relations),
            entity_names=self.entities,
            relation_names=self.relations,
            relation_labels=[readable(name) for name in self.relations],
            entity_labels=[label or readable(name) for label, name in zip(labels, self.entities, strict=True)],
            descriptions=self.descriptions or [""] * len(self.entities),
        )

    def counts(self) -> dict:
        """Counts that every graph reports: sizes, self-loops, duplicates, overlaps, unseen entities, texts."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        sets = dict(zip(parts, _distinct(list(parts.values()), len(self.entities), len(self.relations)), strict=True))
        seen = np.zeros(len(self.entities), dtype=bool)
        seen[self.train[:, [0, 2]].ravel()] = True
        unseen = {name: int((~seen[triples[:, [0, 2]]]).any(1).sum()) for name, triples in parts.items()}
        return {
            "entities": len(self.entities),
            "relations": len(self.relations),
            "triples": {name: len(triples) for name, triples in parts.items()},
            "extra_filter": len(self.extra_filter),
            "duplicates": {name: len(triples) - len(sets[name]) for name, triples in parts.items()},
            "overlap": {
                f"{a}-{b}": len(np.intersect1d(sets[a], sets[b], assume_unique=True))
                for a, b in (("train", "val"), ("train", "test"), ("val", "test"))
            },
            "self_loops": {name: int((triples[:, 0] == triples[:, 2]).sum()) for name, triples in parts.items()},
            "unseen_in_train": {"entities": int((~seen).sum()), "val": unseen["val"], "test": unseen["test"]},
            "labels": sum(map(bool, self.labels or [])),
            "descriptions": sum(map(bool, self.descriptions or [])),
        }


def _distinct(parts: Sequence[np.ndarray], num_entities: int, num_relations: int) -> list[np.ndarray]:
    """Sorted keys of each part's distinct triples; equal triples have equal keys, whatever part they are in."""
    triples = np.concatenate(parts).astype(np.int64)  # [E, 3]
    question = np.unique(triples[:, 0] * num_relations + triples[:, 1], return_inverse=True)[1].reshape(-1)  # [E]
    key = question * num_entities + triples[:, 2]  # [E], fits: there are no more questions than triples
    return [np.unique(own) for own in np.split(key, np.cumsum([len(part) for part in parts])[:-1])]
