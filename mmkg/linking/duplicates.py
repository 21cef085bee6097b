"""Entities of a graph that may be one and the same, with what speaks for it."""

from __future__ import annotations

import unicodedata
from collections import defaultdict

import pandas as pd
from torch import Tensor

from mmkg.graph.names import Names
from mmkg.linking.mentions import unit_means
from mmkg.linking.search import nearest
from mmkg.types import Features

COLUMNS = ("a", "b", "label_a", "label_b", "same_label", "text", "image", "shared_links", "links_alike", "linked")


def near_duplicates(
    data, features: dict[str, Features] | None = None, *, threshold: float = 0.95, k: int = 5
) -> pd.DataFrame:
    """Pairs of entities that look or read nearly alike, or bear the same label.

    Two different things may look alike (twins, two flags): the other columns are there to tell. Entities with the same
    facts are likely one; entities that are linked to one another are likely two.

    Args:
        data: The graph; links are those of its train triples.
        features: Its features by modality, if there are any.
        threshold: Cosine of mean vectors in any one modality from which a pair is listed, in (0, 1].
        k: How many of an entity's most similar ones are looked at, at least 1.

    Returns:
        One row a pair, likely ones first: ids ``a < b``, their labels, ``same_label`` (case, accents and punctuation
        apart), cosines ``text`` and ``image`` (NaN where one of them lacks it), ``shared_links`` (facts that both
        have), ``links_alike`` (their share of the facts that either has, Jaccard), ``linked`` (by a fact with one
        another).

    Raises:
        ValueError: If a number is out of range.
    """
    if not 0 < threshold <= 1 or k < 1:
        raise ValueError(f"threshold {threshold}, k {k}: give a cosine in (0, 1] and at least 1")
    names = Names.of(data)
    labels = [_plain(names.entity(i)) for i in range(int(data.num_nodes))]
    vectors = {m: unit_means(f) for m, f in (features or {}).items()}
    pairs = _same_labels(labels)
    for table, there in vectors.values():
        pairs |= _alike(table, there, threshold, k)
    links = _links(data)
    rows = []
    for a, b in sorted(pairs):
        cosines = {m: _cosine(*vectors[m], a, b) if m in vectors else float("nan") for m in ("text", "image")}
        mine, other = links[a], links[b]
        shared, either = len(mine & other), len(mine | other)
        rows.append(
            {"a": a, "b": b, "label_a": names.entity(a), "label_b": names.entity(b)}
            | {"same_label": bool(labels[a]) and labels[a] == labels[b], **cosines}
            | {"shared_links": shared, "links_alike": shared / either if either else 0.0}
            | {"linked": any(x[2] == b for x in mine)}
        )
    found = pd.DataFrame(rows, columns=list(COLUMNS))
    likely = found[["text", "image"]].max(axis=1).fillna(0) + found.same_label + found.links_alike - found.linked
    return found.loc[likely.sort_values(ascending=False, kind="stable").index].reset_index(drop=True)


def _plain(label: str) -> str:
    """A label without case, accents and punctuation."""
    spread = unicodedata.normalize("NFKD", label.casefold())
    return " ".join("".join(c if c.isalnum() else " " for c in spread if not unicodedata.combining(c)).split())


def _same_labels(labels: list[str]) -> set[tuple[int, int]]:
    """Pairs of entities with the same label; of many, each with the first."""
    by_label: dict[str, list[int]] = defaultdict(list)
    for entity, label in enumerate(labels):
        if label:
            by_label[label].append(entity)
    return {(same[0], other) for same in by_label.values() for other in same[1:]}


def _alike(table: Tensor, there: Tensor, threshold: float, k: int) -> set[tuple[int, int]]:
    """Pairs among the ``k`` nearest whose cosine is at least the threshold."""
    ids = there.nonzero().flatten()  # [M]
    if len(ids) < 2:
        return set()
    scores, rows = nearest(table[ids], table[ids], k + 1)  # [M, k + 1], itself among them
    # a product of unit vectors is only nearly 1 where they are equal
    at = (scores >= threshold - 1e-6).nonzero()  # [X, 2]
    first, second = ids[at[:, 0]], ids[rows[at[:, 0], at[:, 1]]]  # [X], [X]
    return {(min(a, b), max(a, b)) for a, b in zip(first.tolist(), second.tolist(), strict=True) if a != b}


def _cosine(table: Tensor, there: Tensor, a: int, b: int) -> float:
    return float(table[a] @ table[b]) if bool(there[a] & there[b]) else float("nan")


def _links(data) -> dict[int, set[tuple[int, bool, int]]]:
    """Of each entity its train facts as (relation, is it the head, the other entity)."""
    found: dict[int, set[tuple[int, bool, int]]] = defaultdict(set)
    keep = data.train_mask
    heads, tails = data.edge_index[:, keep].tolist()
    for h, r, t in zip(heads, data.edge_type[keep].tolist(), tails, strict=True):
        found[h].add((r, True, t))
        found[t].add((r, False, h))
    return found
