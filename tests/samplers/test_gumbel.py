"""Straight-through embeddings: both relaxations against autograd through K relaxed draws that are kept."""

import pytest
import torch
from sampler_world import relative, seeded

from mmkg.samplers.mmrns.draw import draw as draw_with
from mmkg.samplers.mmrns.draw import gumbel
from mmkg.samplers.mmrns.gumbel import fresh_draw, straight_through


def draw(log_p, allowed, num, generator):
    return draw_with(log_p, allowed, num, gumbel(log_p.shape, log_p.dtype, log_p.device, generator))


def case(rows=5, pool=11, dim=4, num=6, scale=1.0, keep=0.8, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    logits = (scale * torch.randn(rows, pool, dtype=dtype)).requires_grad_()
    embeddings = torch.randn(pool, dim, dtype=dtype, requires_grad=True)
    incoming = torch.randn(rows, num, dim, dtype=dtype)
    return logits, embeddings, incoming, torch.rand(rows, pool) < keep


def gradients(output, incoming, *inputs):
    return torch.autograd.grad((output * incoming).sum(), inputs, allow_unused=True, retain_graph=True)


@pytest.mark.parametrize("relaxation", ["fresh", "shared"])
@pytest.mark.parametrize("tau", [0.3, 1.0, 3.0])
@pytest.mark.parametrize(("num", "keep"), [(1, 1.0), (6, 1.0), (11, 1.0), (6, 0.8), (9, 0.3), (3, 0.0)])
def test_equals_autograd_through_explicit_draws(oracle, relaxation, tau, num, keep):
    logits, pool, incoming, allowed = case(num=num, keep=keep)
    log_p = logits.log_softmax(1)
    drawn = draw(log_p, allowed, num, seeded(4))
    noise = gumbel(log_p.shape, log_p.dtype, log_p.device, seeded(4))
    relaxed, positions, valid = oracle.relaxed_draws(log_p, allowed, noise, num, tau, relaxation)
    assert torch.equal(positions[valid], drawn.positions[drawn.valid])
    found = straight_through(log_p, pool, drawn, tau=tau, relaxation=relaxation)
    assert torch.equal(found, pool[drawn.positions])
    expected = oracle.straight_through(pool, relaxed, positions, valid)
    for ours, theirs in zip(
        gradients(found, incoming, logits, pool), gradients(expected, incoming, logits, pool), strict=True
    ):
        assert float((ours - theirs).abs().max()) <= 1e-10 * max(1.0, float(theirs.abs().max()))
    if keep > 0:
        assert gradients(found, incoming, logits)[0].abs().sum() > 0


@pytest.mark.parametrize("relaxation", ["fresh", "shared"])
def test_gradient_is_the_derivative_of_the_relaxed_mean(oracle, relaxation):
    # central differences of sum_k <y_k E, G_k> with the noise held
    logits, pool, incoming, allowed = case(seed=3)
    log_p = logits.detach().log_softmax(1)
    noise = gumbel(log_p.shape, log_p.dtype, log_p.device, seeded(4))
    drawn = draw(log_p, allowed, 6, seeded(4))
    log_p.requires_grad_()
    found = gradients(straight_through(log_p, pool, drawn, relaxation=relaxation), incoming, log_p)[0]
    kept = []  # each draw's noise, constant however log p moves
    left, before = drawn.perturbed.clone(), None
    for k in range(6):
        g = noise
        if relaxation == "fresh" and k:
            g = left - torch.log(-torch.expm1(left - before)) - log_p.detach()
        kept.append(g.masked_fill(left == -torch.inf, -torch.inf))
        before = left.gather(1, drawn.positions[:, k, None])
        left = left.scatter(1, drawn.positions[:, k, None], -torch.inf)

    def mean(x):
        y = [torch.where(drawn.valid[:, k, None], x + g, 0.0).softmax(1) for k, g in enumerate(kept)]
        mixed = torch.stack([w @ pool.detach() for w in y], 1) * drawn.valid[..., None]
        return float((mixed * incoming).sum())

    for b, p in ((0, 0), (1, 4), (2, 7), (4, 10)):
        step = torch.zeros_like(log_p)
        step[b, p] = 1e-5
        with torch.no_grad():
            slope = (mean(log_p + step) - mean(log_p - step)) / 2e-5
        assert slope == pytest.approx(float(found[b, p]), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("relaxation", ["fresh", "shared"])
def test_sign_of_the_gradient(relaxation):
    logits, pool, incoming, allowed = case()
    drawn = draw(logits, allowed, 6, seeded())
    found = {
        g: gradients(straight_through(logits, pool, drawn, relaxation=relaxation, gradient=g), incoming, logits, pool)
        for g in ("descend", "reverse", "none")
    }
    assert torch.equal(found["reverse"][0], -found["descend"][0])
    assert found["descend"][0].abs().sum() > 0
    assert found["none"][0] is None or found["none"][0].abs().sum() == 0
    for gradient in found.values():  # into the drawn embeddings it always flows, and into them alone
        assert torch.equal(gradient[1], found["descend"][1])
        drawn_at_all = torch.zeros(11, dtype=torch.bool)
        drawn_at_all[drawn.positions[drawn.valid]] = True
        assert ((gradient[1].abs().sum(1) > 0) == drawn_at_all).all()


@pytest.mark.parametrize("relaxation", ["fresh", "shared"])
@pytest.mark.parametrize("scale", [30.0, 500.0])
def test_large_logits_stay_finite_in_single_precision(relaxation, scale):
    logits, pool, incoming, allowed = case(scale=scale, dtype=torch.float32, rows=50, pool=40, num=20)
    drawn = draw(logits.log_softmax(1), allowed, 20, seeded())
    output = straight_through(logits.log_softmax(1), pool, drawn, relaxation=relaxation)
    assert all(g.isfinite().all() for g in gradients(output, incoming, logits, pool))


@pytest.mark.parametrize("relaxation", ["fresh", "shared"])
def test_ties_stay_finite(relaxation):
    logits, pool, incoming, allowed = case(dtype=torch.float32, keep=1.0)
    drawn = draw(logits, allowed, 6, seeded())
    drawn.perturbed = torch.zeros_like(drawn.perturbed)  # all arrive at once
    output = straight_through(logits, pool, drawn, relaxation=relaxation)
    assert gradients(output, incoming, logits)[0].isfinite().all()


@pytest.mark.parametrize("relaxation", ["fresh", "shared"])
def test_single_precision_agrees_with_double(relaxation):
    found = {}
    for dtype in (torch.float32, torch.float64):
        logits, pool, incoming, allowed = (x.detach().to(dtype) if x.is_floating_point() else x for x in case(num=9))
        logits.requires_grad_()
        drawn = draw(logits.double(), allowed, 9, seeded())
        drawn.perturbed = drawn.perturbed.to(dtype)
        output = straight_through(logits, pool, drawn, relaxation=relaxation)
        found[dtype] = gradients(output, incoming, logits)[0].double()
    assert relative(found[torch.float32], found[torch.float64]) < 1e-4


def test_fresh_noise_keeps_late_draws_sharp():
    # uniform p over 1,500 candidates: DESIGN's figures for the largest weight of the 20th draw
    drawn = draw(torch.zeros(400, 1500), torch.ones(400, 1500, dtype=torch.bool), 20, seeded(5))
    left = drawn.perturbed.scatter(1, drawn.positions[:, :19], -torch.inf)
    before = drawn.perturbed.gather(1, drawn.positions[:, 18:19])
    valid = torch.ones(400, dtype=torch.bool)
    fresh = fresh_draw(left, before, valid, 1.0).max(1)
    shared = left.softmax(1).max(1)
    assert torch.equal(fresh.indices, drawn.positions[:, 19])  # the largest weight is the draw itself
    assert torch.equal(shared.indices, drawn.positions[:, 19])
    # what is left after k draws is again a pool under fresh noise: as sharp as a first draw
    first = draw(torch.zeros(400, 1481), torch.ones(400, 1481, dtype=torch.bool), 1, seeded(6)).perturbed.softmax(1)
    assert fresh.values.mean().item() == pytest.approx(first.max(1).values.mean().item(), rel=0.2)
    assert shared.values.mean() < fresh.values.mean() / 5


def test_half_precision_embeddings():
    logits, pool, incoming, allowed = case(dtype=torch.float32)
    pool = pool.detach().bfloat16().requires_grad_()
    output = straight_through(logits, pool, draw(logits, allowed, 6, seeded()))
    assert output.dtype == torch.bfloat16
    to_logits, to_pool = gradients(output, incoming, logits, pool)
    assert to_logits.dtype == torch.float32
    assert to_pool.dtype == torch.bfloat16
    assert to_logits.abs().sum() > 0
