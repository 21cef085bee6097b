"""Negatives of a relation's own kind."""

import pytest
import torch
from sampler_world import law_p_value, make_world, seeded

from mmkg.graph.facts import Facts
from mmkg.samplers import TypedSampler
from mmkg.types import SIDES, Batch


@pytest.mark.parametrize("side", SIDES)
def test_law_is_uniform_over_the_relations_own_unknown(side):
    _, facts, batch, *_ = make_world(entities=25, triples=60)
    drawn = TypedSampler(25, 20_000).sample(batch, side, None, facts, seeded(6))
    h, r, t = facts.triples()
    known, tested = facts.mask(batch, side), 0
    for row in range(4):
        weight = torch.zeros(25)
        weight[(h if side == "head" else t)[r == batch.relation[row]]] = 1
        weight[known[row]] = 0
        assert weight.sum() > 1
        assert law_p_value(drawn.ids[row], weight) > 0.01
        assert drawn.log_prob[row].exp().allclose(1 / weight.sum())
        tested += 1
    assert tested == 4


def one_left():
    """Relation 0 has two tails, both known of head 0 and one of head 1; relation 1 is known of everyone."""
    h = torch.tensor([0, 0, 1, 2, 2, 2, 2])
    r = torch.tensor([0, 0, 0, 1, 1, 1, 1])
    t = torch.tensor([1, 3, 3, 0, 1, 2, 3])
    return Facts(h, r, t, 4, 2), Batch(h[[0, 2, 3]], r[[0, 2, 3]], t[[0, 2, 3]])


def test_where_nobody_of_the_kind_is_left():
    facts, batch = one_left()
    strict = TypedSampler(4, 3000, fallback="none").sample(batch, "tail", None, facts, seeded())
    assert strict.valid.all(1).tolist() == [False, True, False]
    assert not strict.valid[[0, 2]].any()
    assert (strict.ids[1] == 1).all()
    kind = TypedSampler(4, 3000).sample(batch, "tail", None, facts, seeded())
    assert kind.valid.all(1).tolist() == [True, True, False]
    assert law_p_value(kind.ids[0], torch.tensor([1, 0, 1, 0])) > 0.01
    assert kind.log_prob[0].exp().allclose(torch.tensor(0.5))
    assert (kind.ids[1] == 1).all()
    assert (kind.log_prob[1] == 0).all()


def test_bad_arguments():
    with pytest.raises(ValueError, match="fallback is 'random'"):
        TypedSampler(5, 2, fallback="random")
    assert "fallback=uniform" in repr(TypedSampler(5, 2))
