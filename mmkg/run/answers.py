"""Answers of a model as a table with names."""

from __future__ import annotations

import pandas as pd

from mmkg.evaluation import Prediction


def answer_table(found: Prediction, data) -> pd.DataFrame:
    """One row an answer, best first: ``rank, entity, label, score, known``.

    Args:
        found: Answers by id.
        data: Graph with ``entity_names`` and ``entity_labels``.
    """
    ids = found.ids.tolist()
    names = {"entity": [data.entity_names[i] for i in ids], "label": [data.entity_labels[i] for i in ids]}
    return _table(found, names)


def relation_table(found: Prediction, data) -> pd.DataFrame:
    """One row a relation, best first: ``rank, relation, score, known``.

    Args:
        found: Relations by id.
        data: Graph with ``relation_names``.
    """
    return _table(found, {"relation": [data.relation_names[i] for i in found.ids.tolist()]})


def _table(found: Prediction, names: dict[str, list[str]]) -> pd.DataFrame:
    told = {"score": found.scores.tolist(), "known": found.known.tolist()}
    return pd.DataFrame({"rank": range(1, len(found.ids) + 1), **names, **told})
