"""A report on a dataset: one page of what its relations are like, what is wrong with it, and who has what."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from mmkg.analysis import log_plot, pages, pattern_drawing
from mmkg.analysis.log_plot import LogPlot
from mmkg.analysis.pattern_drawing import Drawing, draw_pattern_graph
from mmkg.errors import DataError
from mmkg.graph import Patterns, audit, mine_patterns
from mmkg.graph.audit import Audit
from mmkg.graph.audit_page import amount, percent
from mmkg.graph.findings import SplitTriples
from mmkg.graph.pattern_table import HEADINGS, KINDS

CATEGORIES = {
    "1-1": "one tail a head, one head a tail",
    "1-N": "many tails a head",
    "N-1": "many heads a tail",
    "N-N": "many of both",
    "none": "without a train triple",
}
MOST_RELATIONS = 2_000
LONGEST_NAME = 120


@dataclass
class Report:
    """What :func:`report` made.

    Args:
        path: The page.
        audit: What is wrong with the dataset.
        patterns: What its relations are like.
        html: The page.
        notes: What the page says about itself: what is left out, and why.
    """

    path: Path
    audit: Audit
    patterns: Patterns
    html: str = field(repr=False)
    notes: list[str] = field(default_factory=list)


def report(
    dataset,
    path: str | Path,
    *,
    name: str | None = None,
    min_support: int = 5,
    min_confidence: float = 0.6,
    paths: bool = True,
    k: int = 10,
    progress: bool = False,
) -> Report:
    """Write a page about a dataset: categories, patterns, coverage, findings of the audit, degrees.

    Patterns and degrees are those of train, so that a page that is looked at while a model is made knows no held-out
    truth; the audit compares the splits, as it must.

    Args:
        dataset: A dataset, or a PyG ``Data`` with the masks of all splits.
        path: HTML file to write.
        name: What to call it; the dataset's own name if None.
        min_support: Of patterns and of the audit's rules, see :func:`mmkg.graph.mine_patterns`.
        min_confidence: The same.
        paths: Whether to look for transitive relations and compositions, which takes most of the time.
        k: Rules of each kind to show.
        progress: Whether to show bars.

    Returns:
        The page, and the tables that it shows.

    Raises:
        DataError: If a threshold is out of range, or the graph is one split's view.

    Example:
        >>> from mmkg.datasets import WorldMoji
        >>> report(WorldMoji("datasets"), "worldmoji.html").path  # doctest: +SKIP
        PosixPath('worldmoji.html')
    """
    if k < 1:
        raise DataError(f"{k} rules of each kind", cure="ask for at least 1")
    data = getattr(dataset, "topology", dataset)
    ask = getattr(dataset, "features", None)
    features = {m: ask(m) for m in ("image", "text")} if callable(ask) else {}
    thresholds: dict[str, Any] = {"min_support": min_support, "min_confidence": min_confidence}
    patterns = mine_patterns(data, **thresholds, paths=paths, progress=progress)
    found = audit(data, features, getattr(dataset, "report", None), **thresholds)
    notes = [] if paths else ["Transitive relations and compositions were not looked for."]
    try:
        drawing = draw_pattern_graph(patterns.pattern_graph())
    except DataError as error:  # such as two relations of one name
        drawing = Drawing()
        notes.append(f"The network of relations is not drawn: {error}.")
    if len(patterns.categories) > MOST_RELATIONS:
        notes.append(
            f"The table shows the {MOST_RELATIONS:,} of {len(patterns.categories):,} relations with most triples."
        )
    title = name or _name(dataset)
    graph = SplitTriples(data)
    degrees, kinds = _degree_plot(graph), _relation_plot(patterns.categories)
    html = pages.render(
        "report.html",
        styles=("page.css", "report.css"),
        scripts=("page.js", "report.js"),
        title=f"Report on {title}",
        name=title,
        tiles=_tiles(graph, found),
        problems=_findings(found, "problem"),
        cautions=_findings(found, "caution"),
        facts=_findings(found, "fact"),
        fine=_rest(found, "fine"),
        unjudged=_rest(found, "unjudged"),
        categories=_categories(patterns.categories),
        relations=_relations(patterns),
        all_relations=len(patterns.categories),
        kinds=[_kind(patterns, kind, k) for kind in KINDS],
        coverage=_coverage(found.coverage),
        drawing=drawing,
        drawing_width=pattern_drawing.WIDTH,
        plots=[p for p in (degrees, kinds) if p is not None],
        size=(log_plot.WIDTH, log_plot.HEIGHT),
        frame=(log_plot.LEFT, log_plot.TOP, log_plot.WIDTH - log_plot.RIGHT, log_plot.HEIGHT - log_plot.BOTTOM),
        thresholds=thresholds,
        notes=notes,
        attribution=getattr(dataset, "attribution", ""),
        date=datetime.date.today().isoformat(),
    )
    return Report(pages.write(html, path), found, patterns, html, notes)


def _name(dataset) -> str:
    own, known = getattr(dataset, "name", None), type(dataset).__name__
    if not own:
        return "a graph"
    return known if str(own).casefold() == known.casefold() else str(own)


def _tiles(graph: SplitTriples, found: Audit) -> list[tuple[str, str]]:
    """Numbers that say how large the graph is."""
    sizes = [("entities", graph.num_nodes), ("relations", graph.num_relations)]
    sizes += [({"val": "validation"}.get(split, split), count) for split, count in graph.lines.items()]
    return [(name, f"{count:,}") for name, count in sizes]


def _findings(found: Audit, severity: str) -> list[dict]:
    """Findings of a severity, without those that the page shows as tables."""
    rows = found.findings[(found.findings.severity == severity) & ~found.findings.topic.isin(["categories", "sides"])]
    return [
        {"finding": r.finding, "amount": amount(r.count, r.of), "share": r.share if r.of else None, "advice": r.advice}
        | {"example": pages.clipped(r.example, 240)}
        for r in rows.itertuples()
    ]


def _rest(found: Audit, severity: str) -> list[str]:
    rows = found.findings[(found.findings.severity == severity) & (found.findings.topic != "sides")]
    return rows.finding.tolist()


def _categories(categories: pd.DataFrame) -> list[dict]:
    total, rows = max(int(categories.triples.sum()), 1), []
    for name, told in CATEGORIES.items():
        part = categories[categories.category == name]
        if name != "none" or len(part):
            triples = int(part.triples.sum())
            rows.append({"name": name, "told": told, "relations": len(part), "triples": triples})
            rows[-1] |= {"share": triples / total, "percent": percent(triples / total)}
    return rows


def _relations(patterns: Patterns) -> list[dict]:
    """One row a relation, those with most triples first."""
    labels = patterns.labels()
    rows = patterns.categories.sort_values("triples", ascending=False, kind="stable").head(MOST_RELATIONS)
    return [
        {
            "name": pages.clipped(patterns.names.relation(r.Index), LONGEST_NAME),
            "category": r.category,
            "triples": int(r.triples),
            "tails": r.tails_per_head,
            "heads": r.heads_per_tail,
            "patterns": [kind for kind in KINDS if labels.at[r.Index, kind]],
        }
        for r in rows.itertuples()
    ]


def _kind(patterns: Patterns, kind: str, k: int) -> dict:
    """The best supported rules of a kind, and how many there are."""
    own = patterns.table(kind, redundant=False)
    again = int((patterns.rules.kind == kind).sum()) - len(own)
    rules = [
        {
            "rule": pages.clipped(r.rule, 3 * LONGEST_NAME),
            "support": int(r.support),
            "body": int(r.body),
            "confidence": float(r.confidence),
            "pca": None if pd.isna(r.pca) else float(r.pca),
            "example": pages.clipped(r.example, 300),
        }
        for r in own.head(k).itertuples()
    ]
    return {"heading": HEADINGS[kind], "rules": rules, "count": len(own), "again": again}


def _coverage(coverage: pd.DataFrame) -> list[dict]:
    """Shares by modality, none where a split is empty."""
    return [
        {
            "modality": modality,
            "shares": [
                (column, None if pd.isna(share) else float(share), "" if pd.isna(share) else percent(share))
                for column, share in row.items()
            ],
        }
        for modality, row in coverage.iterrows()
    ]


def _degree_plot(graph: SplitTriples) -> tuple[str, str, str, LogPlot] | None:
    """How many entities have at least so many distinct train triples, as head, as tail and as either."""
    h, _, t = graph.triples["train"]
    size = graph.num_nodes
    ends = torch.cat([h, t[h != t]])  # a self-loop is one triple of its entity
    counts = {"all": ends, "as head": h, "as tail": t}
    series = {name: log_plot.survival(np.bincount(ids.numpy(), minlength=size)) for name, ids in counts.items()}
    plot = log_plot.log_plot(series, shares=True)
    words = ("Degrees of entities", "train triples of an entity", "share of entities with at least as many")
    return None if plot is None else (*words, plot)


def _relation_plot(categories: pd.DataFrame) -> tuple[str, str, str, LogPlot] | None:
    """Train triples of the relations, from the most frequent to the rarest."""
    triples = np.sort(categories.triples[categories.triples > 0].to_numpy())[::-1]
    plot = log_plot.log_plot({"triples": (np.arange(1, len(triples) + 1), triples)})
    words = ("Sizes of relations", "relations, the most frequent first", "train triples")
    return None if plot is None else (*words, plot)
