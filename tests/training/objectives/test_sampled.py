"""Objectives over drawn negatives against their equations in numpy, with weights and with invalid entries."""

import numpy as np
import pytest
import torch

from mmkg.training import Logistic, MarginRanking, SampledCrossEntropy, SelfAdversarial

POSITIVE = np.array([1.0, -2.0, 0.3])
NEGATIVE = np.array([[0.5, 3.0, 9.0], [-1.0, 0.0, 2.0], [4.0, 4.0, 4.0]])
VALID = np.array([[True, True, False], [True, True, True], [False, False, False]])
WEIGHT = np.array([0.5, 2.0, 1.5])


def margin(s, n):
    return np.maximum(0, 0.7 - s + n).mean() if len(n) else 0.0


def logistic(s, n):
    return (np.log1p(np.exp(-s)) + (np.log1p(np.exp(n)).mean() if len(n) else 0.0)) / 2


def cross_entropy(s, n):
    return -np.log(np.exp(s) / (np.exp(s) + np.exp(n).sum()))


CASES = [(MarginRanking(0.7), margin), (Logistic(), logistic), (SampledCrossEntropy(), cross_entropy)]


@pytest.mark.parametrize(("objective", "equation"), CASES)
@pytest.mark.parametrize("weighted", [True, False])
def test_equation(objective, equation, weighted):
    each = np.array([equation(s, n[v]) for s, n, v in zip(POSITIVE, NEGATIVE, VALID, strict=True)])
    expected = (WEIGHT * each).sum() / WEIGHT.sum() if weighted else each.mean()
    given = [torch.tensor(x) for x in (POSITIVE, NEGATIVE, VALID)]
    found = objective(*given, torch.tensor(WEIGHT) if weighted else None)
    assert float(found) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("objective", [case[0] for case in CASES])
def test_invalid_entries_count_for_nothing(objective):
    negative = torch.tensor(NEGATIVE, requires_grad=True)
    loss = objective(torch.tensor(POSITIVE), negative, torch.tensor(VALID))
    loss.backward()
    assert torch.equal(negative.grad[~torch.tensor(VALID)], torch.zeros(4).double())
    changed = torch.tensor(np.where(VALID, NEGATIVE, 77.0))
    assert float(objective(torch.tensor(POSITIVE), changed, torch.tensor(VALID))) == float(loss.detach())


@pytest.mark.parametrize("objective", [*(case[0] for case in CASES), SelfAdversarial(1.0)])
@pytest.mark.parametrize("scale", [1e4, 1e30])
def test_gradients_are_finite_at_extreme_scores(objective, scale):
    positive = torch.tensor([scale, -scale], requires_grad=True)
    negative = torch.tensor([[scale, -scale], [scale, 0.0]], requires_grad=True)
    loss = objective(positive, negative, torch.ones(2, 2, dtype=torch.bool))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(positive.grad).all()
    assert torch.isfinite(negative.grad).all()
    assert float(positive.grad[1]) < 0  # a true triple that scores badly is pushed up


def test_logistic_is_self_adversarial_without_weights():
    given = [torch.tensor(x) for x in (POSITIVE, NEGATIVE, VALID, WEIGHT)]
    torch.testing.assert_close(Logistic()(*given).double(), SelfAdversarial(0.0)(*given).double())


def test_the_margin_is_checked():
    with pytest.raises(ValueError, match="objective_margin is 0"):
        MarginRanking(0)
