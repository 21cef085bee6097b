"""Losses against plain loops and against the published implementation's numbers."""

import math

import pytest
import torch
from safetensors.torch import load_file

from mmkg.training import SelfAdversarial


def logsigmoid(x):
    return -math.log1p(math.exp(-x))


def test_self_adversarial_by_hand():
    positive, negative = torch.tensor([1.0, -2.0]), torch.tensor([[0.5, 3.0, 9.0], [-1.0, 0.0, 2.0]])
    valid = torch.tensor([[True, True, False], [True, True, True]])
    weight = torch.tensor([0.5, 2.0])
    alpha, expected = 0.7, 0.0
    for b in range(2):
        scores = [float(s) for s, v in zip(negative[b], valid[b], strict=True) if v]
        shares = [math.exp(alpha * s) for s in scores]
        expected += float(weight[b]) * logsigmoid(float(positive[b]))
        expected += float(weight[b]) * sum(
            w / sum(shares) * logsigmoid(-s) for w, s in zip(shares, scores, strict=True)
        )
    found = SelfAdversarial(alpha)(positive, negative, valid, weight)
    assert float(found) == pytest.approx(-expected / (2 * 2.5), rel=1e-6)


def test_the_weights_carry_no_gradient():
    negative = torch.tensor([[0.5, 3.0]], requires_grad=True)
    SelfAdversarial(1.0)(torch.zeros(1), negative, torch.ones(1, 2, dtype=torch.bool)).backward()
    share = torch.softmax(negative.detach(), -1)
    torch.testing.assert_close(negative.grad, share * torch.sigmoid(negative.detach()) / 2)


def test_a_row_without_negatives_counts_its_positive_only():
    valid = torch.zeros(1, 3, dtype=torch.bool)
    negative = torch.full((1, 3), 50.0, requires_grad=True)
    loss = SelfAdversarial()(torch.tensor([0.3]), negative, valid)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(-logsigmoid(0.3) / 2, rel=1e-6)
    assert torch.equal(negative.grad, torch.zeros(1, 3))


def test_equal_to_the_published_loss(shared):
    golden = load_file(shared / "reference" / "losses_published_form.safetensors")
    loss = SelfAdversarial(float(golden["alpha"]))
    positive, negative = golden["positive_scores"], golden["negative_scores"]
    valid = torch.ones_like(negative, dtype=torch.bool)
    found = loss(positive.double(), negative.double(), valid, golden["subsampling_weight"].double())
    expected = (golden["expected.positive_sample_loss"] + golden["expected.negative_sample_loss"]) / 2
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_alpha_is_checked():
    with pytest.raises(ValueError, match="alpha is -1"):
        SelfAdversarial(-1)
