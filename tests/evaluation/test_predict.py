"""Best answers and percentiles on a model whose scores are known."""

import pytest
import torch
from torch_geometric.nn import kge

from mmkg.errors import NumericsError
from mmkg.evaluation import compare, top_k, top_k_each, top_relations
from mmkg.graph import Facts
from mmkg.scorers import SCORERS, DistMult


@pytest.fixture
def model():
    model = DistMult(6, 1, 1)
    with torch.no_grad():
        model.node_emb.weight.copy_(torch.tensor([[1.0], [5.0], [3.0], [3.0], [2.0], [-1.0]]))
        model.rel_emb.weight.fill_(1.0)
    return model


@pytest.fixture
def facts():
    return Facts(torch.tensor([0]), torch.tensor([0]), torch.tensor([1]), 6, 1)


def test_known_answers_are_left_out_unless_asked_for(model, facts):
    new = top_k(model, 0, 0, "tail", 3, facts)
    assert new.ids.tolist() == [2, 3, 4]  # ties in the order of ids
    assert not new.known.any()
    every = top_k(model, 0, 0, "tail", 2, facts, include_known=True)
    assert every.ids.tolist() == [1, 2]
    assert every.known.tolist() == [True, False]
    assert top_k(model, 1, 0, "head", 99, facts).ids.tolist() == [1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="k is 0"):
        top_k(model, 0, 0, "tail", 0, facts)


@pytest.mark.parametrize("kind", [SCORERS["complex"], SCORERS["rotate"], kge.ComplEx])
def test_relations_between_two_entities(kind):
    torch.manual_seed(0)
    model, facts = kind(6, 5, 4), Facts(torch.tensor([0]), torch.tensor([3]), torch.tensor([1]), 6, 5)
    scores = torch.stack([model(torch.tensor([0]), torch.tensor([r]), torch.tensor([1]))[0] for r in range(5)])
    order = scores.argsort(descending=True).tolist()
    every = top_relations(model, 0, 1, 9, facts, include_known=True)
    assert every.ids.tolist() == order
    torch.testing.assert_close(every.scores, scores.detach()[order])
    assert every.known.tolist() == [r == 3 for r in order]
    new = top_relations(model, 0, 1, 2, facts)
    assert new.ids.tolist() == [r for r in order if r != 3][:2]
    with pytest.raises(ValueError, match="k is 0"):
        top_relations(model, 0, 1, 0, facts)
    with torch.no_grad():
        model.rel_emb.weight[2] = torch.nan
    with pytest.raises(NumericsError, match=r"\(head 0, relation 2, tail 1\) is nan"):
        top_relations(model, 0, 1, 1, facts)


def test_percentile_counts_ties_half(model, facts):
    found = compare(model, 0, 0, 2, facts)
    assert found["score"] == 3
    assert found["known"] is False
    assert found["percentile_tail"] == pytest.approx(100 * 3.5 / 4)  # 1, 2, -1 below and one tie among 0, 3, 4, 5
    assert compare(model, 0, 0, 1, facts)["known"] is True


def test_scores_that_are_no_numbers_are_no_answer(model, facts):
    with torch.no_grad():
        model.node_emb.weight[3] = float("nan")
    with pytest.raises(NumericsError, match="NaN"):
        top_k(model, 0, 0, "tail", 1, facts)


def test_many_questions_are_answered_as_one_by_one(model):
    torch.manual_seed(0)
    with torch.no_grad():
        model.node_emb.weight.copy_(torch.randint(-2, 3, (6, 1)))  # ties
    known = torch.randint(6, (2, 12))
    facts = Facts(known[0], torch.zeros(12, dtype=torch.long), known[1], 6, 1)
    anchors, relations = torch.arange(6), torch.zeros(6, dtype=torch.long)
    for side in ("head", "tail"):
        for include in (False, True):
            many = top_k_each(model, anchors, relations, side, 4, facts, include_known=include, memory_mb=1e-4)
            for anchor, found in zip(anchors.tolist(), many, strict=True):
                alone = top_k(model, anchor, 0, side, 4, facts, include_known=include)
                assert found.ids.tolist() == alone.ids.tolist()
                assert torch.equal(found.scores, alone.scores)
                assert torch.equal(found.known, alone.known)
    assert top_k_each(model, anchors[:0], relations[:0], "tail", 4, facts) == []


def test_where_all_is_known_no_answer_is_left(model):
    every = torch.arange(6)
    facts = Facts(torch.zeros(6, dtype=torch.long), torch.zeros(6, dtype=torch.long), every, 6, 1)
    assert top_k(model, 0, 0, "tail", 3, facts).ids.tolist() == []
    assert top_k(model, 0, 0, "tail", 3, facts, include_known=True).known.all()
    assert compare(model, 0, 0, 3, facts)["percentile_tail"] == 100
