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
    return pd.DataFrame(
        {
            "rank": range(1, len(ids) + 1),
            "entity": [data.entity_names[i] for i in ids],
            "label": [data.entity_labels[i] for i in ids],
            "score": found.scores.tolist(),
            "known": found.known.tolist(),
        }
    )
