"""KBGAN: the law of its draws, the gradient it learns by, and that its reward rises."""

import pytest
import torch
from sampler_world import counts_p_value, make_world, relative, seeded

from mmkg.graph.facts import Facts
from mmkg.samplers import KBGAN, UniformSampler
from mmkg.scorers import ComplEx, DistMult
from mmkg.training import SelfAdversarial, TrainConfig, Trainer
from mmkg.training.callbacks import Callback
from mmkg.types import SIDES, Batch


def built(entities=40, negatives=5, relations=4, **options):
    torch.manual_seed(3)
    scorer = DistMult(entities, relations, 6, initial_std=1.0)
    return KBGAN(entities, negatives, relations, scorer=scorer, **options)


@pytest.mark.parametrize("side", SIDES)
def test_law_is_the_generators_softmax(side):
    _, facts, batch, *_ = make_world(entities=12, triples=30)
    sampler = built(12, 20_000, candidates=15)
    drawn = sampler.sample(batch, side, None, facts, seeded(1))
    candidates = drawn.cache.candidates
    assert not facts.mask(batch, side, candidates).any()
    h, r, t = (x[:, None].expand(-1, 15) for x in (batch.head, batch.relation, batch.tail))
    scores = sampler.scorer(*((h, r, candidates) if side == "tail" else (candidates, r, t)))  # each triple by itself
    p = scores.softmax(1).detach()
    law = torch.zeros(len(batch), 12).scatter_add(1, candidates, p)
    found = torch.stack([torch.bincount(row, minlength=12) for row in drawn.ids])
    assert counts_p_value(found, law) > 0.01
    assert torch.allclose(drawn.log_prob.exp(), p.gather(1, drawn.cache.positions), rtol=1e-4)


def test_the_loss_has_the_gradient_of_the_expected_reward():
    _, facts, batch, *_ = make_world(entities=12, triples=30)
    sampler = built(12, 60_000, candidates=8).double()
    rewards = torch.randn(12, generator=seeded(8)).double()
    drawn = sampler.sample(batch, "tail", None, facts, seeded(1))
    sampler.baseline.fill_(0.5 * 0.3)
    sampler.past.fill_(0.5)  # baseline 0.3: any constant leaves the expectation alone
    parameters = list(sampler.parameters())
    found = torch.autograd.grad(sampler.loss(drawn, rewards[drawn.ids], None), parameters, retain_graph=True)
    expected_reward = (drawn.cache.log_p.exp() * rewards[drawn.cache.candidates]).sum(1).mean()
    expected = torch.autograd.grad(-expected_reward, parameters)
    for one, other in zip(found, expected, strict=True):
        assert relative(one, other) < 0.05


def test_no_probability_is_never_drawn():
    _, facts, batch, *_ = make_world(entities=12, triples=30)
    sampler = built(12, 5000, candidates=10)
    with torch.no_grad():
        sampler.scorer.rel_emb.weight.mul_(1e4)  # all mass on one candidate
    drawn = sampler.sample(batch, "tail", None, facts, seeded(1))
    best = drawn.cache.candidates.gather(1, drawn.cache.log_p.argmax(1, keepdim=True))
    assert (drawn.ids == best).float().mean() > 0.9
    assert (drawn.log_prob > -100).all()


def test_baseline_is_a_moving_average_without_the_start():
    _, facts, batch, *_ = make_world()
    sampler = built(momentum=0.9)
    drawn = sampler.sample(batch, "tail", None, facts, seeded())
    rewards = [2.0, -1.0, 4.0]
    for reward in rewards:
        sampler.update(drawn, torch.full(drawn.ids.shape, reward))
    weights = [0.9**2, 0.9, 1.0]
    expected = sum(w * r for w, r in zip(weights, rewards, strict=True)) / sum(weights)
    assert float(sampler.baseline / sampler.past) == pytest.approx(expected)
    same = torch.full(drawn.ids.shape, expected)
    assert float(sampler.loss(drawn, same, None).detach()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kind", [DistMult, ComplEx])
def test_reward_rises_against_a_standing_model(kind, kin):
    facts = Facts.from_data(kin)
    torch.manual_seed(0)
    model = DistMult(60, 4, 8, initial_std=1.0)
    sampler = KBGAN(60, 4, 4, candidates=30, scorer=kind(60, 4, 16))
    optimizer, generator, rewards = torch.optim.Adam(sampler.parameters(), lr=0.01), seeded(5), []
    batch = Batch(*facts.triples())
    for step in range(200):
        side = SIDES[step % 2]
        drawn = sampler.sample(batch, side, model, facts, generator)
        with torch.no_grad():
            scores = model.score_tails(batch.head, batch.relation, drawn.ids)
            if side == "head":
                scores = model.score_heads(batch.relation, batch.tail, drawn.ids)
        optimizer.zero_grad()
        sampler.loss(drawn, scores, None).backward()
        optimizer.step()
        sampler.update(drawn, scores)
        rewards.append(float(scores.mean()))
    assert sum(rewards[-20:]) / 20 > sum(rewards[:20]) / 20 + 1.0


class Rewards(Callback):
    """What the negatives score more than uniform ones of the same questions would, step by step."""

    def __init__(self):
        self.found = []

    def on_negatives(self, trainer, step, batch, side, negatives, scores):
        others = UniformSampler(60, 20).sample(batch, side, None, trainer.facts, seeded(step)).ids
        asked = (batch.head, batch.relation) if side == "tail" else (batch.relation, batch.tail)
        with torch.no_grad():
            score = trainer.model.score_tails if side == "tail" else trainer.model.score_heads
            self.found.append(float(scores.mean() - score(*asked, others).mean()))


def test_the_generator_gains_on_a_model_in_training(kin):
    torch.manual_seed(0)
    model, sampler, rewards = DistMult(60, 4, 16), KBGAN(60, 4, 4, candidates=30), Rewards()
    config = TrainConfig(
        steps=300, batch_size=200, learning_rate=3e-3, sampler_learning_rate=0.02, validate_every=0, schedule="constant"
    )
    Trainer(model, sampler, SelfAdversarial(), kin, config, callbacks=[rewards], progress=False).fit()
    assert sum(rewards.found[-50:]) / 50 > sum(rewards.found[:50]) / 50 + 0.1


def test_the_models_parameters_get_no_gradient_from_it():
    _, facts, batch, *_ = make_world()
    sampler, model = built(), DistMult(40, 4, 5)
    drawn = sampler.sample(batch, "tail", model, facts, seeded())
    scores = model.score_tails(batch.head, batch.relation, drawn.ids)
    sampler.loss(drawn, scores, None).backward()
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is not None for p in sampler.parameters())
    assert not drawn.log_prob.requires_grad


def test_nothing_left_is_no_loss():
    zero = torch.zeros(3, dtype=torch.long)
    facts = Facts(zero, zero, torch.arange(3), 3, 1)
    sampler = KBGAN(3, 2, 1)
    drawn = sampler.sample(Batch(zero, zero, torch.arange(3)), "tail", None, facts, seeded())
    assert not drawn.valid.any()
    assert sampler.loss(drawn, torch.zeros(3, 2), None) is None
    sampler.update(drawn, torch.zeros(3, 2))
    assert sampler.past == 0


def test_bad_arguments():
    with pytest.raises(ValueError, match="candidates is 0"):
        KBGAN(5, 2, 1, candidates=0)
    with pytest.raises(ValueError, match="momentum is 1"):
        KBGAN(5, 2, 1, momentum=1)
    with pytest.raises(ValueError, match=r"a generator of \(5, 2\)"):
        KBGAN(5, 2, 1, scorer=DistMult(5, 2, 3))
    assert "candidates=100, momentum=0.99" in repr(KBGAN(5, 2, 1))
