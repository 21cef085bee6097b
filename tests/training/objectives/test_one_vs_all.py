"""Cross-entropy over all entities: against the equation, and the same without keeping scores."""

import pytest
import torch

from mmkg.training import OneVsAll


def test_one_vs_all_is_cross_entropy():
    scores, answer = torch.randn(4, 9, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 8, 3, 3])
    each = torch.tensor([-torch.log_softmax(scores[b], 0)[a] for b, a in enumerate(answer)])
    assert float(OneVsAll()(scores, answer)) == pytest.approx(float(each.mean()), rel=1e-6)
    weight = torch.tensor([1.0, 2.0, 0.0, 1.0])
    assert float(OneVsAll()(scores, answer, weight)) == pytest.approx(float((each * weight).sum() / 4), rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_label_smoothing_by_hand(smoothing):
    generator = torch.Generator().manual_seed(1)
    scores, answer = torch.randn(3, 7, generator=generator).double(), torch.tensor([2, 0, 6])
    weight = torch.tensor([1.0, 3.0, 0.5]).double()
    total = 0.0
    for b in range(3):
        p = (scores[b] - scores[b].max()).exp()
        p = p / p.sum()
        for e in range(7):
            y = (1 - smoothing) * (e == int(answer[b])) + smoothing / 7
            total -= float(weight[b]) * y * float(p[e].log())
    assert float(OneVsAll(smoothing)(scores, answer, weight)) == pytest.approx(total / 4.5, rel=1e-6)


def test_products_are_the_same_as_scores():
    generator = torch.Generator().manual_seed(2)
    query, table = torch.randn(5, 4, generator=generator), torch.randn(9, 4, generator=generator)
    answer, weight = torch.tensor([1, 8, 0, 0, 3]), torch.rand(5, generator=generator) + 0.1
    objective = OneVsAll(0.2)
    found, expected = objective.of_products(query, table, answer, weight), objective(query @ table.T, answer, weight)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("wrong", [-0.1, 1.0, float("nan")])
def test_smoothing_is_checked(wrong):
    with pytest.raises(ValueError, match="label_smoothing is"):
        OneVsAll(wrong)
