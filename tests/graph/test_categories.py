"""Relation categories on relations made for them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmkg.graph import relation_categories


def test_each_category_and_the_empty_relation():
    rows = [(0, 0, 1), (2, 0, 3)]  # 1-1
    rows += [(0, 1, t) for t in range(1, 5)]  # 1-N
    rows += [(h, 2, 0) for h in range(1, 5)]  # N-1
    rows += [(h, 3, t) for h in range(3) for t in range(3, 6)]  # N-N
    rows += rows[:1] * 10  # duplicates count once
    h, r, t = torch.tensor(rows).T
    table = relation_categories(torch.stack([h, t]), r, 5)
    assert table.category.tolist() == ["1-1", "1-N", "N-1", "N-N", "none"]
    assert table.triples.tolist() == [2, 4, 4, 9, 0]
    assert table.tails_per_head.tolist() == [1, 4, 1, 3, 0]


def test_the_threshold_itself_counts_as_many():
    h, t = torch.tensor([0, 0, 1]), torch.tensor([1, 2, 3])
    assert relation_categories(torch.stack([h, t]), torch.zeros(3, dtype=torch.long), 1).category.tolist() == ["1-N"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 5)), max_size=40), st.integers(0, 2**20))
def test_averages_match_plain_sets(rows, shift):
    h, r, t = torch.tensor(rows, dtype=torch.long).reshape(-1, 3).T
    table = relation_categories(torch.stack([h, t]) + shift, r, 4)
    for relation, told in enumerate(table.itertuples()):
        triples = {row for row in rows if row[1] == relation}
        heads, tails = {h for h, _, _ in triples}, {t for _, _, t in triples}
        assert told.triples == len(triples)
        assert told.tails_per_head == pytest.approx(len(triples) / max(len(heads), 1))
        assert told.heads_per_tail == pytest.approx(len(triples) / max(len(tails), 1))
