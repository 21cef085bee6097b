"""Metrics on ranks that can be worked out by hand."""

import itertools
import math

import numpy as np
import pytest
import torch

from mmkg.evaluation import adjusted_metrics, all_metrics, breakdown, groups_of, metrics
from mmkg.types import Ranks


@pytest.fixture
def ranks():
    return Ranks(
        optimistic=torch.tensor([1, 2, 1, 11]),
        pessimistic=torch.tensor([1, 4, 1, 11]),
        candidates=torch.tensor([21, 21, 21, 21]),
        side=torch.tensor([0, 0, 1, 1]),
        triple=torch.tensor([0, 1, 0, 1]),
    )


def test_metrics_by_hand(ranks):
    found = metrics(ranks)
    assert found["mrr"] == pytest.approx((1 + 1 / 3 + 1 + 1 / 11) / 4)
    assert found["mr"] == pytest.approx((1 + 3 + 1 + 11) / 4)
    assert (found["hits@1"], found["hits@3"], found["hits@10"]) == (0.5, 0.75, 0.75)
    assert found["amri"] == pytest.approx(1 - 3 / 10)


def test_every_tie_rule_is_reported(ranks):
    found = all_metrics(ranks)
    assert set(found) == {"realistic", "optimistic", "pessimistic"}
    assert found["optimistic"]["mr"] == 3.75
    assert found["pessimistic"]["mr"] == 4.25
    with pytest.raises(ValueError, match="tie rule 'lucky'"):
        metrics(ranks, "lucky")


def test_breakdown_partitions_the_ranks(ranks):
    triples = torch.tensor([[0, 1, 2], [3, 0, 4]])
    groups = groups_of(
        ranks, triples, category=["1-N", "1-1"], present={"image": torch.tensor([True, False, False, True, True])}
    )
    table = breakdown(ranks, groups)
    side = table[table.grouping == "side"].set_index("label")
    assert side.loc["tail", "mr"] == 6
    assert side.loc["head", "mr"] == 2
    image = table[table.grouping == "answer has image"].set_index("label")
    assert image["count"].to_dict() == {"no": 1, "yes": 3}  # answers: heads 0, 3, tails 2, 4
    for _, part in table.groupby("grouping"):
        assert part["count"].sum() == len(ranks)
        assert (part["mr"] * part["count"]).sum() == pytest.approx(16)


def test_groups_by_pattern_and_degree(ranks):
    triples = torch.tensor([[0, 1, 2], [3, 0, 4]])
    groups = groups_of(
        ranks,
        triples,
        category=["1-N", "1-1"],
        pattern=["composed", "symmetric"],
        degree=torch.tensor([0, 1, 3, 16, 31]),
    )
    assert groups["pattern"] == ["symmetric", "composed"] * 2
    assert groups["answer degree"] == ["0", "16-31", "2-3", "16-31"]  # answers: heads 0, 3, tails 2, 4
    assert groups["category, side"] == ["1-1, head", "1-N, head", "1-1, tail", "1-N, tail"]
    table = breakdown(ranks, groups)
    assert table[table.grouping == "answer degree"].label.tolist() == ["0", "2-3", "16-31"]
    assert table[table.grouping == "answer degree"]["count"].tolist() == [1, 1, 2]


def single(r, n):
    """Ranks of one side without ties."""
    r, n = torch.as_tensor(r), torch.as_tensor(n)
    return Ranks(r, r, n, torch.ones_like(r), torch.arange(len(r)))


def test_chance_is_what_all_possible_ranks_come_to():
    """Expectation and variance against the list of everything that can happen to three questions."""
    sizes = [2, 3, 5]
    outcomes = [np.array(x) for x in itertools.product(*(range(1, n + 1) for n in sizes))]
    found = adjusted_metrics(single([1, 2, 2], sizes), at=(1, 3))
    means = {
        "mr": [r.mean() for r in outcomes],
        "mrr": [(1 / r).mean() for r in outcomes],
        "hits@1": [(r <= 1).mean() for r in outcomes],
        "hits@3": [(r <= 3).mean() for r in outcomes],
    }
    here = {"mr": 5 / 3, "mrr": 2 / 3, "hits@1": 1 / 3, "hits@3": 1.0}
    keys = {"mr": "amri", "mrr": "amrr", "hits@1": "ahits@1", "hits@3": "ahits@3"}
    for name, values in means.items():
        expected, spread = np.mean(values), np.std(values)
        z = (here[name] - expected) / spread
        assert found[f"z_{name}"] == pytest.approx(-z if name == "mr" else z)
        assert found[keys[name]] == pytest.approx((here[name] - expected) / (1 - expected))
    assert found["amr"] == pytest.approx(here["mr"] / np.mean(means["mr"]))
    assert found["gmr"] == pytest.approx(4 ** (1 / 3))
    assert found["hmr"] == pytest.approx(1.5)


def test_perfect_ranks_random_ranks_and_nothing_to_choose(ranks):
    best = adjusted_metrics(single([1] * 50, [100] * 50))
    assert (best["amri"], best["amrr"], best["ahits@10"]) == (1, 1, 1)
    assert best["z_mr"] > 5
    n = torch.randint(50, 150, (20000,), generator=torch.Generator().manual_seed(0))
    random = (torch.rand(20000, generator=torch.Generator().manual_seed(1)) * n).long() + 1
    chance = adjusted_metrics(single(random, n))
    assert abs(chance["amri"]) < 0.02
    assert all(abs(chance[f"z_{x}"]) < 4 for x in ("mr", "mrr", "hits@1", "hits@10"))
    assert chance["amr"] == pytest.approx(1, abs=0.02)
    alone = adjusted_metrics(single([1, 1], [1, 1]))
    assert math.isnan(alone["amri"])
    assert math.isnan(alone["z_mrr"])
    assert adjusted_metrics(ranks)["amri"] == pytest.approx(metrics(ranks)["amri"])
    with pytest.raises(ValueError, match="no ranks"):
        adjusted_metrics(ranks.select(torch.zeros(4, dtype=torch.bool)))


def test_no_ranks_and_labels_of_another_length(ranks):
    with pytest.raises(ValueError, match="no ranks"):
        metrics(ranks.select(torch.zeros(4, dtype=torch.bool)))
    with pytest.raises(ValueError, match="3 labels for 4 ranks"):
        breakdown(ranks, {"side": ["a", "b", "c"]})
