"""A split from a graph to a table: what is filtered, what is counted, what is left out."""

import json

import pytest
import torch
from torch_geometric.data import Data

from mmkg.errors import DataError
from mmkg.evaluation import all_metrics, evaluate, rank, unseen
from mmkg.graph import Facts
from mmkg.scorers import ComplEx


@pytest.fixture
def model(kin):
    torch.manual_seed(0)
    return ComplEx(kin.num_nodes, kin.num_relations, 5)


def test_each_split_is_filtered_with_what_it_may_know(kin, model):
    every = torch.stack([kin.edge_index[0], kin.edge_type, kin.edge_index[1]], dim=1)
    for split, known in (("train", ("train",)), ("val", ("train", "val")), ("test", ("train", "val", "test"))):
        triples = every[kin[f"{split}_mask"]]
        found = evaluate(model, kin, split, memory_mb=0.01)
        expected = rank(model, triples, Facts.from_data(kin, known))
        assert torch.equal(found.ranks.optimistic, expected.optimistic)
        assert torch.equal(found.triples, triples)
        summary = found.summary()
        assert summary["metrics"] == all_metrics(expected)
        assert (summary["triples"], summary["queries"]) == (len(triples), 2 * len(triples))
        assert (summary["unseen_triples"], summary["excluded_triples"]) == (0, 0)
        json.dumps(summary)


def test_test_triples_do_not_change_what_validation_says(kin, model):
    before = evaluate(model, kin, "val").ranks
    kin.edge_index[:, kin.test_mask] = kin.edge_index[:, kin.test_mask].flip(0)
    after = evaluate(model, kin, "val").ranks
    assert torch.equal(before.pessimistic, after.pessimistic)
    assert torch.equal(before.candidates, after.candidates)


def test_groups_are_a_partition(kin, model):
    present = {"image": torch.arange(60) % 3 == 0}
    pattern = ["inverse", "inverse", "symmetric", "symmetric"]
    found = evaluate(model, kin, "test", pattern=pattern, present=present)
    table = found.breakdown()
    asked_for = ["side", "category", "category, side", "pattern", "answer degree", "answer has image"]
    assert table.grouping.unique().tolist() == asked_for
    assert (table.groupby("grouping")["count"].sum() == len(found.ranks)).all()
    head = evaluate(model, kin, "test", sides=("head",))
    assert len(head.ranks) == 20
    assert set(head.groups["side"]) == {"head"}


def small():
    """Triples with an unseen entity (4), an unseen relation (1), both, and none."""
    triples = torch.tensor([[0, 0, 1], [1, 0, 2], [2, 0, 3], [0, 0, 4], [0, 1, 1], [4, 1, 0], [0, 0, 2]])
    data = Data(edge_index=triples[:, [0, 2]].T, edge_type=triples[:, 1], num_nodes=5)
    data.num_relations = 2
    number = torch.arange(7)
    data.train_mask, data.val_mask, data.test_mask = number < 3, number > 99, number >= 3
    return data, triples


def test_unseen_entities_and_relations_are_counted_and_can_be_left_out():
    data, triples = small()
    assert unseen(triples, triples[:3], 5, 2).tolist() == [False] * 3 + [True] * 3 + [False]
    torch.manual_seed(0)
    model = ComplEx(5, 2, 3)
    kept = evaluate(model, data, "test")
    assert (kept.unseen, kept.excluded, len(kept.ranks)) == (3, 0, 8)
    table = kept.breakdown()
    assert table[table.grouping == "triple"].set_index("label")["count"].to_dict() == {"seen": 2, "unseen": 6}
    left = evaluate(model, data, "test", exclude_unseen=True)
    assert (left.unseen, left.excluded, left.triples.tolist()) == (3, 3, [[0, 0, 2]])
    assert left.summary()["excluded_triples"] == 3
    # what was left out of the questions still filters
    assert torch.equal(left.ranks.candidates, kept.ranks.candidates[[3, 7]])


def test_nothing_to_rank_is_an_error():
    data, _ = small()
    model = ComplEx(5, 2, 3)
    with pytest.raises(DataError, match="the val split is empty"):
        evaluate(model, data, "val")
    with pytest.raises(DataError, match="split 'valid'"):
        evaluate(model, data, "valid")
    data.test_mask[6] = False
    with pytest.raises(DataError, match="each test triple holds something unseen"):
        evaluate(model, data, "test", exclude_unseen=True)
