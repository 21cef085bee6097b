"""Controls: computed by hand on a small graph, and of use in a ranking."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mmkg.evaluation import (
    Chance,
    NearestNeighbour,
    RelationFrequency,
    RelationMean,
    controls,
    evaluate,
    rank,
    top_k,
)
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


def test_facts_follow_the_questions(monkeypatch):
    asked = []
    monkeypatch.setattr(Facts, "to", lambda facts, device: asked.append(device) or facts)
    control = RelationFrequency(FACTS)
    control.score_tails(ids(5), ids(0))
    control.score_heads(ids(0), ids(5))
    assert asked == [torch.device("cpu")] * 2


def test_controls_are_evaluated_and_asked_as_scorers_are(kin):
    train = Facts.from_data(kin)
    found = evaluate(RelationFrequency(train), kin, "val")
    triples = torch.stack([kin.edge_index[0], kin.edge_type, kin.edge_index[1]], dim=1)[kin.val_mask]
    expected = rank(RelationFrequency(train), triples, Facts.from_data(kin, ("train", "val")))
    assert torch.equal(found.ranks.pessimistic, expected.pessimistic)
    # 0's own answer to relation 0 is left out; of all others, each of which answers once, the first
    assert top_k(RelationFrequency(train), 0, 0, "tail", 1, train).scores.tolist() == [1.0]


def test_mean_of_known_answers():
    scores = RelationMean(FACTS, VECTORS).score_tails(ids(2, 0), ids(0, 0))
    expected = UNIT @ ((UNIT[3] + UNIT[4]) / 2)  # each answer once
    torch.testing.assert_close(scores, expected.expand(2, -1))
    heads = RelationMean(FACTS, VECTORS).score_heads(ids(0), ids(5))
    torch.testing.assert_close(heads[0], UNIT @ ((UNIT[0] + UNIT[1]) / 2))


def test_nearest_neighbour_answers_as_the_most_similar_entity():
    control = NearestNeighbour(FACTS, VECTORS)
    scores = control.score_tails(ids(2), ids(0))[0]  # 2 is most like 0, which has 3
    torch.testing.assert_close(scores.double(), UNIT @ UNIT[3])
    own = control.score_tails(ids(1), ids(0))[0]  # 1 has answers of its own: 3 and 4
    torch.testing.assert_close(own.double(), (UNIT @ UNIT[[3, 4]].T).amax(1))
    assert control.score_heads(ids(1), ids(5))[0, 2] == 1.0  # known, though 5 has no vector


def plainly(facts, vectors, anchor, relation, side):
    """What the nearest neighbour says of one question, word for word as it is defined, in float64."""
    x = F.normalize(vectors.double(), dim=1)
    head, of, tail = facts.triples()
    here, there = (head, tail) if side == "tail" else (tail, head)
    known = sorted(set(here[of == relation].tolist()))
    scores = [0.0] * len(x)
    if known:
        like = [2.0 if e == anchor else float(x[anchor] @ x[e]) for e in known]
        nearest = known[like.index(max(like))]
        answers = set(there[(of == relation) & (here == nearest)].tolist())
        scores = [1.0 if c in answers else max(float(x[c] @ x[t]) for t in answers) for c in range(len(x))]
    return torch.tensor(scores, dtype=torch.float64)


@pytest.mark.parametrize("memory_mb", [2048.0, 0.0], ids=["all cosines kept", "none kept"])
def test_many_questions_at_once_are_answered_as_one_by_one(monkeypatch, memory_mb):
    monkeypatch.setattr(controls, "COLUMNS_AT_ONCE", 5)

    @settings(max_examples=40, deadline=None)
    @given(st.integers(2, 12), st.integers(1, 3), st.integers(1, 25), st.integers(0, 9999))
    def check(nodes, relations, edges, seed):
        g = torch.Generator().manual_seed(seed)
        sizes = torch.tensor([nodes, relations, nodes])
        triples = (torch.rand(edges, 3, generator=g) * sizes).long()
        # whole numbers whose cosines are exact: twins, opposites and entities without a vector, and many ties
        axis = torch.randint(0, 3, (nodes,), generator=g)
        vectors = F.one_hot(axis, 3) * torch.randint(-1, 2, (nodes, 1), generator=g).float()
        facts = Facts(*triples.unbind(1), nodes, relations)
        control = NearestNeighbour(facts, vectors, memory_mb)
        anchor, relation = (torch.rand(2, 9, generator=g) * sizes[:2, None]).long()
        for side, scores in (
            ("tail", control.score_tails(anchor, relation)),
            ("head", control.score_heads(relation, anchor)),
        ):
            plain = [plainly(facts, vectors, *q, side) for q in zip(anchor.tolist(), relation.tolist(), strict=True)]
            torch.testing.assert_close(scores.double(), torch.stack(plain))

    check()


@pytest.mark.parametrize("memory_mb", [2048.0, 0.0], ids=["all cosines kept", "none kept"])
def test_ranks_are_those_of_the_plain_form(memory_mb):
    g = torch.Generator().manual_seed(0)
    triples = (torch.rand(300, 3, generator=g) * torch.tensor([40, 4, 40])).long()
    vectors = torch.randn(40, 16, generator=g)
    vectors[30:] = vectors[:10]  # twins, which must tie
    vectors[20] = 0
    facts, everything = Facts(*triples[:200].unbind(1), 40, 4), Facts(*triples.unbind(1), 40, 4)

    class Plain(controls.Control):
        def answers(self, batch, side):
            asked = zip(batch.anchor(side).tolist(), batch.relation.tolist(), strict=True)
            # equal in truth but for rounding
            return torch.stack([plainly(facts, vectors, *q, side) for q in asked]).round(decimals=9)

    ours = rank(NearestNeighbour(facts, vectors, memory_mb), triples[200:], everything)
    plain = rank(Plain(facts), triples[200:], everything)
    assert torch.equal(ours.optimistic, plain.optimistic)
    assert torch.equal(ours.pessimistic, plain.pessimistic)
    assert (ours.optimistic < ours.pessimistic).any()


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
