"""Exact filtered uniform sampling."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sampler_world import make_world, seeded

from mmkg.graph.facts import Facts
from mmkg.samplers import NegativeSampler, UniformSampler
from mmkg.types import Batch


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 60), st.sampled_from(["head", "tail"]))
def test_never_a_known_answer(seed, entities, triples, side):
    generator = seeded(seed)
    h, t = torch.randint(entities, (2, triples), generator=generator)
    r = torch.randint(2, (triples,), generator=generator)
    facts, batch = Facts(h, r, t, entities, 2), Batch(h, r, t)
    negatives = UniformSampler(entities, 7).sample(batch, side, None, facts, generator)
    known = facts.mask(batch, side, negatives.ids)
    assert not known[negatives.valid].any()
    assert ((negatives.ids >= 0) & (negatives.ids < entities)).all()
    assert torch.equal(negatives.valid.all(1), facts.count(batch, side) < entities)
    assert torch.equal(negatives.valid.any(1), negatives.valid.all(1))


def test_every_unknown_entity_is_equally_likely():
    h, r, t = torch.tensor([0, 0, 0]), torch.tensor([0, 0, 0]), torch.tensor([1, 4, 5])
    facts = Facts(h, r, t, 9, 1)
    negatives = UniformSampler(9, 30_000).sample(Batch(h[:1], r[:1], t[:1]), "tail", None, facts, seeded())
    found = torch.bincount(negatives.ids[0], minlength=9)
    assert found[[1, 4, 5]].sum() == 0
    assert ((found[[0, 2, 3, 6, 7, 8]] - 5000).abs() < 300).all()  # 4.6 standard deviations
    assert negatives.log_prob.exp()[0, 0].item() == pytest.approx(1 / 6)


def test_the_batch_answer_is_excluded_even_if_the_facts_miss_it():
    h, r, t = torch.tensor([0]), torch.tensor([0]), torch.tensor([2])
    facts = Facts(h, r, torch.tensor([4]), 6, 1)
    negatives = UniformSampler(6, 4000).sample(Batch(h, r, t), "tail", None, facts, seeded())
    assert sorted(set(negatives.ids[0].tolist())) == [0, 1, 3, 5]
    found = torch.bincount(negatives.ids[0], minlength=6)[[0, 1, 3, 5]]
    assert ((found - 1000).abs() < 130).all()


def test_a_stranger_among_all_known_leaves_nothing():
    zero = torch.zeros(3, dtype=torch.long)
    facts = Facts(zero, zero, torch.arange(3), 4, 1)
    negatives = UniformSampler(4, 3).sample(Batch(zero[:1], zero[:1], torch.tensor([3])), "tail", None, facts, seeded())
    assert not negatives.valid.any()
    assert (negatives.ids < 4).all()


def test_same_seed_same_ids():
    _, facts, batch, *_ = make_world()
    draws = [UniformSampler(40, 5).sample(batch, "head", None, facts, seeded(s)).ids for s in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_learns_nothing():
    _, facts, batch, *_ = make_world()
    sampler = UniformSampler(40, 5)
    negatives = sampler.sample(batch, "tail", None, facts)
    scores = torch.zeros(negatives.ids.shape)
    assert negatives.candidates is negatives.ids
    assert sampler.loss(negatives, scores, scores[:, 0]) is None
    assert sampler.update(negatives, scores) is None
    assert not list(sampler.parameters())
    assert repr(sampler) == "UniformSampler(num_entities=40, num_negatives=5)"


def test_bad_arguments():
    _, facts, batch, *_ = make_world()
    with pytest.raises(ValueError, match="num_negatives is 0"):
        UniformSampler(5, 0)
    with pytest.raises(ValueError, match="num_entities is 0"):
        UniformSampler(0, 5)
    with pytest.raises(ValueError, match="side 'relation'"):
        UniformSampler(40, 5).sample(batch, "relation", None, facts)
    with pytest.raises(ValueError, match="facts of 40 entities"):
        UniformSampler(41, 5).sample(batch, "tail", None, facts)
    with pytest.raises(TypeError, match="abstract"):
        NegativeSampler(3, 2)
