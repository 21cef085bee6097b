"""KvsAll against its equation in numpy."""

import numpy as np
import pytest
import torch

from mmkg.training import KvsAll


def equation(scores, answers, smoothing, weight):
    total = 0.0
    for b, row in enumerate(scores):
        p = 1 / (1 + np.exp(-row))
        y = (1 - smoothing) * np.isin(np.arange(len(row)), answers[b]) + smoothing / len(row)
        total -= weight[b] * (y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    return total / weight.sum()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_equation(smoothing):
    scores = np.random.default_rng(0).normal(size=(3, 6)) * 3
    answers, weight = [[1, 4], [0], [2, 3, 5]], np.array([1.0, 0.5, 2.0])
    known = torch.tensor([0, 0, 1, 2, 2, 2]), torch.tensor([1, 4, 0, 2, 3, 5])
    found = KvsAll(smoothing)(torch.tensor(scores), torch.tensor([1, 0, 2]), torch.tensor(weight), known=known)
    assert float(found) == pytest.approx(equation(scores, answers, smoothing, weight), rel=1e-6)


@pytest.mark.parametrize("scale", [1e3, 1e20])
def test_gradients_are_finite_at_extreme_scores(scale):
    scores = torch.tensor([[-scale, scale, 0.0]], requires_grad=True)
    loss = KvsAll()(scores, torch.tensor([0]), known=(torch.tensor([0]), torch.tensor([0])))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(2 * scale / 3, rel=1e-3)
    assert scores.grad[0].tolist() == pytest.approx([-1 / 3, 1 / 3, 1 / 6])


def test_smoothing_is_checked():
    with pytest.raises(ValueError, match="label_smoothing is 1"):
        KvsAll(1.0)
