"""Exact draws from weighted sets, against enumeration."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sampler_world import law_p_value, make_world, seeded

from mmkg.samplers.weighted_sets import TOTAL, WeightedSets, draw_where, integer_weights, taboo
from mmkg.types import SIDES, Batch


def random_sets(generator, groups, nodes):
    weight = torch.randint(0, 5, (groups, nodes), generator=generator)  # [G, N]
    member = torch.rand(groups, nodes, generator=generator) < 0.7
    group, ids = member.nonzero().T
    order = torch.randperm(len(ids), generator=generator)
    group, ids = group[order], ids[order]
    return WeightedSets(group, ids, groups, nodes, weight[group, ids]), weight * member


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 9), st.integers(1, 6), st.floats(0, 1))
def test_no_taboo_and_nothing_from_outside(seed, groups, nodes, rows, share):
    generator = seeded(seed)
    sets, weight = random_sets(generator, groups, nodes)
    group = torch.randint(groups, (rows,), generator=generator)
    forbidden = torch.rand(rows, nodes, generator=generator) < share
    drawn = sets.draw(group, tuple(forbidden.nonzero().T), 12, generator)
    left = weight[group] * ~forbidden  # [B, N]
    assert torch.equal(drawn.left, left.sum(1))
    assert ((drawn.ids >= 0) & (drawn.ids < nodes)).all()
    share = left.gather(1, drawn.ids) / left.sum(1, keepdim=True)
    valid = drawn.valid()
    assert (left.gather(1, drawn.ids)[valid] > 0).all()
    assert torch.allclose(drawn.log_prob[valid], share[valid].log(), atol=1e-6)
    assert (drawn.log_prob[~valid] == 0).all()


def test_every_number_finds_its_entity(monkeypatch):
    # the map from numbers below the weight that is left to entities, in full: each entity is met as often as it weighs
    sets, weight = random_sets(seeded(4), 3, 8)
    forbidden = torch.rand(3, 8, generator=seeded(5)) < 0.4
    left = weight * ~forbidden
    most = int(left.sum(1).max())
    steps = (torch.arange(most)[None] + 0.5) / left.sum(1, keepdim=True)  # [3, most]
    monkeypatch.setattr(torch, "rand", lambda *a, **k: steps.double())
    drawn = sets.draw(torch.arange(3), tuple(forbidden.nonzero().T), most)
    for row in range(3):
        found = torch.bincount(drawn.ids[row, : int(left[row].sum())], minlength=8)
        assert torch.equal(found, left[row])


def test_law_over_large_weights():
    generator = seeded(1)
    weight = torch.rand(30, generator=generator) ** 4
    weight[3] = 0
    sets = WeightedSets(torch.zeros(30, dtype=torch.long), torch.arange(30), 1, 30, integer_weights(weight))
    gone = torch.tensor([0, 7, 8, 29])
    drawn = sets.draw(torch.zeros(1, dtype=torch.long), (torch.zeros_like(gone), gone), 200_000, generator)
    weight[gone] = 0
    assert law_p_value(drawn.ids[0], weight) > 0.01


def test_integer_weights_keep_proportions_and_the_small():
    weight = torch.tensor([1e-30, 0.0, 1.0, 3.0])
    scaled = integer_weights(weight)
    assert scaled.tolist()[:2] == [1, 0]
    assert scaled[3] / scaled[2] == pytest.approx(3)
    assert abs(int(scaled.sum()) - TOTAL) < 10
    assert integer_weights(torch.zeros(3)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("side", SIDES)
def test_taboo_is_what_is_known_and_the_own_answer(side):
    _, facts, batch, *_ = make_world(entities=9, triples=60)
    h, r, t = (torch.randint(n, (11,), generator=seeded(3)) for n in (9, 4, 9))
    for asked in (batch, Batch(h, r, t)):
        row, ids = taboo(asked, side, facts)
        dense = facts.mask(asked, side)
        dense[torch.arange(len(asked)), asked.answer(side)] = True
        assert torch.equal(torch.stack([row, ids], 1), dense.nonzero())


def test_uniform_over_a_mask():
    allowed = torch.tensor([[0, 1, 1, 0, 1], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]], dtype=torch.bool)
    drawn = draw_where(allowed, 30_000, seeded(3))
    assert law_p_value(drawn.ids[0], allowed[0]) > 0.01
    assert drawn.left.tolist() == [3, 0, 1]
    assert (drawn.ids[2] == 0).all()
    assert drawn.valid().all(1).tolist() == [True, False, True]
    assert drawn.log_prob[:, 0].exp().allclose(torch.tensor([1 / 3, 1.0, 1.0]))
    assert (drawn.ids < 5).all()


def test_no_members_at_all():
    none = torch.zeros(0, dtype=torch.long)
    drawn = WeightedSets(none, none, 2, 5).draw(torch.tensor([0, 1]), (none, none), 3)
    assert not drawn.valid().any()
    assert drawn.ids.shape == drawn.log_prob.shape == (2, 3)
