"""The side is corrupted by the relation's cardinality, exactly, in the trainer too."""

import pytest
import torch
from sampler_world import make_world, seeded
from scipy.stats import binomtest

from mmkg.graph.facts import Facts
from mmkg.samplers import BernoulliSampler, UniformSampler
from mmkg.scorers import DistMult
from mmkg.training import SelfAdversarial, TrainConfig, Trainer
from mmkg.training.callbacks import Callback
from mmkg.types import SIDES, Batch


def lopsided(entities=30):
    """Relation 0 has one head and many tails, 1 the reverse, 2 is one to one, 3 is in no triple."""
    many = torch.arange(1, 15)
    head = torch.cat([torch.zeros(14, dtype=torch.long), many, many])
    tail = torch.cat([many, torch.zeros(14, dtype=torch.long), many + 1])
    relation = torch.arange(3).repeat_interleave(14)
    return head, relation, tail, Facts(head, relation, tail, entities, 4)


def test_probability_is_that_of_the_paper():
    head, relation, tail, facts = lopsided()
    found = BernoulliSampler(30, 2).head_probability(facts)
    for r in range(3):
        triples = [(int(h), int(t)) for h, rr, t in zip(head, relation, tail, strict=True) if rr == r]
        tails_per_head = len(triples) / len({h for h, _ in triples})
        heads_per_tail = len(triples) / len({t for _, t in triples})
        assert found[r].item() == pytest.approx(tails_per_head / (tails_per_head + heads_per_tail))
    assert found[3] == 0.5


def test_sides_follow_the_probability_whoever_has_the_turn():
    head, relation, tail, facts = lopsided()
    sampler, generator = BernoulliSampler(30, 2), seeded(2)
    batch = Batch(head, relation, tail, torch.arange(42.0))
    probability = sampler.head_probability(facts)
    for turn in SIDES:
        heads = torch.zeros(4, dtype=torch.long)
        for _ in range(200):
            parts = sampler.questions(batch, turn, facts, generator)
            rows = torch.cat([part.weight for part, _ in parts]).long()
            assert torch.equal(rows.sort().values, torch.arange(42))
            for part, side in parts:
                assert len(part)
                assert torch.equal(part.head, head[part.weight.long()])
                heads += torch.bincount(part.relation, minlength=4) * (side == "head")
        for r in range(3):
            assert binomtest(int(heads[r]), 200 * 14, float(probability[r])).pvalue > 0.01


def test_draws_are_the_uniform_samplers():
    _, facts, batch, *_ = make_world()
    for side in SIDES:
        ours, uniform = (
            s(40, 6).sample(batch, side, None, facts, seeded(1)) for s in (BernoulliSampler, UniformSampler)
        )
        assert torch.equal(ours.ids, uniform.ids)
        assert torch.equal(ours.log_prob, uniform.log_prob)


class Sides(Callback):
    def __init__(self):
        self.seen = {side: torch.zeros(4, dtype=torch.long) for side in SIDES}

    def on_negatives(self, trainer, step, batch, side, negatives, scores):
        assert not trainer.facts.mask(batch, side, negatives.ids)[negatives.valid].any()
        self.seen[side] += torch.bincount(batch.relation, minlength=4)


def test_the_trainer_corrupts_the_sides_asked_for(kin):
    head, relation, tail, facts = lopsided(60)
    kin.edge_index, kin.edge_type = torch.stack([head, tail]), relation
    everyone = torch.ones(42, dtype=torch.bool)
    kin.train_mask, kin.val_mask, kin.test_mask = everyone, ~everyone, ~everyone
    seen = Sides()
    config = TrainConfig(steps=60, batch_size=42, validate_every=0)
    sampler = BernoulliSampler(60, 3)
    torch.manual_seed(0)
    Trainer(DistMult(60, 4, 4), sampler, SelfAdversarial(), kin, config, callbacks=[seen], progress=False).fit()
    probability = sampler.head_probability(facts)
    for r in range(3):
        assert seen.seen["head"][r] + seen.seen["tail"][r] == 60 * 14
        assert binomtest(int(seen.seen["head"][r]), 60 * 14, float(probability[r])).pvalue > 0.01
