"""Processes that divide a pool by ranges of entities draw, and learn, what one would."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sampler_world import make_world, seeded

from mmkg.samplers import MMRNS
from mmkg.samplers.share import Share
from mmkg.types import SIDES

ROWS = 13


def build(world, **options):
    model, facts, _, image, text = world
    torch.manual_seed(11)
    defaults = {"num_negatives": 3, "pool_size": 20, "attention_dim": 4, "pool_ranges": True}
    widths = model.e.embedding_dim, model.r.embedding_dim
    return MMRNS(facts.num_nodes, *widths, image, text, **defaults | options).to(model.e.weight.dtype)


def sum_of(sampler, negatives):
    """A loss that all that a step computes goes into: of each row alone, and L_con."""
    scores = negatives.embeddings.square().sum(-1)  # [B, K]
    return scores.mean(), sampler.loss(negatives, scores, scores[:, 0])


class Together:
    """Processes one after the other in one graph: first each computes its columns, then each gets its rows."""

    def __init__(self, sampler, world, side, rows):
        self.sampler, self.world, self.side, self.rows, self.columns = sampler, world, side, rows, {}
        for number in range(len(rows)):
            self.sample(number, self.keep)

    def keep(self, columns, rows, widths):
        number = len(self.columns)
        assert columns.shape[1:] == (sum(rows), widths[number])
        self.columns[number] = columns
        return columns.new_zeros(len(columns), rows[number], sum(widths))

    def give(self, number):
        def trade(columns, rows, widths):
            start = sum(rows[:number])
            parts = [self.columns[i][:, start : start + rows[number]] for i in range(len(rows))]
            return torch.cat(parts, dim=2)  # [m, r, P]

        return trade

    def sample(self, number, trade):
        model, facts, batch, *_ = self.world
        share = Share(self.rows, number, trade)
        return self.sampler.sample(batch, self.side, model, facts, seeded(3), 5, rows=share)

    def all(self):
        return [self.sample(number, self.give(number)) for number in range(len(self.rows))]


def check(count, side, options):
    world = make_world()
    model, facts, batch, *_ = world
    sampler = build(world, **options)
    one = sampler.sample(batch, side, model, facts, seeded(3), 5)
    parameters = (*sampler.parameters(), *model.parameters())
    parts = sum_of(sampler, one)
    expected = torch.autograd.grad(sum(parts), parameters, allow_unused=True)
    rows = [slice(ROWS * i // count, ROWS * (i + 1) // count) for i in range(count)]
    together = Together(sampler, world, side, rows)
    assert len(together.columns) == count  # each did its range
    total = [0.0, 0.0]
    for where, mine in zip(rows, together.all(), strict=True):
        assert torch.equal(mine.ids, one.ids[where])
        assert torch.equal(mine.valid, one.valid[where])
        torch.testing.assert_close(mine.log_prob, one.log_prob[where])
        share = (where.stop - where.start) / ROWS
        total = [so_far + share * part for so_far, part in zip(total, sum_of(sampler, mine), strict=True)]
    torch.testing.assert_close(total, list(parts))
    found = torch.autograd.grad(sum(total), parameters, allow_unused=True)
    for mine, whole in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, whole)


@pytest.mark.parametrize(
    "options",
    [
        {"pool": "typed"},
        {"pool_size": "all", "chunk_size": 7},
        {"missing": "zero", "gate_layers": 2, "static_shapes": True},
        {"contrast_positives": "pool", "use_structure": False},
        {"relaxation": "shared", "missing": "naive"},
    ],
    ids=str,
)
@pytest.mark.parametrize("side", SIDES)
def test_shares_of_a_pool_are_the_whole(options, side):
    check(3, side, options)


@settings(max_examples=15, deadline=None)
@given(count=st.integers(1, 6), size=st.integers(6, 40))
def test_ranges_may_be_unequal(count, size):
    check(count, "tail", {"pool_size": size})


def test_a_pool_of_fewer_than_processes_is_not_divided():
    world = make_world()
    model, facts, batch, *_ = world
    sampler = build(world, num_negatives=2, pool_size=3)
    one = sampler.sample(batch, "tail", model, facts, seeded(3))

    def refuse(*_):
        raise AssertionError("nothing is exchanged here")

    rows = [slice(ROWS * i // 4, ROWS * (i + 1) // 4) for i in range(4)]
    for number, where in enumerate(rows):
        share = Share(rows, number, refuse)
        mine = sampler.sample(batch, "tail", model, facts, seeded(3), rows=share)
        assert torch.equal(mine.ids, one.ids[where])


@given(size=st.integers(0, 50), count=st.integers(1, 7))
def test_ranges_cover_a_pool_once(size, count):
    share = Share([slice(0, 1)] * count, 0, lambda *_: None)
    covered = [i for part in share.ranges(size) for i in range(part.start, part.stop)]
    assert covered == list(range(size))
    assert share.divides(size) == all(part.stop > part.start for part in share.ranges(size))
