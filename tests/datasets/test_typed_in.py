"""Graphs typed in by hand."""

import pandas as pd
import pytest

from mmkg.datasets import from_triples
from mmkg.errors import DataError


def test_splits_and_names():
    data = from_triples(
        [("a", "r", "b"), ("b", "s", "c")], [("a", "s", "c")], [("c", "r", "ä b")], descriptions={"a": "The first."}
    )
    assert data.entity_names == ["a", "b", "c", "ä b"]
    assert data.relation_names == ["r", "s"]
    assert data.edge_index.tolist() == [[0, 1, 0, 2], [1, 2, 2, 3]]
    assert data.edge_type.tolist() == [0, 1, 1, 0]
    assert data.train_mask.tolist() == [True, True, False, False]
    assert data.val_mask.tolist() == [False, False, True, False]
    assert data.descriptions == ["The first.", "", "", ""]


@pytest.mark.parametrize(
    ("triples", "options", "message"),
    [
        ([("a", "r", "b"), ("a", "r")], {}, r"triple 2 is \('a', 'r'\). Cure: give three names"),
        (pd.DataFrame({"head": ["a"]}), {}, "triple 1 is 'head'. Cure: .* for a DataFrame, see from_pandas"),
        ([("a", "", "b")], {}, "triple 1 is"),
        ([("a", "r", 3)], {}, "triple 1 is"),
        (["abc"], {}, "train triple 1 is 'abc'"),
        ([("a", "r", "b")], {"valid": [("a", "r")]}, "valid triple 1 is"),
        ([("a", "r", "b")], {"descriptions": {"z": "?"}}, "description of 'z'"),
    ],
)
def test_bad_triples(triples, options, message):
    with pytest.raises(DataError, match=message):
        from_triples(triples, **options)
