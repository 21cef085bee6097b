"""Intervals and tests where the truth is known."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from mmkg.evaluation import bootstrap, metrics, paired_test
from mmkg.types import Ranks


def ranks_of(r, n=100):
    """Ranks of triples asked for head and tail, given ``[2, T]``, heads first."""
    r = torch.as_tensor(r)
    t = r.shape[1]
    side, triple = torch.arange(2).repeat_interleave(t), torch.arange(t).repeat(2)
    return Ranks(r.flatten(), r.flatten(), torch.full((2 * t,), n), side, triple)


def drawn(seed, t=400, n=100):
    return torch.randint(1, n + 1, (2, t), generator=torch.Generator().manual_seed(seed))


def test_the_value_is_the_metric_and_lies_inside():
    ranks = ranks_of(drawn(0))
    table, expected = bootstrap(ranks, samples=200), metrics(ranks)
    for name in ("mrr", "mr", "hits@1", "hits@3", "hits@10"):
        assert table.value[name] == pytest.approx(expected[name])
        assert table.low[name] <= table.value[name] <= table.high[name]
    assert bootstrap(ranks, samples=200).equals(table)
    assert not bootstrap(ranks, samples=200, seed=1).equals(table)


def test_the_interval_is_as_wide_as_theory_says():
    t = 900
    ranks = ranks_of(torch.arange(1, t + 1).expand(2, t) % 10 * 9 + 1)  # a tenth are first, on both sides alike
    table = bootstrap(ranks, samples=3000)
    half = 1.96 * np.sqrt(0.1 * 0.9 / t)  # over triples, not over twice as many questions
    assert table.high["hits@1"] - table.low["hits@1"] == pytest.approx(2 * half, rel=0.1)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    inside = 0
    for seed in range(120):
        table = bootstrap(ranks_of(drawn(seed, t=150)), samples=300, level=0.8, seed=seed)
        inside += table.low["mr"] <= 50.5 <= table.high["mr"]
    assert binomtest(inside, 120, 0.8).pvalue > 1e-4


def test_a_model_does_not_differ_from_itself():
    ranks = ranks_of(drawn(0))
    table = paired_test(ranks, ranks, samples=100)
    assert (table.difference == 0).all()
    assert (table.p_permutation == 1).all()
    assert (table.p_wilcoxon == 1).all()
    assert (table.low == 0).all()


def test_a_real_difference_is_found_and_signed():
    worse = drawn(0)
    better = (worse - 5).clamp(min=1)
    table = paired_test(ranks_of(worse), ranks_of(better), samples=500)
    assert table.difference["mrr"] > 0
    assert table.difference["mr"] < 0
    assert table.low["mrr"] > 0
    assert table.p_permutation["mrr"] == pytest.approx(1 / 501)
    assert table.p_wilcoxon["mrr"] < 1e-10
    assert table["first"]["mr"] == pytest.approx(metrics(ranks_of(worse))["mr"])
    assert table["second"]["mr"] == pytest.approx(metrics(ranks_of(better))["mr"])


def test_p_values_are_uniform_where_models_are_alike():
    low = {"p_permutation": 0, "p_wilcoxon": 0}
    for seed in range(120):
        table = paired_test(ranks_of(drawn(seed, t=80)), ranks_of(drawn(seed + 1000, t=80)), samples=200, seed=seed)
        for name in low:
            low[name] += table[name]["mrr"] <= 0.2
    for count in low.values():
        assert binomtest(count, 120, 0.2).pvalue > 1e-4


def test_a_triples_two_questions_are_one_piece_of_evidence():
    # twelve triples, each better on both sides: were the 24 questions independent, p would be far smaller
    worse, better = torch.full((2, 12), 20), torch.full((2, 12), 20)
    better[:, :5] = 10
    table = paired_test(ranks_of(worse), ranks_of(better), samples=4000)
    assert table.p_permutation["mr"] == pytest.approx(2 / 2**5, abs=0.02)


def test_other_questions_cannot_be_compared():
    one, other = ranks_of(drawn(0)), ranks_of(drawn(1))
    with pytest.raises(ValueError, match="triple differs"):
        paired_test(one, other.select(other.triple < 300))
    other.candidates[3] = 7
    with pytest.raises(ValueError, match="candidates differs"):
        paired_test(one, other)
    with pytest.raises(ValueError, match="samples 0"):
        bootstrap(one, samples=0)
    with pytest.raises(ValueError, match="level 95"):
        paired_test(one, one, level=95)
    with pytest.raises(ValueError, match="no ranks"):
        bootstrap(one.select(one.triple < 0))
