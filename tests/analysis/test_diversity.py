"""Entropy, repeats and popularity of hand-made censuses."""

import math

import numpy as np
import pytest
import torch
from census_world import hand_made
from scipy.stats import spearmanr
from torch_geometric.data import Data

from mmkg.analysis import entropy, popularity, repeats
from mmkg.errors import DataError


def test_exact_entropy_is_averaged_over_questions():
    rows = [
        {"row": row, "place": place, "entropy": value, "probability": 0.3}
        for row, value in ((0, math.log(2)), (1, math.log(8)))
        for place in (0, 1)
    ]
    (found,) = entropy(hand_made(rows)).to_dict("records")
    assert found["questions"] == 2
    assert found["entropy"] == pytest.approx(math.log(4))
    assert found["effective"] == pytest.approx(4.0)
    assert found["how"] == "exact"


def test_first_draws_estimate_the_entropy_without_bias():
    p = np.array([0.5, 0.25, 0.125, 0.125])
    expected = float(-(p * np.log(p)).sum())
    drawn = np.random.default_rng(0).choice(4, 20_000, p=p)
    rows = hand_made([{"row": i, "place": 0, "negative": int(d), "probability": p[d]} for i, d in enumerate(drawn)])
    later = hand_made([{"row": i, "place": 1, "probability": 0.9} for i in range(5)])  # must not count
    import pandas as pd

    (found,) = entropy(pd.concat([rows, later]), by=()).to_dict("records")
    assert found["entropy"] == pytest.approx(expected, abs=0.02)
    assert found["how"] == "first draws"


def test_the_reference_does_not_count_and_steps_are_apart():
    rows = [{"step": s, "entropy": float(s), "source": source} for s in (1, 2) for source in ("sampler", "uniform")]
    found = entropy(hand_made(rows))
    assert found.source.unique().tolist() == ["sampler"]
    assert found.entropy.tolist() == [1.0, 2.0]


def test_a_sampler_without_probabilities_has_no_entropy():
    with pytest.raises(DataError, match=r"tells no probabilities.*Cure: repeats\(\) and popularity\(\) need none"):
        entropy(hand_made([{}]))
    with pytest.raises(DataError, match="no negatives of source 'sampler'"):
        entropy(hand_made([{"source": "uniform"}]))


def test_repeats_within_since_last_and_ever():
    drawn = {  # step -> draws of question 0 and of question 1
        0: ([3, 3, 4], [3]),
        7: ([4, 5, 6], [9]),
        9: ([3, 5, 5], [3]),
    }
    rows = [
        {"step": step, "row": row, "place": place, "negative": negative}
        for step, both in drawn.items()
        for row, draws in enumerate(both)
        for place, negative in enumerate(draws)
    ]
    found = repeats(hand_made(rows)).set_index("step")
    assert found.negatives.tolist() == [4, 4, 4]
    assert found.within.tolist() == [0.25, 0.0, 0.25]
    assert found.since_last[7] == 0.25  # 4
    assert found.since_last[9] == 0.5  # 5 and 5
    assert found.ever[9] == 1.0  # 3 at step 0 as well, of each question for itself
    assert found.loc[0, ["since_last", "ever"]].isna().all()


def test_repeats_keep_sources_apart():
    rows = [{"step": s, "source": source, "negative": 2} for s, source in ((0, "sampler"), (1, "uniform"))]
    found = repeats(hand_made(rows))
    assert found.source.tolist() == ["sampler", "uniform"]
    assert found.since_last.isna().all()


@pytest.fixture
def star():
    """Entity 0 is linked to all of 1 to 5, entities 1 and 2 to each other as well; one self-loop."""
    pairs = [(0, k) for k in range(1, 6)] + [(1, 2), (3, 3)]
    edges = torch.tensor(pairs).T
    data = Data(edge_index=edges, edge_type=torch.zeros(7, dtype=torch.long), num_nodes=7, num_relations=1)
    data.train_mask = torch.ones(7, dtype=torch.bool)
    return data


DEGREE = [5, 2, 2, 2, 1, 1, 0]


def test_popularity_against_degree(star):
    draws = [0, 0, 0, 1, 1, 2, 4]
    rows = [{"negative": n} for n in draws] + [{"negative": n, "source": "uniform"} for n in range(7)]
    found = popularity(hand_made(rows), star).set_index("source")
    count = np.bincount(draws, minlength=7)
    assert found.spearman["sampler"] == pytest.approx(spearmanr(DEGREE, count).statistic)
    assert np.isnan(found.spearman["uniform"])  # each once: no order to compare
    assert found.mean_degree["sampler"] == pytest.approx((15 + 4 + 2 + 1) / 7)
    assert found.uniform_degree.tolist() == [pytest.approx(sum(DEGREE) / 7)] * 2
    assert found.ratio["sampler"] == pytest.approx(22 / 13)
    assert found.ratio["uniform"] == 1.0
    assert found.distinct["sampler"] == 4
    assert set(found.against) == {"reference"}


@pytest.mark.parametrize("by", [(), "step", ("step", "side")])
def test_popularity_by_groups(star, by):
    draws = ((0, "sampler", 1), (6, "uniform", 1), (1, "sampler", 2))
    rows = [{"negative": n, "source": s, "step": t} for n, s, t in draws]
    found = popularity(hand_made(rows), star, by)
    assert len(found) == (2 if by == () else 3)
    first = found[found.source == "sampler"].iloc[0]
    assert first.uniform_degree == 0.0
    if by:
        assert np.isnan(found[(found.source == "sampler") & (found.step == 2)].uniform_degree.iloc[0])


def test_popularity_without_a_reference(star):
    found = popularity(hand_made([{"negative": 0}]), star)
    assert found.uniform_degree[0] == pytest.approx(13 / 7)
    assert found.against[0] == "all entities"
    with pytest.raises(DataError, match="entity 7 in the census, 7 in the graph"):
        popularity(hand_made([{"negative": 7}]), star)
