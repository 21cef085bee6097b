"""Controls: computed by hand on a small graph, and of use in a ranking."""

import pytest
import torch

from mmkg.evaluation import Chance, NearestNeighbour, RelationFrequency, RelationMean, rank
from mmkg.graph import Facts

N, R = 6, 3
TRIPLES = torch.tensor([[0, 0, 3], [1, 0, 4], [1, 0, 3], [2, 1, 5]])
FACTS = Facts(*TRIPLES.unbind(1), N, R)
VECTORS = torch.tensor([[1.0, 0.1], [0.0, 2.0], [0.9, 0.2], [3.0, 4.0], [1.0, 0.0], [0.0, 0.0]])
UNIT = VECTORS.double() / VECTORS.double().norm(dim=1, keepdim=True).clamp(min=1e-12)


def ids(*numbers):
    return torch.tensor(numbers)


def test_frequency_counts_answers():
    scores = RelationFrequency(FACTS).score_tails(ids(5, 5), ids(0, 1))
    assert scores.tolist() == [[0, 0, 0, 2, 1, 0], [0, 0, 0, 0, 0, 1]]
    assert RelationFrequency(FACTS).score_heads(ids(0), ids(5)).tolist() == [[1, 2, 0, 0, 0, 0]]


def test_mean_of_known_answers():
    scores = RelationMean(FACTS, VECTORS).score_tails(ids(2, 0), ids(0, 0))
    expected = UNIT @ ((UNIT[3] + UNIT[4]) / 2)  # each answer once
    torch.testing.assert_close(scores, expected.expand(2, -1))
    heads = RelationMean(FACTS, VECTORS).score_heads(ids(0), ids(5))
    torch.testing.assert_close(heads[0], UNIT @ ((UNIT[0] + UNIT[1]) / 2))


def test_nearest_neighbour_answers_as_the_most_similar_entity():
    control = NearestNeighbour(FACTS, VECTORS)
    scores = control.score_tails(ids(2), ids(0))[0]  # 2 is most like 0, which has 3
    torch.testing.assert_close(scores, UNIT @ UNIT[3])
    own = control.score_tails(ids(1), ids(0))[0]  # 1 has answers of its own: 3 and 4
    torch.testing.assert_close(own, (UNIT @ UNIT[[3, 4]].T).amax(1))
    assert control.score_heads(ids(1), ids(5))[0, 2] == 1.0  # known, though 5 has no vector


def test_a_relation_in_no_fact_says_nothing():
    for control in (NearestNeighbour(FACTS, VECTORS), RelationMean(FACTS, VECTORS), RelationFrequency(FACTS)):
        assert not control.score_tails(ids(0), ids(2)).any()


def test_chance_is_chance_and_has_a_seed():
    questions = torch.randint(0, N, (400, 3), generator=torch.Generator().manual_seed(0)) % torch.tensor([N, R, N])
    mean = rank(Chance(FACTS, 1), questions, Facts(*questions[:0].unbind(1), N, R)).realistic.mean()
    assert abs(float(mean) - (N + 1) / 2) < 0.2
    first, again, other = (Chance(FACTS, seed).score_tails(ids(0), ids(0)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_vectors_of_another_graph():
    with pytest.raises(ValueError, match="6 entities"):
        RelationMean(FACTS, VECTORS[:3])
    with pytest.raises(ValueError, match="NaN"):
        NearestNeighbour(FACTS, VECTORS * torch.nan)


def test_candidates_are_columns():
    control = RelationFrequency(FACTS)
    assert control.score_tails(ids(5), ids(0), ids(3, 0)).tolist() == [[2, 0]]
    assert control.score_heads(ids(0), ids(5), ids(1)).tolist() == [[2]]
