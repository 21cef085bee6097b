"""Metrics on ranks that can be worked out by hand."""

import pytest
import torch

from mmkg.evaluation import all_metrics, breakdown, groups_of, metrics
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


def test_no_ranks_and_labels_of_another_length(ranks):
    with pytest.raises(ValueError, match="no ranks"):
        metrics(ranks.select(torch.zeros(4, dtype=torch.bool)))
    with pytest.raises(ValueError, match="3 labels for 4 ranks"):
        breakdown(ranks, {"side": ["a", "b", "c"]})
