"""One list of negatives for the whole batch."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sampler_world import counts_p_value, make_world, seeded

from mmkg.graph.facts import Facts
from mmkg.samplers import SharedSampler
from mmkg.scorers import SCORERS
from mmkg.training import SelfAdversarial, TrainConfig, Trainer
from mmkg.types import SIDES, Batch


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 60), st.sampled_from(SIDES), st.data())
def test_one_list_of_which_each_row_takes_what_it_does_not_know(seed, entities, triples, side, data):
    generator = seeded(seed)
    h, t = torch.randint(entities, (2, triples), generator=generator)
    r = torch.randint(2, (triples,), generator=generator)
    known = data.draw(st.integers(0, triples))  # rows after these are of another split
    facts, batch = Facts(h[:known], r[:known], t[:known], entities, 2), Batch(h, r, t)
    size = data.draw(st.integers(1, entities))
    drawn = SharedSampler(entities, size).sample(batch, side, None, facts, generator)
    assert drawn.candidates is drawn.shared
    assert len(drawn.shared.unique()) == size
    assert torch.equal(drawn.ids, drawn.shared.expand(triples, size))
    barred = facts.mask(batch, side)
    barred[torch.arange(triples), batch.answer(side)] = True
    assert torch.equal(drawn.valid, ~barred[:, drawn.shared])
    # of u unknown entities a row has drawn k in an order: a chance of (u - k)! / u!
    unknown, found = (~barred).sum(1), drawn.valid.sum(1)
    chance = drawn.log_prob.masked_fill(~drawn.valid, 0.0).sum(1)
    for u, k, p in zip(unknown.tolist(), found.tolist(), chance.tolist(), strict=True):
        assert p == pytest.approx(math.lgamma(u - k + 1) - math.lgamma(u + 1), abs=1e-4)


@pytest.mark.parametrize("side", SIDES)
def test_every_unknown_entity_is_equally_likely_and_in_pairs_too(side):
    _, facts, batch, *_ = make_world(entities=9, triples=20, batch=6)
    sampler, generator = SharedSampler(9, 3), seeded(5)
    found, pair = torch.zeros(6, 9), torch.zeros(9, 9)
    for _ in range(6000):
        drawn = sampler.sample(batch, side, None, facts, generator)
        found[:, drawn.shared] += drawn.valid
        pair[drawn.shared[0], drawn.shared[1]] += 1
        pair[drawn.shared[0], drawn.shared[2]] += 1
    barred = facts.mask(batch, side)
    assert not found[barred].any()
    for row in range(6):  # draws of different rows are dependent: each row for itself
        assert counts_p_value(found[row], ~barred[row]) > 0.01
    # the smallest of a uniform set of 3 out of 9 is i in C(8 - i, 2) of C(9, 3) cases
    expected = torch.tensor([math.comb(8 - i, 2) for i in range(9)])
    assert counts_p_value(pair.sum(1) / 2, expected) > 0.01


@pytest.mark.parametrize("name", ["rotate", "pairre", "mure", "complex", "tucker"])
@pytest.mark.parametrize("side", SIDES)
def test_scored_as_one_table_or_each_row_by_itself(name, side):
    _, facts, batch, *_ = make_world()
    torch.manual_seed(0)
    model = SCORERS[name](40, 4, 5).double()
    drawn = SharedSampler(40, 11).sample(batch, side, None, facts, seeded())
    weight = torch.randn(len(batch), 11, dtype=torch.float64)
    results = []
    for candidates in (drawn.candidates, drawn.ids):
        scores = (
            model.score_tails(batch.head, batch.relation, candidates)
            if side == "tail"
            else model.score_heads(batch.relation, batch.tail, candidates)
        )
        results.append((scores, *torch.autograd.grad((scores * weight).sum(), list(model.parameters()))))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_rows_of_a_divided_batch_keep_the_list():
    _, facts, batch, *_ = make_world()
    drawn = SharedSampler(40, 11).sample(batch, "tail", None, facts, seeded())
    part = drawn.rows(slice(3, 7))
    assert torch.equal(part.candidates, drawn.shared)
    assert torch.equal(part.valid, drawn.valid[3:7])


def test_a_batch_in_parts_trains_as_a_whole_one(kin):
    losses = []
    for parts in (1, 3):
        torch.manual_seed(0)
        model = SCORERS["rotate"](60, 4, 6)
        config = TrainConfig(steps=4, batch_size=50, validate_every=0, learning_rate=0.01)
        trainer = Trainer(model, SharedSampler(60, 20), SelfAdversarial(), kin, config, progress=False)
        trainer.gradients.parts = parts
        trainer.fit()
        losses.append(trainer.losses)
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_a_list_longer_than_the_graph_is_refused():
    with pytest.raises(ValueError, match="num_negatives is 6, expected at most the 5 entities"):
        SharedSampler(5, 6)
