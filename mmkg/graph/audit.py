"""What is wrong with a dataset, and what to do about it: duplicates, overlap, leaks, loops, the unseen, the missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from mmkg.errors import DataError
from mmkg.graph.audit_page import render
from mmkg.graph.categories import relation_categories
from mmkg.graph.findings import SPLITS, Findings, SplitTriples
from mmkg.graph.inverse import relation_rules
from mmkg.graph.leaks import look_at_rules
from mmkg.types import Features

QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
COUNTED_HERE = {  # of a reader's report: what the audit counts itself, or what is no count of something odd
    *("dataset", "options", "entities", "relations", "triples", "extra_filter", "duplicates", "overlap", "self_loops"),
    *("unseen_in_train", "labels", "descriptions", "image", "text", "split_policy", "files", "fractions", "seed"),
    *("carriage_returns", "entities_if_carriage_returns_stayed"),
}
READERS_ADVICE = {
    "blank_lines": "Left out; a reader that counts lines would count them.",
    "byte_order_marks": "Taken off; another reader may take it for a part of the first name.",
    "duplicated_lines": "Where splits are given the copies are kept, where triples.tsv is split each is one edge.",
    "names_with_outer_spaces": "Names are taken letter by letter: remove the spaces if they mean nothing.",
    "text_rows_of_other_entities": "Texts whose id is no entity's: check the ids, or leave them if they are of others.",
    "pictures_of_nobody": "Named after no entity, or in no known format: name them after ids or names of entities.",
    "pictures": "As many entities have a picture in images/; dataset.encode_images() makes features of them.",
}


@dataclass
class Audit:
    """What :func:`audit` found.

    Attributes:
        findings: One row a finding, the gravest first: ``severity`` ("problem", "caution", "fact"; "fine" for what was
            looked for and is not there; "unjudged" where there was nothing to look at), ``topic``, ``finding``,
            ``count``, ``of`` (out of how many; 0 for a mere count), ``share``, ``example``, ``advice``.
        rules: Trivial rules between relations, as :func:`~mmkg.graph.inverse.relation_rules` gives them, with names.
        categories: As :func:`~mmkg.graph.relation_categories` gives them, on train, with names.
        degrees: Quantiles of the entities' number of distinct train triples.
        coverage: Share of entities, and of the heads and tails of each split's distinct triples, that have a modality.
        title: Sizes, in one line.
    """

    findings: pd.DataFrame
    rules: pd.DataFrame
    categories: pd.DataFrame
    degrees: pd.Series
    coverage: pd.DataFrame
    title: str = ""

    def count(self, finding: str) -> int:
        """The count of one finding."""
        rows = self.findings[self.findings.finding == finding]
        if rows.empty:
            raise KeyError(f"no finding {finding!r}; there are: {'; '.join(self.findings.finding)}")
        return int(rows["count"].iloc[0])

    def severity(self, finding: str) -> str:
        """The severity of one finding."""
        self.count(finding)
        return self.findings.set_index("finding").severity[finding]

    def page(self, width: int = 100) -> str:
        """The findings as a page of plain text."""
        return render(self, width)

    def tables(self) -> dict[str, pd.DataFrame]:
        """All tables by name."""
        return {
            "findings": self.findings,
            "rules": self.rules,
            "categories": self.categories,
            "degrees": self.degrees.rename_axis("quantile").reset_index(),
            "coverage": self.coverage.rename_axis("modality").reset_index(),
        }

    def to_json(self) -> str:
        """All tables, and the title, for a program to read: a list of rows by name."""
        tables = {name: json.loads(table.to_json(orient="records")) for name, table in self.tables().items()}
        return json.dumps({"title": self.title, **tables}, indent=1, ensure_ascii=False)

    def save(self, folder: str | Path) -> list[Path]:
        """Write each table as ``<name>.csv`` and the page as ``page.txt``; gives their paths."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / "page.txt"]
        paths[0].write_text(self.page() + "\n", encoding="utf-8")
        for name, table in self.tables().items():
            paths.append(folder / f"{name}.csv")
            table.to_csv(paths[-1], index=False)
        return paths


def audit(
    data,
    features: Mapping[str, Features | None] | None = None,
    report: Mapping | None = None,
    *,
    min_confidence: float = 0.6,
    min_support: int = 5,
    leak: float = 0.1,
) -> Audit:
    """Look for what commonly is wrong with a knowledge graph and its splits.

    Duplicates are lines beyond the first of their kind; everything else is counted on *distinct* triples.

    Args:
        data: A PyG ``Data`` with ``edge_index [2, E]``, ``edge_type [E]``, ``train_mask``, ``val_mask``,
            ``test_mask`` ``[E]``, ``num_nodes`` and ``num_relations``; ``extra_filter [3, X]``, names, labels and
            descriptions are used if there.
        features: Features by modality; None for a modality that the dataset does not have.
        report: ``dataset.report``: what the reader of the raw files counted is passed on.
        min_confidence: Of rules between relations, see :func:`~mmkg.graph.inverse.relation_rules`.
        min_support: The same. Relations with fewer pairs are not judged.
        leak: Share of a split's triples, given away by trivial rules, from which this is called a problem.

    Raises:
        DataError: If the graph is one split's view, an id is out of range, or features are of another graph.

    Example:
        >>> from torch_geometric.data import Data
        >>> data = Data(edge_index=torch.tensor([[0, 1, 0], [1, 0, 1]]), edge_type=torch.tensor([0, 0, 0]), num_nodes=2)
        >>> data.num_relations, data.train_mask = 1, torch.tensor([True, True, False])
        >>> data.val_mask, data.test_mask = ~data.train_mask, torch.zeros(3, dtype=torch.bool)
        >>> audit(data).count("val triples that are also in train")
        1
    """
    graph = SplitTriples(data)
    found = Findings(graph)
    _look_at_triples(graph, found)
    train = graph.triples["train"]
    size = graph.num_nodes, graph.num_relations
    thresholds: dict[str, Any] = {"min_confidence": min_confidence, "min_support": min_support}
    rules = relation_rules(torch.stack(train[::2]), train[1], *size, **thresholds)
    rules = look_at_rules(graph, found, rules, leak=leak, **thresholds)
    _look_at_entities(graph, found)
    ends = torch.cat([train[0], train[2][train[0] != train[2]]])  # a self-loop is one triple of its entity
    degree = torch.bincount(ends, minlength=size[0])  # [N]
    degrees = pd.Series(degree.numpy(), name="train triples").quantile(QUANTILES)
    single = (degree == 1).nonzero().flatten()
    advice = "Report metrics by degree; such an entity is known by its picture and text, or hardly at all."
    example = graph.entity(int(single[0])) if single.numel() else ""
    found.topic = "degrees"
    found.add("entities with a single train triple", single.numel(), size[0], example, advice, fine=True)
    categories = relation_categories(torch.stack(train[::2]), train[1], size[1])
    categories.insert(0, "relation", [graph.relation(number) for number in range(size[1])])
    found.topic = "categories"
    for category in ("1-1", "1-N", "N-1", "N-N"):
        rows = categories[categories.category == category]
        example = graph.relation(rows.triples.idxmax()) if len(rows) else ""
        advice = f"{rows.triples.sum():,} train triples are of this kind; read ranks by category and side."
        found.add(f"relations {category}", len(rows), size[1], example, advice)
    coverage = _look_at_coverage(graph, found, features or {})
    _look_at_names(graph, found)
    _look_at_report(found, report or {})
    return Audit(found.table(), rules, categories, degrees, coverage, graph.title())


def _look_at_triples(graph: SplitTriples, found: Findings) -> None:
    """Empty splits, duplicates, overlap, what is nowhere else, self-loops, what is set aside."""
    keys, found.topic = graph.keys, "triples"
    empty = [split for split in SPLITS if not graph.lines[split]]
    advice = "Hold some triples out: without validation no setting can be chosen, without test nothing be claimed."
    severity = "problem" if "train" in empty else "caution"
    found.add("empty splits", len(empty), len(SPLITS), ", ".join(empty), advice, severity)
    for split in SPLITS:
        count = graph.lines[split] - keys[split].numel()
        advice = {
            "train": "Drop the copies: they weigh these facts more than others for no reason.",
            "val": "Drop the copies before selecting a model: metrics count these triples several times.",
            "test": "Drop the copies, and say so beside the metrics: they count these triples several times.",
        }[split]
        severity = "caution" if split == "train" else "problem"
        found.add(
            f"duplicates in {split}", count, graph.lines[split], graph.show(graph.copies[split]), advice, severity
        )
    for split, others in (("val", ("train", "test")), ("test", ("train",))):
        here = keys[split]
        advice = "Metrics are about this many facts."
        found.add(f"distinct triples in {split}", here.numel(), graph.lines[split], "", advice)
        for other in others:
            advice = {
                ("val", "train"): "Carve a new validation split out of train: this one rewards learning by heart.",
                ("val", "test"): "Do not select a model on these: it is selecting on test.",
                ("test", "train"): "Remove them from train: their answers are given away.",
            }[split, other]
            both = here[torch.isin(here, keys[other])]
            found.add_triples(f"{split} triples that are also in {other}", both, here.numel(), advice, "problem")
        rest = here[~torch.isin(here, torch.cat([keys[s] for s in SPLITS if s != split]))]
        advice = "Only these tell anything that is not known."
        found.add_triples(f"{split} triples in no other split", rest, here.numel(), advice)
    for split in SPLITS:
        h, _, t = graph.triples[split]
        advice = (
            "Check whether they mean anything in the source; leave them out, or report metrics without them, if not."
        )
        found.add_triples(f"self-loops in {split}", keys[split][h == t], h.numel(), advice, "caution")
    extra = getattr(graph.data, "extra_filter", None)
    if extra is not None and extra.numel():
        h, r, t = torch.unique(extra.cpu(), dim=1)  # each [X]
        key = (h * graph.num_relations + r) * graph.num_nodes + t  # [X]
        advice = "True, in no split: keep them in the evaluation filter, so that ranks are comparable."
        found.add_triples("triples set aside for the filter", key, extra.shape[1], advice)


def _look_at_entities(graph: SplitTriples, found: Findings) -> None:
    """Entities and relations that train does not show, and the triples that hold them."""
    found.topic = "entities"
    h, r, t = graph.triples["train"]
    entity = torch.bincount(torch.cat([h, t]), minlength=graph.num_nodes) > 0  # [N]
    relation = torch.bincount(r, minlength=graph.num_relations) > 0  # [R]
    for name, seen, show in (("entities", entity, graph.entity), ("relations", relation, graph.relation)):
        unseen = (~seen).nonzero().flatten()
        example = show(int(unseen[0])) if unseen.numel() else ""
        advice = f"Their embeddings stay as initialised: move triples of these {name} to train, or leave them out."
        found.add(f"{name} unseen in train", unseen.numel(), seen.numel(), example, advice, "caution")
    for split in ("val", "test"):
        (h, r, t), keys = graph.triples[split], graph.keys[split]
        advice = "Report metrics without them as well: structure alone can only guess there."
        for name, seen in (("entity", entity[h] & entity[t]), ("relation", relation[r])):
            found.add_triples(f"{split} triples with an unseen {name}", keys[~seen], keys.numel(), advice, "caution")


def _look_at_coverage(graph: SplitTriples, found: Findings, features: Mapping[str, Features | None]) -> pd.DataFrame:
    """Who has a picture, a text or a description: entities, and triples by split and side."""
    nobody = torch.zeros(graph.num_nodes, dtype=torch.bool)
    present = {m: nobody if f is None else f.present.cpu() for m, f in features.items()}
    descriptions = graph.listed("descriptions")
    if descriptions is not None:
        present["description"] = torch.tensor([bool(text.strip()) for text in descriptions], dtype=torch.bool)
    shares: dict[str, dict[str, float]] = {}
    for modality, has in present.items():
        if has.numel() != graph.num_nodes:
            raise DataError(f"{modality} is given for {has.numel()} entities, the graph has {graph.num_nodes}")
        absent, found.topic = (~has).nonzero().flatten(), "coverage"
        advice = "Say beside the metrics how many lack it, and read them by presence."
        if not has.any() and modality != "description":
            advice = f"A model sees no {modality} here: get or encode the features, see the dataset's card."
        example = graph.entity(int(absent[0])) if absent.numel() else ""
        found.add(f"entities without {modality}", absent.numel(), has.numel(), example, advice, fine=True)
        row = shares[modality] = {"entities": has.double().mean().item()}
        found.topic = "sides"
        for split in SPLITS:
            for side, ids in zip(("head", "tail"), graph.triples[split][::2], strict=True):
                keys, advice = graph.keys[split][~has[ids]], f"Read ranks of the {side} side by whether it is there."
                row[f"{split} {side}"] = has[ids].double().mean().item()  # NaN where the split is empty
                if has.any():  # or else the splits would only say the same six times more
                    found.add_triples(f"{split} {side}s without {modality}", keys, ids.numel(), advice, fine=True)
    found.topic = "coverage"
    for modality, f in features.items():
        if f is not None:
            empty = int((~f.mask.any(1)).sum())
            advice = "Encode these again or set their row to -1: present in name, with nothing to look at."
            found.add(f"{modality} rows without content", empty, f.mask.shape[0], "", advice, "caution")
    return pd.DataFrame.from_dict(shares, orient="index")


def _look_at_names(graph: SplitTriples, found: Findings) -> None:
    """Names that end in white space: carriage returns that a reader did not strip make two entities of one."""
    found.topic = "reading"
    for kind in ("entity", "relation"):
        names = graph.listed(f"{kind}_names")
        if names is not None:
            odd = [name for name in names if name != name.strip()]
            advice = "Strip line ends and blanks when reading; otherwise one name counts as two."
            what = f"{kind} names with white space at an end"
            found.add(what, len(odd), len(names), repr(odd[0]) if odd else "", advice, "problem")


def _look_at_report(found: Findings, report: Mapping) -> None:
    """What the reader of the raw files forgave or counted."""
    found.topic, ends = "reading", report.get("carriage_returns", 0)
    if "entities" in report:
        stayed = report.get("entities_if_carriage_returns_stayed")
        example = f"left at the tails, they make {stayed:,} entities of {report['entities']:,}" if stayed else ""
        advice = "They are taken off here. See to it that whatever else reads these files takes them off, too."
        found.add("lines that end with a carriage return", ends, None, example, advice, "caution")
    for name, count in _counts({k: v for k, v in report.items() if k not in COUNTED_HERE}):
        advice = "Counted while the raw files were read; see the dataset's class for what it means."
        found.add(f"reader: {name.replace('_', ' ')}", count, None, "", READERS_ADVICE.get(name, advice))


def _counts(report: Mapping, prefix: str = "") -> list[tuple[str, int]]:
    """Positive whole numbers in a nested report, with their path."""
    rows = []
    for key, value in report.items():
        if isinstance(value, Mapping):
            rows += _counts(value, f"{prefix}{key} ")
        elif isinstance(value, int) and not isinstance(value, bool) and value > 0:
            rows.append((f"{prefix}{key}", value))
    return rows
