"""Exact search: as by one sort, whatever the blocks; FAISS, where it is installed, with its recall measured."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mmkg.errors import DataError
from mmkg.linking import FaissIndex, nearest, recall, search


def test_it_is_the_whole_sort(monkeypatch):
    monkeypatch.setattr(search, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(search, "QUERIES_AT_ONCE", 3)

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 5), st.integers(1, 30), st.integers(1, 12), st.integers(0, 99))
    def check(queries, rows, k, seed):
        g = torch.Generator().manual_seed(seed)
        # small whole numbers: many ties, and products that are exact
        query, table = (torch.randint(-1, 2, (n, 2), generator=g).float() for n in (queries, rows))
        scores, ids = nearest(query, table, k)
        every = query @ table.T
        order = torch.argsort(every, dim=1, descending=True, stable=True)[:, :k]
        assert torch.equal(ids, order)
        assert torch.equal(scores, every.gather(1, order))

    check()


def test_a_million_rows():
    table = torch.randn(10**6, 4, generator=torch.Generator().manual_seed(0))
    query = table[[987_654, 3]] * 100
    table[987_654], table[3] = 9 * table[987_654], 9 * table[3]  # longest, so that each is its own nearest
    scores, ids = nearest(query, table, 3)
    every = query @ table.T
    expected = every.topk(3, dim=1)
    assert torch.equal(ids, expected.indices)
    torch.testing.assert_close(scores, expected.values)


@pytest.mark.parametrize(
    ("query", "table", "k", "told"),
    [
        (torch.ones(1, 2), torch.ones(3, 3), 1, "give"),
        (torch.ones(2), torch.ones(3, 2), 1, "give"),
        (torch.ones(1, 2), torch.ones(3, 2), 0, "k >= 1"),
        (torch.full((1, 2), torch.nan), torch.ones(3, 2), 1, "NaN or infinity in the query"),
        (torch.ones(1, 2), torch.full((3, 2), torch.inf), 1, "NaN or infinity in the table"),
    ],
)
def test_bad_input(query, table, k, told):
    with pytest.raises(ValueError, match=told):
        nearest(query, table, k)


def test_recall_counts_what_was_found():
    exact = torch.tensor([[1, 2], [3, 4]])
    assert recall(torch.tensor([[2, 1], [4, -1]]), exact) == 0.75
    assert recall(exact, exact) == 1.0


def test_without_faiss_the_cure_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(DataError, match=r"FAISS is not installed. Cure: pip install 'mmkg\[faiss\]'"):
        FaissIndex(torch.ones(4, 2))


def test_faiss_finds_most_and_says_how_much():
    pytest.importorskip("faiss")
    table = F.normalize(torch.randn(2000, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    few, all_cells = (FaissIndex(table, lists=40, probes=probes) for probes in (1, 40))
    assert all_cells.recall == 1.0  # every cell is searched: exact
    assert 0 < few.recall < 1
    assert all_cells.nearest(table[:5], 1)[1].flatten().tolist() == [0, 1, 2, 3, 4]
