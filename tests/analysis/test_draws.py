"""What MMRNS tells of its draws, against the formula written out."""

import pytest
import torch
from sampler_world import make_world, seeded

from mmkg.analysis.draws import log_without, tell
from mmkg.samplers import MMRNS, UniformSampler
from mmkg.samplers.mmrns.distribution import temperature


def drawn(pool=30, **options):
    model, facts, batch, image, text = make_world()
    model, image.values, text.values = model.float(), image.values.float(), text.values.float()
    torch.manual_seed(0)
    sampler = MMRNS(40, 6, 6, image, text, num_negatives=5, pool_size=pool, attention_dim=4, epsilon=0.3, **options)
    negatives = sampler.sample(batch, "tail", model, facts, seeded(1), step=9)
    return sampler, negatives


def softmax_by_hand(sampler, seen, leave_out):
    """Probabilities among allowed candidates without a modality, row by row in plain numbers."""
    epsilon = temperature(0.3, 9)
    rows = torch.zeros_like(seen.log_p)
    for b in range(rows.shape[0]):
        total = torch.zeros(rows.shape[1])
        names = [m for m in seen.similarities if m != leave_out]
        shares = torch.stack([seen.shared[m][b] for m in names])
        for m in names:
            has = seen.shared[m][b]
            if has.any():
                e = torch.exp(seen.similarities[m][b].detach() / epsilon) * has
                total += e / e.sum() * has.sum() / len(has) / shares.sum(0).clamp(min=1)
        total = torch.where(shares.any(0), total, 1 / len(total))
        total = total * seen.allowed[b]
        rows[b] = total / total.sum()
    return rows


@pytest.mark.parametrize("name", ["image", "text", "structure"])
def test_without_a_modality_the_others_are_mixed(name):
    sampler, negatives = drawn()
    told = tell(sampler, negatives, 9)
    expected = softmax_by_hand(sampler, negatives.cache, name).gather(1, negatives.cache.positions)
    torch.testing.assert_close(told.without[name], expected, rtol=1e-4, atol=1e-6)
    expected = softmax_by_hand(sampler, negatives.cache, None).gather(1, negatives.cache.positions)
    torch.testing.assert_close(told.probability, expected, rtol=1e-4, atol=1e-6)


def test_entropy_is_that_of_the_allowed():
    sampler, negatives = drawn()
    p = softmax_by_hand(sampler, negatives.cache, None)
    expected = -(p * p.clamp(min=1e-30).log()).sum(1)
    torch.testing.assert_close(tell(sampler, negatives, 9).entropy, expected, rtol=1e-4, atol=1e-5)


def test_other_entities_at_the_same_step():
    sampler, negatives = drawn()
    seen = negatives.cache
    ids = torch.arange(40).expand(len(negatives.ids), 40)
    told = tell(sampler, negatives, 9, ids)
    assert told.in_pool.sum(1).tolist() == [30] * len(ids)
    assert torch.equal(told.in_pool[0].nonzero().flatten(), seen.pool)
    assert (told.probability[~told.in_pool] == 0).all()
    assert told.similarity["structure"][~told.in_pool].isnan().all()
    torch.testing.assert_close(told.probability.sum(1), torch.ones(len(ids)))
    own = tell(sampler, negatives, 9)
    torch.testing.assert_close(told.probability.gather(1, negatives.ids), own.probability)


def test_typed_pools_leave_the_others_out():
    _, negatives = drawn_typed()
    seen = negatives.cache
    log_p = log_without(seen, "structure", 0.3, "corrected")
    assert torch.equal(log_p > -torch.inf, seen.log_p > -torch.inf)


def drawn_typed():
    model, facts, batch, image, text = make_world()
    model, image.values, text.values = model.float(), image.values.float(), text.values.float()
    sampler = MMRNS(40, 6, 6, image, text, num_negatives=5, pool="typed", pool_size="all", attention_dim=4)
    return sampler, sampler.sample(batch, "tail", model, facts, seeded(1), step=9)


def test_a_sampler_that_tells_less():
    model, facts, batch, _, _ = make_world()
    sampler = UniformSampler(40, 5)
    negatives = sampler.sample(batch, "head", model, facts, seeded())
    told = tell(sampler, negatives, 0)
    left = 40 - facts.mask(batch, "head").sum(1)
    torch.testing.assert_close(told.probability[:, 0], 1 / left.float())
    assert (told.similarity, told.without, told.in_pool, told.entropy) == ({}, {}, None, None)
    assert tell(sampler, negatives, 0, negatives.ids).probability.isnan().all()
    negatives.log_prob = None
    assert tell(sampler, negatives, 0).probability.isnan().all()


def test_a_sampler_that_describes_its_draws_is_listened_to():
    class Describing(UniformSampler):
        def describe(self, negatives):
            from mmkg.samplers import Explanation

            ones = torch.ones(negatives.ids.shape)
            return Explanation(negatives.ids, ones / 4, ones * torch.nan, ones / 2, ones / 3)

    model, facts, batch, _, _ = make_world()
    sampler = Describing(40, 5)
    told = tell(sampler, sampler.sample(batch, "head", model, facts, seeded()), 0)
    assert float(told.probability[0, 0]) == 0.25
    assert float(told.similarity["text"][0, 0]) == 0.5
