"""A graph typed in by hand."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mmkg.datasets.graph_data import KGData
from mmkg.datasets.raw_graph import RawGraph
from mmkg.errors import DataError

Triple = tuple[str, str, str]
CURE = "give three names: head, relation, tail; for a DataFrame, see from_pandas"


def from_triples(
    train: Iterable[Triple],
    valid: Iterable[Triple] = (),
    test: Iterable[Triple] = (),
    *,
    descriptions: dict[str, str] | None = None,
) -> KGData:
    """Make a graph of triples of names.

    Args:
        train: Triples (head, relation, tail).
        valid: Held out for selection.
        test: Held out for the final evaluation.
        descriptions: Texts by entity name.

    Returns:
        The graph; ids follow the order in which names first occur.

    Raises:
        DataError: If a triple has not three names, or a description is of an entity that occurs nowhere.

    Example:
        >>> data = from_triples([("Paris", "capital of", "France"), ("Rome", "capital of", "Italy")])
        >>> data.entity_names, data.relation_names
        (['Paris', 'France', 'Rome', 'Italy'], ['capital of'])
        >>> data.edge_index.tolist()
        [[0, 2], [1, 3]]
    """
    parts = [list(part) for part in (train, valid, test)]
    entities: dict[str, int] = {}
    relations: dict[str, int] = {}
    columns = []
    for name, part in zip(("train", "valid", "test"), parts, strict=True):
        rows = []
        for number, triple in enumerate(part, start=1):
            # a text of three letters is no three names
            named = not isinstance(triple, str) and all(isinstance(word, str) and word for word in triple)
            if not named or len(triple) != 3:
                raise DataError(f"{name} triple {number} is {triple!r}", cure=CURE)
            h, r, t = triple
            head = entities.setdefault(h, len(entities))
            rows.append((head, relations.setdefault(r, len(relations)), entities.setdefault(t, len(entities))))
        columns.append(np.array(rows, dtype=np.int64).reshape(-1, 3))
    texts = dict(descriptions or {})
    if unknown := [name for name in texts if name not in entities]:
        raise DataError(f"description of {unknown[0]!r}, which is in no triple", cure="check the spelling")
    names = list(entities)
    in_train, in_valid, in_test = columns
    told = [texts.get(name, "") for name in names]
    return RawGraph(names, list(relations), in_train, in_valid, in_test, labels=names, descriptions=told).to_data()
