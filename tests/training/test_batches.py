"""The order of triples: every triple once an epoch, questions together where asked, and a place to come back to."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmkg.training import Batches, subsampling_weights


def test_subsampling_weights_start_counting_at_four():
    triples = torch.tensor([[0, 0, 1], [0, 0, 2], [3, 1, 4]])
    found = subsampling_weights(triples)
    expected = [(5 + 4) ** -0.5, (5 + 4) ** -0.5, (4 + 4) ** -0.5]
    assert found.tolist() == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(
    questions=st.lists(st.integers(0, 5), min_size=1, max_size=40),
    together=st.integers(1, 9),
    batch=st.integers(1, 7),
    seed=st.integers(0, 3),
)
def test_each_epoch_holds_each_triple_once(questions, together, batch, seed):
    triples = torch.arange(3 * len(questions)).reshape(-1, 3)
    batches = Batches(triples, batch, seed, question=torch.tensor(questions), together=together)
    for _ in range(2):
        seen = [batches.next() for _ in range(-(-len(triples) // batch))]
        assert sorted(torch.cat([b.head for b in seen]).tolist()) == triples[:, 0].tolist()
        assert [len(b) for b in seen[:-1]] == [batch] * (len(seen) - 1)


def test_triples_of_a_question_stay_together_in_groups_of_that_size_and_no_larger():
    question = torch.arange(10).repeat_interleave(7)  # 70 triples, 7 a question: groups of 3, 3 and 1
    triples = torch.stack([torch.arange(70), question, question], dim=1)
    batches = Batches(triples, 70, 0, question=question, together=3)
    first, second = batches.next(), batches.next()
    for batch in (first, second):
        starts = 1 + int((batch.relation.diff() != 0).sum())
        assert starts <= 30  # single triples at random would begin a new question about 63 times
        runs = torch.unique_consecutive(batch.relation, return_counts=True)[1]
        assert int(runs.max()) <= 9  # groups of one question may meet by chance, but are not put together
        assert int((runs > 3).sum()) <= 4
    assert first.head.tolist() != second.head.tolist()
    inside = [sorted(first.head[first.relation == q].tolist()) for q in range(10)]
    assert inside == [list(range(7 * q, 7 * q + 7)) for q in range(10)]


@pytest.mark.parametrize("together", [1, 4])
def test_a_place_can_be_taken_up_again(together):
    triples = torch.arange(60).reshape(20, 3)
    question = torch.arange(20) % 3
    first = Batches(triples, 6, 5, question=question, together=together)
    for _ in range(6):
        first.next()
    random, place = first.state()
    second = Batches(triples, 6, 99, question=question, together=together)
    second.restore(random, place)
    for _ in range(9):
        a, b = first.next(), second.next()
        assert a.head.tolist() == b.head.tolist()
