"""Pools, the mask of known answers, and the positives of L_con."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sampler_world import counts_p_value, make_world, seeded

from mmkg.graph.facts import Facts
from mmkg.samplers.mmrns.pool import known_answers, known_in_pool, random_pool
from mmkg.types import Batch

CPU = torch.device("cpu")


def test_pool_has_no_repetition_and_ascends():
    pool = random_pool(100, 30, CPU, seeded())
    assert pool.numel() == 30
    assert (pool.diff() > 0).all()
    assert torch.equal(random_pool(100, 100, CPU, None), torch.arange(100))
    assert torch.equal(random_pool(10, 1500, CPU, None), torch.arange(10))


def test_every_entity_gets_into_the_pool():
    generator, found = seeded(), torch.zeros(50)
    for _ in range(2000):
        found[random_pool(50, 5, CPU, generator)] += 1
    assert ((found - 200).abs() < 65).all()  # 4.8 standard deviations


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["head", "tail"]))
def test_known_in_pool_is_the_mask_of_the_facts_be_there_few_entities_or_many(seed, side):
    _, facts, batch, *_ = make_world(entities=15, relations=2, seed=seed)
    few = torch.randperm(15, generator=seeded(seed))[:1]
    with pytest.MonkeyPatch.context() as patch:
        for many, pool in ((2**18, random_pool(15, 9, CPU, seeded(seed))), (2**18, few), (0, few)):
            patch.setattr("mmkg.samplers.mmrns.pool.MANY", many)
            assert torch.equal(known_in_pool(batch, side, facts, pool), facts.mask(batch, side, pool))


def test_the_batch_answer_is_known_even_if_the_facts_miss_it():
    one = torch.tensor([0])
    facts = Facts(one, one, torch.tensor([3]), 6, 1)
    known = known_in_pool(Batch(one, one, torch.tensor([5])), "tail", facts, torch.tensor([1, 3, 5]))
    assert known.tolist() == [[False, True, True]]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 20), st.sampled_from(["head", "tail"]))
def test_known_answers(seed, limit, side):
    _, facts, batch, *_ = make_world(entities=12, relations=2, seed=seed)
    ids, mask = known_answers(batch, side, facts, limit, seeded(seed))
    assert ids.shape == mask.shape == (13, 1 + limit)
    assert torch.equal(ids[:, 0], batch.answer(side))
    assert mask[:, 0].all()
    rows, known = facts.known(batch, side)
    for b in range(13):
        everything = set(known[rows == b].tolist())
        others = ids[b, 1:][mask[b, 1:]].tolist()
        assert len(others) == len(set(others)) == min(limit, len(everything) - 1)
        assert set(others) <= everything - {int(ids[b, 0])}
        assert (ids[b][~mask[b]] == ids[b, 0]).all()


def test_which_answers_is_left_to_chance():
    zero = torch.zeros(30, dtype=torch.long)
    facts = Facts(zero, zero, torch.arange(30), 30, 1)
    batch, generator, found = Batch(zero[:1], zero[:1], zero[:1]), seeded(), torch.zeros(30)
    for _ in range(1000):
        found[known_answers(batch, "tail", facts, 5, generator)[0][0]] += 1
    assert found[0] == 1000
    assert ((found[1:] - 1000 * 5 / 29).abs() < 60).all()


def test_a_pool_out_of_very_many_is_drawn_as_evenly(monkeypatch):
    monkeypatch.setattr("mmkg.samplers.mmrns.pool.MANY", 0)
    generator, found = seeded(), torch.zeros(64)
    for _ in range(2000):
        pool = random_pool(64, 8, CPU, generator)
        assert pool.numel() == 8
        assert (pool.diff() > 0).all()
        found[pool] += 1
    assert counts_p_value(found, torch.ones(64)) > 1e-4
    assert int(random_pool(2**40, 500, CPU, generator).max()) > 2**38
