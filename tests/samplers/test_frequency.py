"""Negatives by popularity, exactly."""

import pytest
import torch
from sampler_world import law_p_value, make_world, seeded

from mmkg.samplers import FrequencySampler
from mmkg.types import SIDES, Batch


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("options", [{}, {"count": "same", "power": 1.0}, {"power": 2.0, "smoothing": 0.5}])
def test_law_is_popularity_among_the_unknown(side, options):
    _, facts, batch, *_ = make_world(entities=25, triples=60)
    sampler = FrequencySampler(25, 50_000, **options)
    one = Batch(batch.head[:2], batch.relation[:2], batch.tail[:2])
    drawn = sampler.sample(one, side, None, facts, seeded(7))
    counts = torch.zeros(25)
    for h, _, t in zip(*facts.triples(), strict=True):
        counts[h] += options.get("count") != "same" or side == "head"
        counts[t] += options.get("count") != "same" or side == "tail"
    weight = (counts + options.get("smoothing", 0.0)) ** options.get("power", 0.75)
    for row in range(2):
        own = weight * ~facts.mask(one, side)[row]
        assert law_p_value(drawn.ids[row], own) > 0.01
        assert torch.allclose(drawn.log_prob[row].exp(), (own / own.sum())[drawn.ids[row]], rtol=1e-5)


def test_power_zero_is_uniform():
    _, facts, batch, *_ = make_world(entities=25, triples=30)
    drawn = FrequencySampler(25, 20_000, power=0.0).sample(batch, "tail", None, facts, seeded(2))
    assert law_p_value(drawn.ids[0], (~facts.mask(batch, "tail")[0]).double()) > 0.01


def test_other_facts_give_other_weights():
    sampler = FrequencySampler(25, 20_000)
    for seed in (0, 1):
        _, facts, batch, *_ = make_world(entities=25, triples=60, seed=seed)
        weight = sampler.weights("tail", facts) * ~facts.mask(batch, "tail")[0]
        assert law_p_value(sampler.sample(batch, "tail", None, facts, seeded(3)).ids[0], weight) > 0.01


def test_bad_arguments():
    with pytest.raises(ValueError, match="power is -1"):
        FrequencySampler(5, 2, power=-1)
    with pytest.raises(ValueError, match="smoothing nan"):
        FrequencySampler(5, 2, smoothing=float("nan"))
    with pytest.raises(ValueError, match="count is 'tails'"):
        FrequencySampler(5, 2, count="tails")
    assert repr(FrequencySampler(5, 2)).endswith("power=0.75, count=both, smoothing=0.0)")
