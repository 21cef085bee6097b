"""Expected hardness and falseness at each temperature, against many draws; ε is never chosen by test."""

import math

import pandas as pd
import pytest
import torch
from census_world import Cached, mmrns

from mmkg.analysis import choose_epsilon, frontier
from mmkg.errors import DataError
from mmkg.evaluation import score_side
from mmkg.graph import Facts
from mmkg.scorers import RotatE
from mmkg.types import Batch


@pytest.fixture
def world(crowd):
    torch.manual_seed(1)
    model, sampler = RotatE(60, 4, 8), mmrns(crowd, pool_size="all", epsilon=0.3, epsilon_schedule=False)
    triples = torch.stack([crowd.edge_index[0], crowd.edge_type, crowd.edge_index[1]], dim=1)[crowd.train_mask]
    return crowd, model, sampler, triples[triples[:, 1] == 2][:12]


@pytest.mark.parametrize("pool", ["random", "typed"])
def test_expectations_are_those_of_many_draws(world, pool):
    data, model, sampler, triples = world
    sampler.pool = pool
    found = frontier(sampler, model, triples, data, epsilons=(0.3,), sides=("tail",), batch_size=5).iloc[0]
    train, val = Facts.from_data(data), Facts.from_data(data, ("val",))
    many = Batch(*triples.repeat(800, 1).unbind(1))
    with torch.no_grad():
        drawn = sampler.sample(many, "tail", model, train, torch.Generator().manual_seed(0), 3)
        first = drawn.ids[:, :1]
        gap = score_side(model, many, "tail", first) - score_side(model, many, "tail", many.tail[:, None])
    assert found.questions == 12
    assert found.above == pytest.approx(float((gap > 0).float().mean()), abs=0.02)
    assert found.gap == pytest.approx(float(gap.mean()), abs=0.02)
    assert found.false_at_least == pytest.approx(float(val.mask(many, "tail", first).float().mean()), abs=0.01)
    assert found.false_at_least > 0
    assert found.low <= found.false_at_least <= found.high
    assert found.entropy == pytest.approx(-float(drawn.log_prob[:, 0].mean()), abs=0.05)
    assert found.effective == pytest.approx(math.exp(found.entropy))


def test_a_high_temperature_is_uniform(world):
    data, model, sampler, triples = world
    found = frontier(sampler, model, triples, data, epsilons=(1e6, 0.01))
    known = torch.cat([Facts.from_data(data).count(Batch(*triples.unbind(1)), side) for side in ("head", "tail")])
    assert found.effective[0] == pytest.approx(math.exp(float((60 - known).log().mean())), rel=1e-3)
    assert found.effective[1] < found.effective[0] / 2


def test_splits_decide_what_is_false(world):
    data, model, sampler, triples = world
    val, test, both = (
        frontier(sampler, model, triples, data, epsilons=(1.0,), splits=splits)
        for splits in (("val",), ("test",), ("val", "test"))
    )
    assert both.false_at_least[0] == pytest.approx(val.false_at_least[0] + test.false_at_least[0])
    assert val.attrs["splits"] == ["val"]


def table(splits=("val",)):
    rows = {"epsilon": [0.1, 1.0, 10.0], "above": [0.9, 0.6, 0.4], "gap": [1.0, 0.5, 0.1]}
    found = pd.DataFrame(rows | {"false_at_least": [0.05, 0.02, 0.01]})
    found.attrs["splits"] = list(splits)
    return found


def test_the_hardest_that_is_true_seldom_enough():
    assert choose_epsilon(table(), 0.03) == 1.0
    assert choose_epsilon(table(), 0.5) == 0.1
    with pytest.raises(DataError, match=r"no temperature has 0.50% at most, the least is 1.00%"):
        choose_epsilon(table(), 0.005)


def test_nothing_is_chosen_by_test():
    with pytest.raises(DataError, match=r"looked at test facts. Cure: choose by one with splits"):
        choose_epsilon(table(("val", "test")), 0.5)


def test_asking_leaves_the_model_as_it_was(world):
    data, model, sampler, triples = world
    model.train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    frontier(sampler, model, triples, data, epsilons=(1.0,))
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_bad_input_is_told(world):
    data, model, sampler, triples = world
    with pytest.raises(DataError, match="0 triples"):
        frontier(sampler, model, triples[:0], data)
    with pytest.raises(DataError, match=r"temperatures \[0.0\]"):
        frontier(sampler, model, triples, data, epsilons=(0.0,))
    with pytest.raises(DataError, match=r"splits \['train'\]. Cure: choose out of val and test"):
        frontier(sampler, model, triples, data, splits=("train",))
    with pytest.raises(DataError, match="Cached has no temperature"):
        frontier(Cached(60, 4), model, triples, data)
    data.edge_index = torch.cartesian_prod(torch.arange(60), torch.arange(60)).T
    data.edge_type = torch.full((3600,), 2)
    data.train_mask = torch.ones(3600, dtype=torch.bool)
    data.val_mask = data.test_mask = ~data.train_mask
    with pytest.raises(DataError, match="no question has a candidate"):
        frontier(sampler, model, triples, data)
