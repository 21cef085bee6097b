"""Relation prediction: scores of relations are scores of triples, and the loss is their cross-entropy."""

import pytest
import torch

from mmkg.scorers import SCORERS, BilinearScorer
from mmkg.training.relation_prediction import relation_loss, score_relations
from mmkg.types import SIDES, Batch


def batch():
    weight = torch.tensor([1.0, 2.0, 0.5])
    return Batch(torch.tensor([0, 3, 5]), torch.tensor([1, 0, 2]), torch.tensor([2, 2, 4]), weight)


@pytest.mark.parametrize("name", SCORERS)
@pytest.mark.parametrize("reciprocal", [False, True])
@pytest.mark.parametrize("side", SIDES)
def test_scores_are_those_of_triples(name, reciprocal, side):
    torch.manual_seed(0)
    model = SCORERS[name](6, 4, 8, reciprocal=reciprocal).eval()
    asked = batch()
    small = 3 * model.entity_table().shape[1] * 4 * 2 / 2**20  # so that relations are scored two or fewer at a time
    found = score_relations(model, asked, side, memory_mb=small)
    for r in range(4):
        expected = model.score_triples(asked.head, torch.full((3,), r), asked.tail, side)
        torch.testing.assert_close(found[:, r], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["distmult", "complex", "cp", "simple"])
@pytest.mark.parametrize("side", SIDES)
def test_linear_relations_are_scored_by_one_product_with_the_same_gradient(name, side, monkeypatch):
    torch.manual_seed(0)
    model, asked = SCORERS[name](6, 4, 8).double(), batch()
    weight = torch.randn(3, 4, dtype=torch.float64)
    found = (weight * score_relations(model, asked, side)).sum()
    monkeypatch.setattr(type(model), "pair", BilinearScorer.pair)
    expected = (weight * score_relations(model, asked, side)).sum()
    torch.testing.assert_close(found, expected)
    parameters = list(model.parameters())
    of_found, of_expected = (torch.autograd.grad(x, parameters) for x in (found, expected))
    for a, b in zip(of_found, of_expected, strict=True):
        torch.testing.assert_close(a, b)


def test_loss_by_hand_and_the_same_gradient_in_parts():
    torch.manual_seed(1)
    model, asked = SCORERS["complex"](6, 4, 8), batch()
    scores = torch.stack([model(asked.head, torch.full((3,), r), asked.tail) for r in range(4)], dim=1)
    each = scores.logsumexp(1) - scores[torch.arange(3), asked.relation]
    expected = (asked.weight * each).sum() / 3.5
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(expected, parameters)
    for memory in (64.0, 1e-6):
        found = relation_loss(model, asked, "tail", memory)
        torch.testing.assert_close(found, expected)
        for a, b in zip(torch.autograd.grad(found, parameters), gradients, strict=True):
            torch.testing.assert_close(a, b)
