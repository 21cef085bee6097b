"""Ranks against a plain loop, against the golden file, and the properties that a rank must have."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from mmkg.errors import NumericsError
from mmkg.evaluation import all_metrics, rank
from mmkg.graph import Facts
from mmkg.scorers import SCORERS, DistMult
from mmkg.types import Batch

GOLDEN = Path(__file__).parents[1] / "data" / "ranks_mkg_y_distmult_ties.safetensors"


class Table(torch.nn.Module):
    """A model whose scores are written down: ``[R, N, N]``."""

    def __init__(self, scores):
        super().__init__()
        self.scores = torch.nn.Parameter(scores)

    def score_tails(self, h, r, candidates=None):
        return self.scores[r, h]

    def score_heads(self, r, t, candidates=None):
        return self.scores[r, :, t]


N, R = 7, 2
triples = st.lists(
    st.tuples(st.integers(0, N - 1), st.integers(0, R - 1), st.integers(0, N - 1)), min_size=1, max_size=25
)
tables = st.lists(st.integers(0, 3), min_size=R * N * N, max_size=R * N * N)  # few values: many ties


def loop_ranks(scores, rows, known):
    """(optimistic, pessimistic, candidates) of both sides by plain loops, head side first."""
    result = []
    for side in (0, 2):
        for row in rows:
            replaced = [tuple(e if i == side else x for i, x in enumerate(row)) for e in range(N)]
            target = scores[row[1], row[0], row[2]]
            rivals = [scores[r, h, t] for h, r, t in replaced if (h, r, t) not in known and (h, r, t) != row]
            better, level = sum(x > target for x in rivals), sum(x == target for x in rivals)
            result.append((1 + better, 1 + better + level, 1 + len(rivals)))
    return result


@settings(max_examples=50, deadline=None)
@given(tables, triples, triples)
def test_ranks_match_a_plain_loop(values, asked, known):
    scores = np.array(values, dtype=float).reshape(R, N, N)
    facts = Facts(*(torch.tensor([x[i] for x in known]) for i in range(3)), N, R)
    model = Table(torch.tensor(scores))
    ranks = rank(model, torch.tensor(asked), facts, memory_mb=1e-3)  # several blocks
    expected = loop_ranks(scores, asked, set(known))
    found = zip(ranks.optimistic.tolist(), ranks.pessimistic.tolist(), ranks.candidates.tolist(), strict=True)
    assert list(found) == expected
    assert ranks.realistic.tolist() == [(a + b) / 2 for a, b, _ in expected]
    assert ranks.side.tolist() == [0] * len(asked) + [1] * len(asked)
    assert ranks.triple.tolist() == list(range(len(asked))) * 2


@settings(max_examples=30, deadline=None)
@given(tables, triples, st.randoms(use_true_random=False))
def test_relabelling_entities_changes_no_rank(values, asked, random):
    scores = torch.tensor(values, dtype=torch.float).reshape(R, N, N)
    new = list(range(N))
    random.shuffle(new)
    new = torch.tensor(new)
    moved = torch.empty_like(scores)
    moved[:, new[:, None], new[None, :]] = scores
    rows = torch.tensor(asked)
    renamed = torch.stack([new[rows[:, 0]], rows[:, 1], new[rows[:, 2]]], dim=1)
    before = rank(Table(scores), rows, Facts(*rows.unbind(1), N, R))
    after = rank(Table(moved), renamed, Facts(*renamed.unbind(1), N, R))
    assert torch.equal(before.realistic, after.realistic)


def test_a_constant_scorer_has_the_middle_rank():
    rows = torch.tensor([[0, 0, 1], [6, 1, 2]])
    empty = torch.zeros(0, dtype=torch.long)
    ranks = rank(Table(torch.zeros(R, N, N)), rows, Facts(empty, empty, empty, N, R))
    assert ranks.realistic.tolist() == [(N + 1) / 2] * 4
    assert ranks.optimistic.tolist() == [1] * 4
    assert ranks.pessimistic.tolist() == [N] * 4


def golden_model(entity, relation):
    model = DistMult(entity.shape[0], relation.shape[0], entity.shape[1])
    with torch.no_grad():
        model.node_emb.weight.copy_(entity)
        model.rel_emb.weight.copy_(relation)
    return model


def check_golden(golden, filter_triples):
    triples = golden.get("triples", golden.get("test_triples")).long()
    model = golden_model(golden["entity"], golden["relation"])
    facts = Facts(*filter_triples.long().unbind(1), 15000, 28)
    ranks = rank(model, triples, facts)
    for rule in ("optimistic", "pessimistic", "realistic"):
        found = ranks.under(rule).reshape(2, -1).T  # [Q, 2], head side then tail side
        assert torch.equal(found, golden[rule].double()), rule


def test_ranks_equal_the_published_split_with_ties():
    """The first 200 test triples of the reference file, with the known triples that share a question with them."""
    golden = load_file(GOLDEN)
    check_golden(golden, golden["filter"])


def test_ranks_equal_the_whole_reference(shared):
    golden = load_file(shared / "reference" / GOLDEN.name)
    raw = shared / "data" / "MKG-Y" / "raw"
    files = [np.loadtxt(raw / f"{s}2id.txt", dtype=np.int64, skiprows=1) for s in ("train", "valid", "test")]
    check_golden(golden, torch.from_numpy(np.concatenate(files)[:, [0, 2, 1]]))  # columns of the files: h, t, r


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", SCORERS)
def test_entities_that_are_all_the_same_have_the_middle_rank(name, dtype):
    """A constant scorer for a real model: products may sum the last entities in another order than the others."""
    empty = torch.zeros(0, dtype=torch.long)
    for n, size, questions in ((129, 7, 1), (129, 7, 2), (37, 16, 1), (500, 32, 1), (17, 3, 9), (2167, 8, 1)):
        torch.manual_seed(n)
        model = SCORERS[name](n, 3, size).to(dtype)
        with torch.no_grad():
            model.node_emb.weight.copy_(torch.randn_like(model.node_emb.weight[:1]).expand_as(model.node_emb.weight))
        rows = torch.stack([torch.arange(questions), torch.arange(questions) % 3, n - 1 - torch.arange(questions)], 1)
        ranks = rank(model, rows, Facts(empty, empty, empty, n, 3))
        assert ranks.realistic.tolist() == [(n + 1) / 2] * (2 * questions), (n, size, questions)


@pytest.mark.parametrize("reciprocal", [False, True])
@pytest.mark.parametrize("name", SCORERS)
def test_ranks_of_every_scorer_follow_from_its_scores(name, reciprocal):
    torch.manual_seed(1)
    n, relations = 41, 3
    model = SCORERS[name](n, relations, 3, reciprocal=reciprocal)
    triples = torch.stack([torch.randint(high, (300,)) for high in (n, relations, n)], dim=1)  # many share a question
    facts = Facts(*triples[:250].unbind(1), n, relations)  # some answers are not among the facts
    with torch.no_grad():
        scores = torch.cat([model.score_heads(*triples[:, 1:].unbind(1)), model.score_tails(*triples[:, :2].unbind(1))])
    answer = torch.cat([triples[:, 0], triples[:, 2]])
    known = torch.cat([facts.mask(_batch(triples), side) for side in ("head", "tail")])
    known[torch.arange(600), answer] = False
    target = scores.gather(1, answer[:, None])
    asked, fuse = [], model.entity_table
    model.entity_table = lambda: asked.append(len(asked)) or fuse()
    for memory in (1e-4, 0.01, 256):  # one question at a time, some, all
        ranks = rank(model, triples, facts, memory_mb=memory)
        assert torch.equal(ranks.optimistic, 1 + ((scores > target) & ~known).sum(1))
        assert torch.equal(ranks.pessimistic, ((scores >= target) & ~known).sum(1))
        assert torch.equal(ranks.candidates, (~known).sum(1))
    assert len(asked) == 3  # all entities, and who of them is whose twin, once a call


@pytest.mark.parametrize("name", SCORERS)
def test_relabelling_a_models_entities_changes_no_metric(name):
    torch.manual_seed(2)
    n = 53
    model, moved = SCORERS[name](n, 3, 4), SCORERS[name](n, 3, 4)
    new = torch.randperm(n)
    with torch.no_grad():
        model.node_emb.weight[10:20] = model.node_emb.weight[:10]  # ties
        moved.load_state_dict(model.state_dict())
        moved.node_emb.weight[new] = model.node_emb.weight
    triples = torch.stack([torch.randint(high, (90,)) for high in (n, 3, n)], dim=1)
    renamed = torch.stack([new[triples[:, 0]], triples[:, 1], new[triples[:, 2]]], dim=1)
    before = rank(model, triples, Facts(*triples.unbind(1), n, 3))
    after = rank(moved, renamed, Facts(*renamed.unbind(1), n, 3))
    assert all_metrics(before) == all_metrics(after)


def _batch(triples):
    return Batch(*triples.unbind(1))


class Shown(torch.nn.Module):
    """A model that shows one row of its own for every question."""

    def __init__(self, row):
        super().__init__()
        self.row = torch.nn.Parameter(row)

    def score_tails(self, h, r, candidates=None):
        return self.row.expand(len(h), -1)

    def score_heads(self, r, t, candidates=None):
        return self.row.expand(len(t), -1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_models_own_scores_are_left_as_they_are(dtype):
    row = torch.arange(N, dtype=dtype)
    model, rows = Shown(row.clone()), torch.tensor([[0, 0, 6], [0, 0, 3], [1, 1, 5], [6, 1, 4]])
    ranks = rank(model, rows, Facts(*rows.unbind(1), N, R), sides=("tail",))
    assert torch.equal(model.row, row)
    assert ranks.realistic.tolist() == [1, 3, 2, 3]


def test_large_scores_are_scores():
    model = Shown(torch.full((N,), 3e38))  # their sum overflows
    rows = torch.tensor([[0, 0, 1]])
    assert rank(model, rows, Facts(*rows.unbind(1), N, R)).realistic.tolist() == [(N + 1) / 2] * 2


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_filtered_candidate_without_a_score_is_an_error_too(bad):
    row = torch.zeros(N)
    row[3] = bad
    rows = torch.tensor([[0, 0, 1], [0, 0, 3]])  # entity 3 is a known answer, and filtered out for the first
    with pytest.raises(
        NumericsError, match=r"triple \[0, 0, [13]\] with tail replaced by entity 3: with NaN or infinity"
    ):
        rank(Shown(row), rows, Facts(*rows.unbind(1), N, R), sides=("tail",))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_scores_that_are_no_numbers_stop_the_evaluation(bad):
    scores = torch.zeros(R, N, N)
    scores[1, 6, 3] = bad
    rows = torch.tensor([[0, 0, 1], [6, 1, 2]])
    with pytest.raises(NumericsError, match=r"triple \[6, 1, 2\] with tail replaced by entity 3"):
        rank(Table(scores), rows, Facts(*rows.unbind(1), N, R))


def test_an_empty_split_is_an_error_and_the_mode_is_given_back():
    rows = torch.tensor([[0, 0, 1]])
    facts = Facts(*rows.unbind(1), N, R)
    model = Table(torch.zeros(R, N, N)).train()
    with pytest.raises(ValueError, match="nothing to rank"):
        rank(model, rows[:0], facts)
    with pytest.raises(ValueError, match="nothing to rank"):
        rank(model, rows, facts, sides=())
    with pytest.raises(ValueError, match="side 'tails'"):
        rank(model, rows, facts, sides=("tails",))
    with pytest.raises(ValueError, match=r"expected \[Q, 3\]"):
        rank(model, rows.T, facts)
    with pytest.raises(ValueError, match="memory_mb is 0"):
        rank(model, rows, facts, memory_mb=0)
    with pytest.raises(ValueError, match=rf"triple \[0, 0, {N}\] is out of range: the facts are of {N} entities"):
        rank(model, torch.tensor([[0, 0, 1], [0, 0, N]]), facts)
    with pytest.raises(ValueError, match=rf"scores of shape \(1, {N}\), expected \(1, {N + 1}\)"):
        rank(model, rows, Facts(*rows.unbind(1), N + 1, R))
    with pytest.raises(ValueError, match=f"the model is of {N} entities, the facts are of {N + 1}"):
        rank(DistMult(N, R, 2), torch.tensor([[N, 0, 0]]), Facts(*rows.unbind(1), N + 1, R))
    rank(model, rows, facts)
    assert model.training
