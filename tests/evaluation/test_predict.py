"""Best answers and percentiles on a model whose scores are known."""

import pytest
import torch

from mmkg.errors import NumericsError
from mmkg.evaluation import compare, top_k
from mmkg.graph import Facts
from mmkg.scorers import DistMult


@pytest.fixture
def model():
    model = DistMult(6, 1, 1)
    with torch.no_grad():
        model.node_emb.weight.copy_(torch.tensor([[1.0], [5.0], [3.0], [3.0], [2.0], [-1.0]]))
        model.rel_emb.weight.fill_(1.0)
    return model


@pytest.fixture
def facts():
    return Facts(torch.tensor([0]), torch.tensor([0]), torch.tensor([1]), 6, 1)


def test_known_answers_are_left_out_unless_asked_for(model, facts):
    new = top_k(model, 0, 0, "tail", 3, facts)
    assert new.ids.tolist() == [2, 3, 4]  # ties in the order of ids
    assert not new.known.any()
    every = top_k(model, 0, 0, "tail", 2, facts, include_known=True)
    assert every.ids.tolist() == [1, 2]
    assert every.known.tolist() == [True, False]
    assert top_k(model, 1, 0, "head", 99, facts).ids.tolist() == [1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="k is 0"):
        top_k(model, 0, 0, "tail", 0, facts)


def test_percentile_counts_ties_half(model, facts):
    found = compare(model, 0, 0, 2, facts)
    assert found["score"] == 3
    assert found["known"] is False
    assert found["percentile_tail"] == pytest.approx(100 * 3.5 / 4)  # 1, 2, -1 below and one tie among 0, 3, 4, 5
    assert compare(model, 0, 0, 1, facts)["known"] is True


def test_scores_that_are_no_numbers_are_no_answer(model, facts):
    with torch.no_grad():
        model.node_emb.weight[3] = float("nan")
    with pytest.raises(NumericsError, match="NaN"):
        top_k(model, 0, 0, "tail", 1, facts)
