"""Several samplers' hardest negatives in one table: what is said of each is checked against its source."""

import math

import pandas as pd
import pytest
import torch

from mmkg.analysis import Lens, choose_questions, compare_negatives, hard_negatives
from mmkg.analysis.comparison import facts_by_split, standing
from mmkg.errors import DataError
from mmkg.graph import Facts
from mmkg.samplers import MMRNS, UniformSampler
from mmkg.scorers import RotatE
from mmkg.types import Batch


@pytest.fixture
def lenses(kin):
    torch.manual_seed(0)
    model = RotatE(kin.num_nodes, 4, 6)
    sampler = MMRNS(kin.num_nodes, 12, 6, num_negatives=4, pool_size="all", attention_dim=4)
    return [Lens("MMRNS", sampler, model, 7), Lens("Uniform", UniformSampler(kin.num_nodes, 9), model, 7)]


def triples_of(data, split="val"):
    return torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], dim=1)[data[f"{split}_mask"]]


def test_mmrns_is_what_hard_negatives_says(kin, lenses):
    triples = triples_of(kin)[:7]
    table = compare_negatives(lenses, kin, triples, sides=("head", "tail"), k=5, batch_size=3)
    every = Facts.from_data(kin), Facts.from_data(kin, ("train", "val", "test"))
    expected = hard_negatives(lenses[0].sampler, lenses[0].model, triples, *every, k=5, step=7)
    keys = ["head", "relation", "tail", "side", "place"]
    both = table[table.lens == 0].merge(expected, on=keys, suffixes=("", "_expected"))
    assert len(both) == len(expected) == 70
    for column in ("negative", "probability", "score", "positive_score", "structure"):
        assert both[column].to_numpy() == pytest.approx(both[f"{column}_expected"].to_numpy(), rel=1e-4), column
    assert ((both.known != "") == both.held_out).all()
    assert table.question.nunique() == 14
    assert (table.groupby("question").lens.nunique() == 2).all()


def test_uniform_draws_are_the_most_plausible_and_different(kin, lenses):
    table = compare_negatives(lenses, kin, triples_of(kin), k=6, seed=3)
    rows = table[table.lens == 1]
    train = Facts.from_data(kin)
    for _, part in rows.groupby("question"):
        assert part.negative.is_unique
        assert part.score.is_monotonic_decreasing
        assert 3 <= len(part) <= 6  # nine draws with replacement
    ids = [torch.tensor(rows[c].tolist()) for c in ("head", "relation", "negative")]
    assert not train.contains(*ids).any()
    assert rows.structure.notna().all()  # as MMRNS sees them
    assert rows.image.isna().all()
    assert rows.times.to_numpy() == pytest.approx(rows.probability.to_numpy() * 59, rel=0.05)  # 1 known of 60
    again = compare_negatives(lenses, kin, triples_of(kin), k=6, seed=3)
    pd.testing.assert_frame_equal(table, again)
    assert not table.negative.equals(compare_negatives(lenses, kin, triples_of(kin), k=6, seed=4).negative)


def test_held_out_truths_change_the_flags_and_nothing_else(kin, lenses):
    triples = triples_of(kin)
    before = compare_negatives(lenses, kin, triples, k=6)
    rows = before[before.known == ""].drop_duplicates("question")
    held_out = kin.test_mask.nonzero().flatten()[: len(rows)]
    for edge, row in zip(held_out.tolist(), rows.itertuples(), strict=False):  # what was drawn becomes true
        kin.edge_index[:, edge] = torch.tensor([row.head, row.negative])
        kin.edge_type[edge] = row.relation
    after = compare_negatives(lenses, kin, triples, k=6)
    assert (after.known == "test").sum() >= len(held_out) > (before.known == "test").sum()
    pd.testing.assert_frame_equal(after.drop(columns="known"), before.drop(columns="known"))


def test_without_mmrns_nothing_is_known_of_similarity(kin, lenses):
    table = compare_negatives(lenses[1:], kin, triples_of(kin), k=3)
    assert table[["probability", "times", "image", "text", "structure"]].isna().all().all()
    assert (table.through == "").all()


def test_fewer_candidates_than_entities(kin, lenses):
    table = compare_negatives(lenses[:1], kin, triples_of(kin), k=5, candidates=10)
    assert table.groupby("question").size().max() == 5
    assert table.negative.nunique() <= 10 * 1  # one batch, one pool
    assert (table.times < 10).all()


def test_standing_names_the_split(kin):
    known = facts_by_split(kin)
    for split in ("train", "val", "test"):
        h, r, t = triples_of(kin, split)[:20].unbind(1)
        told = standing(Batch(h, r, t), "tail", t[:, None], known)
        assert (told[:, 0] == split).all()
    kin.extra_filter = torch.tensor([[0], [2], [7]])
    batch = Batch(*(torch.tensor([x]) for x in (0, 2, 0)))
    told = standing(batch, "tail", torch.tensor([[7, 8]]), facts_by_split(kin))
    assert told.tolist() == [["set aside", ""]]


@torch.no_grad()
def test_through_is_the_modality_with_most_of_the_probability(little):
    lens = Lens("MMRNS", little.sampler, little.model, little.best_step)
    triples, size = little.triples("train")[:9], int(little.data.num_nodes)
    table = compare_negatives([lens], little.data, triples, k=size)
    batch = Batch(*triples.unbind(1))
    plan = lens.sampler.plan(batch, "tail", Facts.from_data(little.data), torch.Generator(), torch.arange(size))
    seen = lens.sampler.see(plan, lens.model, lens.step)
    epsilon = lens.sampler.epsilon / (1 + math.log(lens.step + 1))
    assert set(table.through) == {"image", "text", "structure"}
    for (question, negative), row in table.set_index(["question", "negative"]).iterrows():
        terms = {}
        for name, similarity in seen.similarities.items():
            has = seen.shared[name][question]
            if has[negative]:
                weights = (similarity[question] / epsilon).exp() * has
                terms[name] = float(weights[negative] / weights.sum() * has.sum() / size)
        assert row.through == max(terms, key=terms.get)
        mean = sum(terms.values()) / len(terms)  # p before it is normalised
        assert float(seen.log_p[question, negative].exp()) == pytest.approx(mean, rel=0.2)


def test_questions_of_all_relations_in_turn():
    rows = [(n, 0, n + 1) for n in range(50)] + [(n, 1, n + 1) for n in range(3)] + [(0, 2, 1)] * 4
    triples = torch.tensor(rows)
    found = choose_questions(triples, 9)
    assert found[:, 1].tolist() == [0] * 5 + [1] * 3 + [2]
    assert found[:5, 0].tolist() == [0, 16, 32, 48, 1]  # from all over, then those between
    pictured = torch.zeros(60, dtype=torch.bool)
    pictured[[7, 8, 9, 30, 31]] = True
    found = choose_questions(triples, 3, pictured)
    assert found.tolist()[0][0] in (7, 8, 30)
    assert found.shape == (3, 3)
    assert len(choose_questions(triples, 1000)) == 54


@pytest.mark.parametrize(("k", "told"), [(0, "0 negatives a question. Cure: ask for 1 to 60"), (61, "61 negatives")])
def test_bad_k(kin, lenses, k, told):
    with pytest.raises(DataError, match=told):
        compare_negatives(lenses, kin, triples_of(kin), k=k)


def test_nothing_to_look_at(kin, lenses):
    with pytest.raises(DataError, match="no triples to look at"):
        compare_negatives(lenses, kin, torch.zeros(0, 3, dtype=torch.long))
