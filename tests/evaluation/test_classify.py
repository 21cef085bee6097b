"""Triple classification: thresholds from validation, false triples that are false."""

import itertools

import pytest
import torch

from mmkg.errors import NumericsError
from mmkg.evaluation import corrupt, fit_thresholds, triple_classification
from mmkg.evaluation.classify import _best_cut
from mmkg.graph import Facts

N, R = 30, 3


class Written(torch.nn.Module):
    """A model whose scores of triples are written down, ``[N, R, N]``."""

    def __init__(self, scores):
        super().__init__()
        self.scores = torch.nn.Parameter(scores)

    def forward(self, h, r, t):
        return self.scores[h, r, t]


def random_triples(count, seed=0, relations=R):
    g = torch.Generator().manual_seed(seed)
    triples = torch.stack([torch.randint(high, (count,), generator=g) for high in (N, relations, N)], dim=1)
    return torch.unique(triples, dim=0)


def test_the_cut_is_the_best_of_all():
    g = torch.Generator().manual_seed(0)
    for _ in range(200):
        count = int(torch.randint(1, 9, (), generator=g))
        scores = torch.randint(4, (count,), generator=g).double()  # ties
        truth = torch.rand(count, generator=g) < 0.5
        right = [int(((scores >= cut) == truth).sum()) for cut in (*scores.tolist(), 99.0)]
        assert int(((scores >= _best_cut(scores, truth)) == truth).sum()) == max(right)


def test_thresholds_are_each_relations_own():
    triples = torch.tensor([[i, r, i] for r in range(2) for i in range(10)])
    scores = torch.zeros(N, R, N)
    for r, height in ((0, 10.0), (1, -10.0)):
        scores[:, r] = height
        scores[range(10), r, range(10)] = height + 2
    false = triples.clone()
    false[:, 2] += 1
    found = fit_thresholds(Written(scores), triples, false, R)
    assert found.fitted.tolist() == [True, True, False]
    assert found.relation[:2].tolist() == [11, -9]  # midway
    assert found.relation[2] == found.overall
    assert found.classify(Written(scores), triples).all()
    assert not found.classify(Written(scores), false).any()


def test_false_triples_are_false_and_balanced():
    triples = random_triples(2000)
    facts = Facts(*triples.unbind(1), N, R)
    false = corrupt(triples, facts)
    assert not facts.contains(*false.unbind(1)).any()
    changed = false != triples
    assert (changed.sum(1) == 1).all()
    assert not changed[:, 1].any()
    assert 0.4 < changed[:, 0].double().mean() < 0.6
    assert torch.equal(corrupt(triples, facts), false)
    assert not torch.equal(corrupt(triples, facts, seed=1), false)


def test_where_a_side_is_full_the_other_is_corrupted():
    triples = torch.tensor([[0, 0, t] for t in range(N)])  # no tail is false
    false = corrupt(triples, Facts(*triples.unbind(1), N, R))
    assert (false[:, 0] != 0).all()
    assert torch.equal(false[:, 1:], triples[:, 1:])
    full = torch.tensor(list(itertools.product(range(2), (0,), range(2))))
    with pytest.raises(ValueError, match="every entity is a known answer on both sides"):
        corrupt(full, Facts(*full.unbind(1), 2, 1))
    with pytest.raises(ValueError, match="give all known facts"):
        corrupt(triples, Facts(*triples[1:].unbind(1), N, R))


def test_a_perfect_a_useless_and_a_wrong_model():
    triples = random_triples(1200)
    order = torch.randperm(len(triples), generator=torch.Generator().manual_seed(0))
    validation, test = triples[order[:500]], triples[order[500:]]
    facts = Facts(*triples.unbind(1), N, R)
    truth = torch.zeros(N, R, N)
    truth[triples[:, 0], triples[:, 1], triples[:, 2]] = 1
    told, table = triple_classification(Written(truth), validation, test, facts)
    assert (told["accuracy"], told["precision"], told["recall"], told["f1"]) == (1, 1, 1, 1)
    assert told["triples"] == 2 * len(test)
    assert (table.accuracy == 1).all()
    assert table["count"].sum() == told["triples"]
    noise = torch.randn(N, R, N, generator=torch.Generator().manual_seed(0))
    assert 0.4 < triple_classification(Written(noise), validation, test, facts)[0]["accuracy"] < 0.6
    # thresholds come from validation alone: what test looks like does not move them
    moved = triple_classification(Written(truth), validation, test[:5], facts)[1]
    assert moved.set_index("relation").threshold.isin(table.threshold).all()


def test_relations_without_validation_triples_are_counted():
    triples = random_triples(600)
    seen, new = triples[triples[:, 1] < 2], triples[triples[:, 1] == 2]
    facts = Facts(*triples.unbind(1), N, R)
    told, table = triple_classification(Written(torch.randn(N, R, N)), seen, new, facts)
    assert told["relations_without_own_threshold"] == 1
    assert table.own_threshold.tolist() == [False]


def test_numbers_that_are_none_and_splits_without_triples():
    triples = random_triples(50)
    facts = Facts(*triples.unbind(1), N, R)
    model = Written(torch.full((N, R, N), float("nan")))
    with pytest.raises(NumericsError, match="score nan for triple"):
        triple_classification(model, triples, triples, facts)
    with pytest.raises(ValueError, match="0 positives and 0 negatives"):
        triple_classification(model, triples[:0], triples, facts)
    with pytest.raises(ValueError, match="test split is empty"):
        triple_classification(Written(torch.zeros(N, R, N)), triples, triples[:0], facts)
