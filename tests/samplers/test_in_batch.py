"""Other rows' answers as negatives."""

import pytest
import torch
from sampler_world import counts_p_value, make_world, seeded

from mmkg.samplers import InBatchSampler
from mmkg.types import SIDES


@pytest.mark.parametrize("side", SIDES)
def test_all_others_once_where_there_is_room(side):
    _, facts, batch, *_ = make_world()
    drawn = InBatchSampler(40, 20).sample(batch, side, None, facts, seeded())
    answers, known = batch.answer(side), facts.mask(batch, side)
    for row in range(len(batch)):
        expected = sorted(int(a) for a in answers if not known[row, a])
        assert sorted(drawn.ids[row][drawn.valid[row]].tolist()) == expected
        n = len(expected)
        assert drawn.log_prob[row, :n].exp().allclose(1 / torch.arange(n, 0, -1))


@pytest.mark.parametrize("side", SIDES)
def test_law_is_uniform_over_rows(side):
    _, facts, batch, *_ = make_world(entities=12, triples=40, batch=10)
    answers, known = batch.answer(side), facts.mask(batch, side)
    found, sampler, generator = torch.zeros(10, 2, 12), InBatchSampler(12, 2), seeded(5)
    for _ in range(3000):
        drawn = sampler.sample(batch, side, None, facts, generator)
        for k in range(2):
            found[torch.arange(10), k, drawn.ids[:, k]] += drawn.valid[:, k]
    weight = torch.bincount(answers, minlength=12) * ~known  # [B, N], by how many rows they answer
    assert (weight.sum(1) >= 2).all()
    for k in range(2):
        assert counts_p_value(found[:, k], weight) > 0.01
