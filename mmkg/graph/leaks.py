"""An audit's look at trivial rules: relations that repeat one another, and what this gives away."""

from __future__ import annotations

import pandas as pd
import torch

from mmkg.graph.findings import SPLITS, Findings, SplitTriples
from mmkg.graph.inverse import KINDS, answerable

ADVICE = {
    "inverse": "Keep one of the two (as WN18RR does), or keep both directions of a pair in one split.",
    "duplicate": "Merge the two or keep one, or keep a pair's triples in one split.",
    "symmetric": "Keep both directions of a pair in one split; a scorer must be able to be symmetric (not TransE).",
    "one-way": "The body implies the head: keep a pair's triples in one split where they straddle train and test.",
}
FINDING = {
    "inverse": "inverse relation pairs",
    "duplicate": "near-duplicate relation pairs",
    "symmetric": "symmetric relations",
    "one-way": "one-way rules between relations",
}


def look_at_rules(
    graph: SplitTriples, found: Findings, rules: pd.DataFrame, *, min_confidence: float, min_support: int, leak: float
) -> pd.DataFrame:
    """Add what rules between relations say.

    Relations with fewer than ``min_support`` pairs are not judged: no rule about them could be found.

    Args:
        graph: The triples.
        found: Where findings are added.
        rules: From :func:`~mmkg.graph.inverse.relation_rules`, mined on train.
        min_confidence: With which they were mined.
        min_support: The same.
        leak: Share of a split's triples from which giving them away is a problem.

    Returns:
        The rules with ``finding`` (what they are part of), ``shown`` (False for the way back of a mutual rule),
        ``told`` (in words), and the relations' names ``body_name`` and ``head_name``.
    """
    found.topic = "rules"
    h, r, t = graph.triples["train"]
    pairs = torch.bincount(r[h != t], minlength=graph.num_relations)  # [R]
    judged = int((pairs >= min_support).sum())
    _look_at_answers(graph, found, rules, judged, leak)
    _look_at_reverses(graph, found, rules, judged)
    mutual = rules.back >= min_confidence
    kind = rules.kind.where(mutual, "one-way")
    for name in FINDING:
        own = rules[kind == name]
        given = sum(_answered(graph, own, split) for split in SPLITS[1:])
        own = own[(own.body < own["head"]) | (name in ("symmetric", "one-way"))]  # a mutual rule is one pair
        of = {"symmetric": judged, "one-way": judged * (judged - 1)}.get(name, judged * (judged - 1) // 2)
        advice = (
            ADVICE[name] if given else f"No held-out triple follows from them here. In another split: {ADVICE[name]}"
        )
        example = _told(graph, own.iloc[0]) if len(own) else ""
        found.add(FINDING[name], len(own), of, example, advice, "caution" if given else "fact", fine=True)
    small = int(((pairs < min_support) & (pairs > 0)).sum())
    advice = (
        f"With fewer than {min_support} pairs nothing can be said about them; give audit a smaller min_support, or do "
        "not trust that they repeat no other."
    )
    found.add("relations too small for rules to be judged", small, graph.num_relations, "", advice, fine=True)
    return rules.assign(
        finding=kind.map(FINDING).astype(object),
        shown=(rules.body < rules["head"]) | ~mutual | (rules.kind == "symmetric"),
        told=[_told(graph, rule) for _, rule in rules.iterrows()],
        body_name=[graph.relation(number) for number in rules.body],
        head_name=[graph.relation(number) for number in rules["head"]],
    )


def _look_at_answers(graph: SplitTriples, found: Findings, rules: pd.DataFrame, judged: int, leak: float) -> None:
    """Held-out triples that follow from a train triple."""
    for split in ("val", "test"):
        keys, triples = graph.keys[split], graph.triples[split]
        of = keys.numel() if judged else 0
        fires = answerable(rules, graph.triples["train"], triples, graph.num_nodes)  # masks [E']
        every = fires["inverse"] | fires["duplicate"] | fires["symmetric"]
        advice = "A look-up in train finds them: compare models with that, or take a version without such relations."
        severity = "problem" if int(every.sum()) / max(keys.numel(), 1) >= leak else "caution"
        found.add_triples(f"{split} triples that a trivial rule answers", keys[every], of, advice, severity)
        for kind in KINDS:
            advice = f"Report metrics without these beside the whole; rules mined on train, kind: {kind}."
            found.add_triples(f"{split} triples that a rule answers: {kind}", keys[fires[kind]], of, advice, fine=True)


def _look_at_reverses(graph: SplitTriples, found: Findings, rules: pd.DataFrame, judged: int) -> None:
    """Duplicates in the other direction: (h, r, t) beside (t, r', h), r' being r's inverse, or r if it is symmetric."""
    for split, other in (("train", "train"), ("val", "val"), ("test", "test"), ("val", "test")):
        keys = graph.keys[split]
        fires = answerable(rules, graph.triples[other], graph.triples[split], graph.num_nodes)
        again = fires["inverse"] | fires["symmetric"]  # [E']
        where = "the same split" if split == other else other
        advice = "The same fact in the other direction: it counts twice where both are counted."
        of = keys.numel() if judged else 0
        found.add_triples(f"{split} triples whose reverse is in {where}", keys[again], of, advice, fine=True)


def _answered(graph: SplitTriples, rules: pd.DataFrame, split: str) -> int:
    """How many held-out triples follow from a train triple by any of some rules."""
    fires = answerable(rules, graph.triples["train"], graph.triples[split], graph.num_nodes)
    return int(torch.stack(list(fires.values())).any(0).sum())


def _told(graph: SplitTriples, rule: pd.Series) -> str:
    """A rule in words."""
    names = graph.relation(int(rule.body)), graph.relation(int(rule["head"]))
    shown = names[0] if rule.kind == "symmetric" else f"{names[0]} => {names[1]}"
    turned = ", turned round" if rule.kind == "inverse" else ""
    return f"{shown}{turned} ({int(rule.support):,} pairs, confidence {rule.confidence:.2f}, back {rule.back:.2f})"
