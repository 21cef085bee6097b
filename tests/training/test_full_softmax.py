"""The loss without scores: value and gradient of plain autograd, in blocks of any size, finite at extreme scores."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mmkg.scorers import SCORERS, DistMult
from mmkg.training import full_softmax
from mmkg.training.full_softmax import product_cross_entropy, scores_by_product


def plain(query, table, answer, weight, smoothing, row):
    losses = F.cross_entropy((query @ table.T)[row], answer, reduction="none", label_smoothing=smoothing)
    return (weight * losses).sum() / weight.sum()


@settings(max_examples=60, deadline=None)
@given(
    questions=st.integers(1, 9),
    entities=st.integers(1, 12),
    extra=st.integers(0, 12),
    smoothing=st.sampled_from([0.0, 0.1, 0.9]),
    block=st.integers(1, 4),
    seed=st.integers(0, 10**6),
)
def test_value_and_gradient_are_those_of_autograd(questions, entities, extra, smoothing, block, seed):
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(questions, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    table = torch.randn(entities, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    row = torch.cat([torch.arange(questions), torch.randint(0, questions, (extra,), generator=generator)])
    row = row[torch.randperm(len(row), generator=generator)]
    answer = torch.randint(0, entities, (len(row),), generator=generator)  # pairs may repeat
    weight = torch.rand(len(row), generator=generator, dtype=torch.float64) + 0.01
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(full_softmax, "BLOCK_BYTES", {"cpu": block * entities * 8})
        patch.setattr(full_softmax, "CACHE_BYTES", 2 * entities * 8)
        found = product_cross_entropy(query, table, answer, weight, smoothing, row)
        found_gradients = torch.autograd.grad(3 * found, (query, table))
    expected = plain(query, table, answer, weight, smoothing, row)
    torch.testing.assert_close(found, expected)
    for a, b in zip(found_gradients, torch.autograd.grad(3 * expected, (query, table)), strict=True):
        torch.testing.assert_close(a, b)


def test_without_rows_each_question_has_one_answer():
    query, table = torch.randn(4, 3), torch.randn(6, 3)
    answer = torch.tensor([5, 0, 0, 2])
    torch.testing.assert_close(product_cross_entropy(query, table, answer), F.cross_entropy(query @ table.T, answer))


@pytest.mark.parametrize("scale", [1e3, 1e15])
def test_gradients_are_finite_at_extreme_scores(scale):
    query = (scale * torch.tensor([[1.0], [-1.0]])).requires_grad_()
    table = torch.tensor([[1.0], [0.0], [-1.0]], requires_grad=True)
    loss = product_cross_entropy(query, table, torch.tensor([2, 2]))  # the worst answer, then the best
    loss.backward()
    assert float(loss.detach()) == pytest.approx(scale)  # a difference of 2 scale in the first row of two
    assert torch.isfinite(query.grad).all()
    assert torch.isfinite(table.grad).all()
    assert query.grad.flatten().tolist() == pytest.approx([1.0, 0.0])


def test_half_precision_is_close_and_gives_gradients_in_full():
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(64, 32, generator=generator).mul(0.5).requires_grad_()
    table = torch.randn(500, 32, generator=generator).mul(0.5).requires_grad_()
    answer = torch.randint(0, 500, (64,), generator=generator)
    full = torch.autograd.grad(product_cross_entropy(query, table, answer), (query, table))
    with torch.autocast("cpu", torch.bfloat16):
        loss = product_cross_entropy(query, table, answer)
    half = torch.autograd.grad(loss, (query, table))
    for a, b in zip(full, half, strict=True):
        assert b.dtype == torch.float32
        assert not torch.equal(a, b)
        assert float((a - b).norm() / a.norm()) < 0.02


def test_only_the_wanted_gradient_is_made():
    query, table = torch.randn(3, 2, requires_grad=True), torch.randn(5, 2)
    product_cross_entropy(query, table, torch.tensor([0, 1, 2])).backward()
    assert query.grad is not None
    assert table.grad is None


def test_the_gradient_is_taken_once():
    query, table = torch.randn(3, 2, requires_grad=True), torch.randn(5, 2)
    loss = product_cross_entropy(query, table, torch.tensor([0, 1, 2]))
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="it can be taken once"):
        loss.backward()


def test_which_scorers_are_plain_products():
    made = {name: kind(6, 2, 4) for name, kind in SCORERS.items()}
    by_product = {name for name, model in made.items() if scores_by_product(model)}
    assert by_product == {"distmult", "complex", "quate", "rescal", "tucker", "simple", "autosf"}
    for name in by_product:  # and for these it is true
        model = made[name]
        head, relation = torch.tensor([0, 3]), torch.tensor([1, 0])
        query = model.query(model.entity(head), model.relation(relation, "tail"), "tail")
        torch.testing.assert_close(query @ model.entity_table().T, model.score_tails(head, relation))


def test_other_modules_are_none():
    assert not scores_by_product(torch.nn.Linear(2, 2))
    assert scores_by_product(DistMult(3, 1, 2))
