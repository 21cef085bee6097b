"""What is wrong with a dataset, and what to do about it: duplicates, overlap, leaks, loops, the unseen, the missing."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import torch

from mmkg.errors import DataError
from mmkg.graph.categories import relation_categories
from mmkg.graph.findings import SEVERITIES, SPLITS, Findings, SplitTriples
from mmkg.graph.inverse import KINDS, answerable, relation_rules
from mmkg.types import Features

HEADINGS = {"problem": "Problems", "caution": "Look at these", "fact": "Facts", "fine": "Looked for and not found"}
QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
COUNTED_HERE = {  # of a reader's report: what the audit counts itself, or what is no count of something odd
    *("dataset", "options", "entities", "relations", "triples", "extra_filter", "duplicates", "overlap"),
    *("self_loops", "unseen_in_train", "labels", "descriptions", "image", "text", "split_policy"),
}


@dataclass
class Audit:
    """What :func:`audit` found.

    Attributes:
        findings: One row a finding, the gravest first: ``severity`` ("problem", "caution", "fact", or "fine" for what
            was looked for and is not there), ``finding``, ``count``, ``of`` (out of how many), ``share``, ``example``,
            ``advice``.
        rules: Trivial rules between relations, as :func:`~mmkg.graph.inverse.relation_rules` gives them, with names.
        categories: As :func:`~mmkg.graph.relation_categories` gives them, on train.
        degrees: Quantiles of the entities' number of distinct train triples.
        title: Sizes, in one line.
    """

    findings: pd.DataFrame
    rules: pd.DataFrame
    categories: pd.DataFrame
    degrees: pd.Series
    title: str = ""

    def count(self, finding: str) -> int:
        """The count of one finding."""
        rows = self.findings[self.findings.finding == finding]
        if rows.empty:
            raise KeyError(f"no finding {finding!r}; there are: {'; '.join(self.findings.finding)}")
        return int(rows["count"].iloc[0])

    def page(self, width: int = 100) -> str:
        """The findings as a page of plain text."""
        lines = [self.title]
        for severity in SEVERITIES:
            rows = self.findings[self.findings.severity == severity]
            if rows.empty:
                continue
            lines += ["", f"{HEADINGS[severity]}:"]
            if severity == "fine":
                lines += _wrap("; ".join(rows.finding), width, "  ")
                continue
            for row in rows.itertuples():
                lines.append(f"  {row.finding}: {row.count:,} of {row.of:,} ({row.share:.1%})")
                lines += _wrap(f"e.g. {row.example}" if row.example else "", width, "      ")
                lines += _wrap(f"-> {row.advice}" if row.count else "", width, "      ")
        return "\n".join(lines)


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
        min_support: The same.
        leak: Share of a split's triples, given away by trivial rules, from which this is called a problem.

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
    rules = relation_rules(
        torch.stack(train[::2]), train[1], *size, min_confidence=min_confidence, min_support=min_support
    )
    _look_at_rules(graph, found, rules, rules.back >= min_confidence, leak)
    _look_at_entities(graph, found)
    ends = torch.cat([train[0], train[2][train[0] != train[2]]])  # a self-loop is one triple of its entity
    degree = torch.bincount(ends, minlength=size[0])  # [N]
    degrees = pd.Series(degree.numpy(), name="train triples").quantile(QUANTILES)
    shown = ", ".join(f"{q:.0%}: {value:.0f}" for q, value in degrees.items()) if size[0] else ""
    advice = "Report metrics by degree; such an entity is known by its picture and text, or hardly at all."
    found.add("entities with a single train triple", int((degree == 1).sum()), size[0], f"quantiles {shown}", advice)
    categories = relation_categories(torch.stack(train[::2]), train[1], size[1])
    for category in ("1-1", "1-N", "N-1", "N-N"):
        rows = categories[categories.category == category]
        example = graph.relation(rows.triples.idxmax()) if len(rows) else ""
        advice = f"{rows.triples.sum():,} train triples are of this kind; read ranks by category and side."
        found.add(f"relations {category}", len(rows), size[1], example, advice)
    _look_at_coverage(graph, found, features or {})
    _look_at_names(graph, found)
    for name, count in _counts({k: v for k, v in (report or {}).items() if k not in COUNTED_HERE}):
        advice = "Counted while the raw files were read; see the dataset's class for what it means."
        found.add(f"reader: {name}", count, count, "", advice)
    rules = rules.assign(body_name=rules.body.map(graph.relation), head_name=rules["head"].map(graph.relation))
    return Audit(found.table(), rules, categories, degrees, graph.title())


def _look_at_triples(graph: SplitTriples, found: Findings) -> None:
    """Duplicates, overlap, what is nowhere else, self-loops, what is set aside."""
    keys = graph.keys
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
        found.add(
            f"distinct triples in {split}", here.numel(), graph.lines[split], "", "Metrics are about this many facts."
        )
        for other in others:
            advice = {
                ("val", "train"): "Carve a new validation split out of train: this one rewards learning by heart.",
                ("val", "test"): "Do not select a model on these: it is selecting on test.",
                ("test", "train"): "Remove them from train: their answers are given away.",
            }[split, other]
            both = here[torch.isin(here, keys[other])]
            found.add_triples(f"{split} triples that are also in {other}", both, here.numel(), advice, "problem")
        rest = here[~torch.isin(here, torch.cat([keys[s] for s in SPLITS if s != split]))]
        found.add_triples(
            f"{split} triples in no other split", rest, here.numel(), "Only these tell anything that is not known."
        )
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


def _look_at_rules(graph: SplitTriples, found: Findings, rules: pd.DataFrame, mutual: pd.Series, leak: float) -> None:
    """Relations that repeat one another, and what this gives away."""
    pairs = rules[mutual & (rules.body < rules["head"])]
    size = graph.num_relations
    advice = {
        "inverse": "Keep one of the two (as WN18RR does), or keep both directions of a pair in one split.",
        "duplicate": "Merge the two or keep one, or keep a pair's triples in one split.",
        "symmetric": "Keep both directions of a pair in one split; a scorer must be able to be symmetric (not TransE).",
        "one-way": "The body implies the head: keep a pair's triples in one split where they straddle train and test.",
    }
    for finding, kind, rows, of in (
        ("inverse relation pairs", "inverse", pairs[pairs.kind == "inverse"], size * (size - 1) // 2),
        ("near-duplicate relation pairs", "duplicate", pairs[pairs.kind == "duplicate"], size * (size - 1) // 2),
        ("symmetric relations", "symmetric", rules[rules.kind == "symmetric"], size),
        ("one-way rules between relations", "one-way", rules[~mutual], size * (size - 1)),
    ):
        found.add(finding, len(rows), of, _told(graph, rows), advice[kind], "caution")
    for split in ("val", "test"):
        keys, triples = graph.keys[split], graph.triples[split]
        fires = answerable(rules, graph.triples["train"], triples, graph.num_nodes)  # masks [E']
        every = fires["inverse"] | fires["duplicate"] | fires["symmetric"]
        share = int(every.sum()) / max(keys.numel(), 1)
        advice = "A look-up in train finds them: compare models with that, or take a version without such relations."
        severity = "problem" if share >= leak else "caution"
        found.add_triples(f"{split} triples that a trivial rule answers", keys[every], keys.numel(), advice, severity)
        for kind in KINDS:
            advice = f"Report metrics without these beside the whole; rules mined on train, kind: {kind}."
            found.add_triples(f"{split} triples that a rule answers: {kind}", keys[fires[kind]], keys.numel(), advice)


def _told(graph: SplitTriples, rules: pd.DataFrame) -> str:
    """The best supported of some rules."""
    if rules.empty:
        return ""
    rule = rules.iloc[0]
    names = graph.relation(int(rule.body)), graph.relation(int(rule["head"]))
    shown = names[0] if rule.kind == "symmetric" else f"{names[0]} => {names[1]}"
    turned = ", turned round" if rule.kind == "inverse" else ""
    return f"{shown}{turned} ({int(rule.support):,} pairs, confidence {rule.confidence:.2f}, back {rule.back:.2f})"


def _look_at_entities(graph: SplitTriples, found: Findings) -> None:
    """Entities and relations that train does not show, and the triples that hold them."""
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


def _look_at_coverage(graph: SplitTriples, found: Findings, features: Mapping[str, Features | None]) -> None:
    """Who has a picture, a text or a description: entities, and triples by split and side."""
    present = {m: f.present.cpu() for m, f in features.items() if f is not None}
    for modality in (m for m, f in features.items() if f is None):
        advice = f"A model sees no {modality} here: get or encode the features, see the dataset's card."
        found.add(f"entities without {modality}", graph.num_nodes, graph.num_nodes, "", advice)
    descriptions = graph.listed("descriptions")
    if descriptions is not None:
        present["description"] = torch.tensor([bool(text.strip()) for text in descriptions], dtype=torch.bool)
    for modality, has in present.items():
        if has.numel() != graph.num_nodes:
            raise DataError(f"{modality} is given for {has.numel()} entities, the graph has {graph.num_nodes}")
        absent = (~has).nonzero().flatten()
        advice = "Say beside the metrics how many lack it, and read them by presence."
        example = graph.entity(int(absent[0])) if absent.numel() else ""
        found.add(f"entities without {modality}", absent.numel(), has.numel(), example, advice)
        if not has.any():
            continue  # the splits would only say the same six times more
        for split in SPLITS:
            for side, ids in zip(("head", "tail"), graph.triples[split][::2], strict=True):
                keys = graph.keys[split][~has[ids]]
                advice = f"Read ranks of the {side} side by whether the answer has it."
                found.add_triples(f"{split} {side}s without {modality}", keys, ids.numel(), advice)
    for modality, f in features.items():
        if f is not None:
            empty = int((~f.mask.any(1)).sum())
            advice = "Encode these again or set their row to -1: present in name, with nothing to look at."
            found.add(f"{modality} rows without content", empty, f.mask.shape[0], "", advice, "caution")


def _look_at_names(graph: SplitTriples, found: Findings) -> None:
    """Names that end in white space: carriage returns that a reader did not strip make two entities of one."""
    for kind in ("entity", "relation"):
        names = graph.listed(f"{kind}_names")
        if names is not None:
            odd = [name for name in names if name != name.strip()]
            advice = "Strip line ends and blanks when reading; otherwise one name counts as two."
            what = f"{kind} names with white space at an end"
            found.add(what, len(odd), len(names), repr(odd[0]) if odd else "", advice, "problem")


def _counts(report: Mapping, prefix: str = "") -> list[tuple[str, int]]:
    """Positive whole numbers in a nested report, with their path."""
    rows = []
    for key, value in report.items():
        if isinstance(value, Mapping):
            rows += _counts(value, f"{prefix}{key} ")
        elif isinstance(value, int) and not isinstance(value, bool) and value > 0:
            rows.append((f"{prefix}{key}".replace("_", " "), value))
    return rows


def _wrap(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False)
