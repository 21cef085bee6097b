"""The mixture over modalities: uniform where it must be, and exact at the edges."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmkg.samplers.mmrns.distribution import log_mixture, temperature

NAMES = ("image", "text", "structure")


def test_schedule():
    assert temperature(10.0, 0) == 10.0
    assert temperature(10.0, 9) == pytest.approx(10 / (1 + math.log(10)))
    assert temperature(10.0, 9, scheduled=False) == 10.0


def test_full_modalities_give_the_mean_of_softmaxes():
    torch.manual_seed(0)
    sims = {m: torch.rand(4, 7).double() for m in NAMES}
    shared = {m: torch.ones(4, 7, dtype=torch.bool) for m in NAMES}
    expected = sum((s / 0.3).softmax(1) for s in sims.values()) / 3
    for rule in ("corrected", "naive", "zero"):
        assert torch.allclose(log_mixture(sims, shared, 0.3, rule).exp(), expected, rtol=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 20))
def test_equal_similarities_are_uniform_under_any_mask(seed, a, b, c, epsilon):
    generator = torch.Generator().manual_seed(seed)
    shared = {m: torch.rand(3, 8, generator=generator) < p for m, p in zip(NAMES, (a, b, c), strict=True)}
    sims = {m: torch.full((3, 8), v, dtype=torch.float64) for m, v in zip(NAMES, (0.9, -0.3, 0.1), strict=True)}
    p = log_mixture(sims, shared, epsilon).exp()
    assert torch.allclose(p, torch.full_like(p, 1 / 8), rtol=1e-9)


def test_naive_rule_favours_those_with_pictures():
    # DESIGN: 17 pictured candidates in a pool of 1,500 would get 26 % of the mass
    pictured = torch.arange(1500)[None] < 17
    everyone = torch.ones_like(pictured)
    sims = {m: torch.zeros(1, 1500) for m in NAMES}
    shared = {"image": pictured, "text": everyone, "structure": everyone}
    naive, corrected = (log_mixture(sims, shared, 1.0, rule).exp()[pictured].sum() for rule in ("naive", "corrected"))
    assert naive.item() == pytest.approx(0.26, abs=0.005)
    assert corrected.item() == pytest.approx(17 / 1500, rel=1e-4)


def test_similar_candidates_win_whatever_they_lack():
    sims = {"image": torch.tensor([[0.9, 0.0, 0.0]]), "structure": torch.tensor([[0.5, 0.9, 0.0]])}
    shared = {"image": torch.tensor([[True, False, False]]), "structure": torch.ones(1, 3, dtype=torch.bool)}
    p = log_mixture(sims, shared, 0.1).exp()[0]
    assert p[1] > p[0] > p[2]  # alone with its picture, candidate 0 earns nothing by it


@pytest.mark.parametrize("rule", ["corrected", "naive"])
@pytest.mark.parametrize("epsilon", [0.01, 0.01 / 30])
def test_cold_temperatures(rule, epsilon):
    torch.manual_seed(1)
    sims = {m: (2 * torch.rand(5, 200) - 1).requires_grad_() for m in NAMES}
    shared = {m: torch.rand(5, 200) < 0.7 for m in NAMES}
    shared["image"][2] = False  # a row in which nobody shares the image
    for m in NAMES:
        shared[m][3] = False  # and one that shares nothing
    log_p = log_mixture(sims, shared, epsilon, rule)
    assert log_p.isfinite().all()
    assert (log_p.exp() == 0).any()  # which the log of a rounded sum would have lost
    assert torch.allclose(log_p.exp().sum(1), torch.ones(5), rtol=1e-5)
    assert torch.allclose(log_p[3], torch.full((200,), -math.log(200)))
    log_p[:, ::7].sum().backward()
    for m in NAMES:
        assert sims[m].grad.isfinite().all()
        assert (sims[m].grad[~shared[m]] == 0).all()


def test_half_precision_is_raised():
    sims = {"text": torch.rand(2, 5, dtype=torch.bfloat16)}
    assert log_mixture(sims, {"text": torch.ones(2, 5, dtype=torch.bool)}, 1.0).dtype == torch.float32
