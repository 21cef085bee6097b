"""The one-go draw has the law of sequential draws without replacement."""

import itertools

import pytest
import torch
from sampler_world import seeded
from scipy.stats import chisquare

from mmkg.samplers.mmrns.draw import draw as draw_with
from mmkg.samplers.mmrns.draw import gumbel, log_left


def draw(log_p, allowed, num, generator):
    return draw_with(log_p, allowed, num, gumbel(log_p.shape, log_p.dtype, log_p.device, generator))


def sequential(p, order):
    """Probability of drawing ``order`` one after another without replacement."""
    left, probability = sum(p), 1.0
    for i in order:
        probability, left = probability * p[i] / left, left - p[i]
    return probability


def test_sequences_have_the_law_of_sequential_draws():
    p = [0.5, 0.2, 0.15, 0.1, 0.05, 0.4]  # the last one is a known answer: never drawn
    rows, allowed = 40_000, torch.tensor([True] * 5 + [False])
    log_p = torch.tensor(p).log().expand(rows, -1)
    drawn = draw(log_p, allowed.expand(rows, -1), 3, seeded(1))
    code = (drawn.positions * torch.tensor([36, 6, 1])).sum(1)
    found = torch.bincount(code, minlength=216)
    statistic, seen = 0.0, 0
    for order in itertools.permutations(range(5), 3):
        expected = rows * sequential(p[:5], order)
        count = int(found[order[0] * 36 + order[1] * 6 + order[2]])
        statistic, seen = statistic + (count - expected) ** 2 / expected, seen + count
    assert seen == rows
    assert statistic < 98.3  # chi-square with 59 degrees of freedom: 99.9 %


def test_inclusion_frequencies():
    p, rows = [0.4, 0.25, 0.15, 0.1, 0.07, 0.03], 200_000
    drawn = draw(torch.tensor(p).log().expand(rows, -1), torch.ones(rows, 6, dtype=torch.bool), 3, seeded(2))
    found = torch.bincount((1 << drawn.positions).sum(1), minlength=64)  # [64], how often each set was drawn
    sets = list(itertools.combinations(range(6), 3))
    expected = [rows * sum(sequential(p, order) for order in itertools.permutations(chosen)) for chosen in sets]
    counts = [int(found[sum(1 << i for i in chosen)]) for chosen in sets]
    assert sum(counts) == rows
    assert chisquare(counts, expected).pvalue > 0.01
    for i in range(6):
        included = sum(count for count, chosen in zip(counts, sets, strict=True) if i in chosen)
        due = sum(e for e, chosen in zip(expected, sets, strict=True) if i in chosen)
        assert chisquare([included, rows - included], [due, rows - due]).pvalue > 0.01


def test_log_prob_is_that_of_the_draw_given_those_before():
    torch.manual_seed(0)
    log_p = torch.randn(7, 9, dtype=torch.float64).log_softmax(1)
    allowed = torch.rand(7, 9) > 0.3
    drawn = draw(log_p, allowed, 4, seeded())
    for b in range(7):
        p = (log_p[b].exp() * allowed[b]).tolist()
        order = drawn.positions[b][drawn.valid[b]].tolist()
        assert drawn.log_prob[b].sum().exp().item() == pytest.approx(sequential(p, order), rel=1e-9)


def test_log_prob_survives_a_peaked_distribution():
    # after the first draw 1e-13 of the mass is left: 1 - p would be 0 or noise in float32
    log_p = torch.tensor([[0.0, -30.0, -31.0, -32.0]])
    drawn = draw(log_p, torch.ones(1, 4, dtype=torch.bool), 4, seeded(3))
    assert drawn.log_prob.isfinite().all()
    assert drawn.log_prob[0, -1] == pytest.approx(0.0, abs=1e-6)
    assert (drawn.log_prob <= 1e-6).all()
    rest = torch.tensor([-30.0, -31.0, -32.0]).log_softmax(0)
    assert drawn.log_prob[0, 1].item() == pytest.approx(rest[drawn.positions[0, 1] - 1].item(), rel=1e-5)


def test_too_few_left():
    allowed = torch.tensor([[True, False, True, False], [False] * 4, [True] * 4])
    drawn = draw(torch.zeros(3, 4), allowed, 3, seeded())
    assert drawn.valid.tolist() == [[True, True, False], [False] * 3, [True] * 3]
    assert set(drawn.positions[0, :2].tolist()) == {0, 2}
    assert drawn.log_prob.isfinite().all()
    assert (drawn.log_prob[~drawn.valid] == 0).all()
    assert all(len(set(row)) == 3 for row in drawn.positions.tolist())


def test_ties_draw_different_candidates():
    drawn = draw_with(torch.zeros(2, 6), torch.ones(2, 6, dtype=torch.bool), 6, torch.zeros(2, 6))
    assert drawn.positions.sort(1).values.tolist() == [list(range(6))] * 2


def test_noise_is_gumbel():
    noise = gumbel(torch.Size([200_000]), torch.float32, torch.device("cpu"), seeded())
    assert noise.isfinite().all()
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.02)
    assert noise.var().item() == pytest.approx(1.6449, abs=0.05)


def test_log_left_adds_up_from_the_end():
    drawn, never = torch.tensor([[-1.0, -2.0, -torch.inf]]), torch.tensor([-torch.inf])
    left = log_left(drawn, never)[0]
    assert left[0].item() == pytest.approx(torch.tensor([-1.0, -2.0]).logsumexp(0).item())
    assert left[1].item() == -2
    assert left[2:].tolist() == [-torch.inf, -torch.inf]
