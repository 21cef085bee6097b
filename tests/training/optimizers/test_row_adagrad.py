"""Row-wise Adagrad against its equation, dense and sparse, and leaving untouched rows alone."""

import numpy as np
import pytest
import torch

from mmkg.training import OPTIMIZERS, RowAdagrad


def gradients(steps=4):
    rng = np.random.default_rng(0)
    made = rng.normal(size=(steps, 6, 3))
    made[:, 4] = 0  # never touched
    made[1, 2] = 0
    return made


def by_hand(start, made, rate, decay=0.0):
    values, sums = start.copy(), np.zeros(len(start))
    for gradient in made:
        for i, g in enumerate(gradient):
            if g.any():
                g = g + decay * values[i]
                sums[i] += (g**2).mean()
                values[i] -= rate * g / (np.sqrt(sums[i]) + 1e-10)
    return values


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_equation(sparse, decay):
    start = np.random.default_rng(1).normal(size=(6, 3))
    table = torch.nn.Embedding(6, 3, sparse=sparse, _weight=torch.tensor(start))
    optimizer = RowAdagrad(table.parameters(), lr=0.1, weight_decay=decay)
    for gradient in gradients():
        rows = torch.tensor(gradient.any(1)).nonzero()[:, 0]
        (table(rows) * torch.tensor(gradient)[rows]).sum().backward()
        assert table.weight.grad.is_sparse == sparse
        optimizer.step()
        optimizer.zero_grad()
    np.testing.assert_allclose(table.weight.detach().numpy(), by_hand(start, gradients(), 0.1, decay), rtol=1e-12)
    assert torch.equal(table.weight[4].detach(), torch.tensor(start[4]))
    assert optimizer.state[table.weight]["sum"].shape == (6,)


def test_repeated_ids_of_a_sparse_gradient_add_up():
    dense, sparse = (torch.nn.Embedding(4, 2, sparse=s, _weight=torch.ones(4, 2)) for s in (False, True))
    for table in (dense, sparse):
        optimizer = RowAdagrad(table.parameters(), lr=0.5)
        (table(torch.tensor([1, 1, 3])) * torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])).sum().backward()
        optimizer.step()
    torch.testing.assert_close(dense.weight, sparse.weight)


def test_a_vector_is_one_row():
    vector = torch.nn.Parameter(torch.zeros(2))
    optimizer = RowAdagrad([vector], lr=1.0)
    vector.grad = torch.tensor([3.0, 4.0])
    optimizer.step()
    assert vector.tolist() == pytest.approx([-3 / 12.5**0.5, -4 / 12.5**0.5])


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match="lr 0"):
        RowAdagrad([torch.nn.Parameter(torch.zeros(1))], lr=0.0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_goes_down(name):
    value = torch.nn.Parameter(torch.tensor([[3.0, -2.0]]))
    optimizer = OPTIMIZERS[name]([value], lr=0.1, weight_decay=0.0)
    for _ in range(200):
        optimizer.zero_grad()
        value.square().sum().backward()
        optimizer.step()
    assert float(value.detach().square().sum()) < 1.0  # from 13
