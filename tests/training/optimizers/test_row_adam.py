"""Lazy Adam against torch's dense and sparse ones."""

import pytest
import torch

from mmkg.training import OPTIMIZERS, RowAdam


def tables(sparse, count=2, size=7, width=3):
    torch.manual_seed(0)
    start = torch.randn(size, width, dtype=torch.float64)
    return [torch.nn.Embedding(size, width, sparse=sparse, _weight=start.clone()) for _ in range(count)]


def run(table, optimizer, steps):
    torch.manual_seed(1)
    for ids in steps:
        weight = torch.randn(len(ids), table.embedding_dim, dtype=torch.float64)
        optimizer.zero_grad()
        (table(torch.tensor(ids)) * weight).sin().sum().backward()
        optimizer.step()


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("sparse", [False, True])
def test_where_all_rows_are_touched_it_is_adam(sparse, decay):
    own, dense = tables(sparse)[0], tables(False)[0]
    steps = [[0, 1, 2, 3, 4, 5, 6, 6]] * 5
    run(own, OPTIMIZERS["row_adam"](own.parameters(), lr=0.1, weight_decay=decay), steps)
    run(dense, torch.optim.Adam(dense.parameters(), lr=0.1, weight_decay=decay), steps)
    torch.testing.assert_close(own.weight, dense.weight)


@pytest.mark.parametrize("sparse", [False, True])
def test_other_rows_stand_still_as_in_torchs_sparse_adam(sparse):
    own, torchs = tables(sparse)[0], tables(True)[0]
    before = own.weight.detach().clone()
    steps = [[0, 1, 1], [2], [1, 4], [0, 4, 0]]
    run(own, RowAdam(own.parameters(), lr=0.1, eps=1e-14), steps)
    run(torchs, torch.optim.SparseAdam(list(torchs.parameters()), lr=0.1, eps=1e-14), steps)
    torch.testing.assert_close(own.weight, torchs.weight)
    assert torch.equal(own.weight[[3, 5, 6]], before[[3, 5, 6]])
    assert not torch.equal(own.weight[0], before[0])


def test_a_vector_is_one_row():
    own, dense = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    for parameter, optimizer in ((own, RowAdam([own], lr=0.5)), (dense, torch.optim.Adam([dense], lr=0.5))):
        for _ in range(3):
            parameter.grad = torch.tensor([1.0, 0.0, -2.0])
            optimizer.step()
    torch.testing.assert_close(own, dense)


def test_bad_settings():
    with pytest.raises(ValueError, match=r"lr 0\.0"):
        RowAdam([torch.nn.Parameter(torch.zeros(1))], lr=0.0)
    with pytest.raises(ValueError, match="betas are"):
        RowAdam([torch.nn.Parameter(torch.zeros(1))], betas=(0.9, 1.0))
