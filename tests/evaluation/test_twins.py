"""Rows that repeat an earlier one are found, all of them and no others."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmkg.evaluation.twins import twins


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
@given(seed=st.integers(0, 10_000), count=st.integers(0, 60), width=st.integers(1, 4))
def test_twins_by_comparing_all_pairs(dtype, seed, count, width):
    generator = torch.Generator().manual_seed(seed)
    table = torch.randint(-2, 3, (count, width), generator=generator).to(dtype) / 2
    table = table * torch.where(torch.rand(table.shape, generator=generator) < 0.5, 1, -1)  # minus zero is zero
    same = (table[:, None] == table).all(2)  # [N, N]
    first = [int(row.nonzero()[0]) for row in same]
    expected = {(i, f) for i, f in enumerate(first) if f != i}
    rows, firsts = twins(table)
    assert set(zip(rows.tolist(), firsts.tolist(), strict=True)) == expected


def test_none_among_many_rows():
    table = torch.randn(10_000, 5, generator=torch.Generator().manual_seed(0))
    assert twins(table)[0].numel() == 0
    table[9_999] = table[17]
    rows, firsts = twins(table)
    assert (rows.tolist(), firsts.tolist()) == ([9_999], [17])
