"""Hardness, drift and gradients of hand-made censuses, against autograd and plain loops."""

import numpy as np
import pandas as pd
import pytest
import torch
from census_world import hand_made
from hypothesis import given, settings
from hypothesis import strategies as st

from mmkg.analysis import compare, drift, false_negatives, gradients, labelled
from mmkg.errors import DataError
from mmkg.training import SelfAdversarial


def test_drift_by_hand():
    rows = [
        {"step": 1, "score": -1.0, "image": 0.5},
        {"step": 1, "score": 1.0, "place": 1},
        {"step": 2, "score": 2.0, "structure": 0.25},
        {"step": 2, "score": 3.0, "place": 1, "structure": 0.75},
    ]
    found = drift(hand_made(rows)).set_index("step")
    assert found.score.tolist() == [0.0, 2.5]
    assert found.gap.tolist() == [-1.0, 1.5]
    assert found.above.tolist() == [0.25, 1.0]  # the tie counts half
    assert found.gap_sd.tolist() == pytest.approx([np.sqrt(2), np.sqrt(0.5)])
    assert found.image[1] == 0.5
    assert np.isnan(found.image[2])
    assert found.structure[2] == 0.5
    assert found.beats_uniform.isna().all()


def chance_to_beat(census):
    """The same by comparing each pair."""
    result = {}
    for keys, part in census.groupby(["step", "row", "side"]):
        mine, others = (part[part.source == s].score.to_numpy() for s in ("sampler", "uniform"))
        if len(mine) and len(others):
            for score in mine:
                wins = (score > others).mean() + (score == others).mean() / 2
                result.setdefault(keys[0], []).append(wins)
    return {step: float(np.mean(values)) for step, values in result.items()}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_chance_to_outscore_uniform_negatives(seed):
    chance = np.random.default_rng(seed)
    rows = [
        {"step": s, "row": q, "side": side, "source": source, "place": k, "score": float(chance.integers(0, 5))}
        for s in (1, 2)
        for q in range(3)
        for side in ("head", "tail")
        for source in ("sampler", "uniform")
        for k in range(int(chance.integers(0 if q else 1, 4)))
    ]
    census = hand_made(rows).sample(frac=1, random_state=seed)
    found = drift(census)
    mine = found[found.source == "sampler"].set_index("step").beats_uniform
    assert mine.to_dict() == pytest.approx(chance_to_beat(census))
    uniform = found[found.source == "uniform"].beats_uniform
    assert (uniform == 0.5).all()


@settings(max_examples=30, deadline=None)
@given(
    scores=st.lists(st.lists(st.floats(-8, 8), min_size=1, max_size=5), min_size=1, max_size=4),
    alpha=st.sampled_from([0.0, 0.5, 2.0]),
)
def test_gradients_are_those_of_the_objective(scores, alpha):
    rows = [{"row": q, "place": k, "score": s} for q, own in enumerate(scores) for k, s in enumerate(own)]
    found = gradients(hand_made(rows), alphas=[alpha]).iloc[0]
    totals, each, largest = [], [], []
    for own in scores:
        s = torch.tensor([own], dtype=torch.float64, requires_grad=True)
        loss = SelfAdversarial(alpha)(torch.zeros(1), s, torch.ones_like(s, dtype=torch.bool))
        (slope,) = torch.autograd.grad(loss, s)
        totals.append(float(slope.abs().sum()))
        each += slope.abs()[0].tolist()
        largest.append(float(slope.abs().max()))
    assert found.questions == len(scores)
    assert found.total == pytest.approx(np.mean(totals), rel=1e-4)
    assert found["each"] == pytest.approx(np.mean(each), rel=1e-4)
    assert found.largest == pytest.approx(np.mean(largest), rel=1e-4)
    assert found.vanished == pytest.approx(np.mean(np.array(totals) < 0.005), abs=1e-9)


def test_gradients_against_uniform_and_over_time():
    rows = [
        {"step": step, "source": source, "score": score, "place": k}
        for step, source, both in (
            (1, "sampler", (0.0, 0.0)),
            (1, "uniform", (0.0, 0.0)),
            (9, "sampler", (0.0, 0.0)),
            (9, "uniform", (-10.0, -10.0)),
        )
        for k, score in enumerate(both)
    ]
    found = gradients(hand_made(rows), alphas=(0.0,)).set_index(["source", "step"])
    assert found.total["sampler", 1] == pytest.approx(0.25)
    assert found.against_uniform["sampler", 1] == pytest.approx(1.0)
    assert found.against_uniform["sampler", 9] == pytest.approx(0.5 * (1 + np.exp(10)), rel=1e-6)
    assert found.vanished.to_dict() == {("sampler", 1): 0, ("sampler", 9): 0, ("uniform", 1): 0, ("uniform", 9): 1}


def test_the_share_of_the_gradient_that_is_on_held_out_facts():
    rows = [{"score": 2.0, "held_out": True}, {"score": 0.0, "place": 1}, {"row": 1, "score": -1.0}]
    found = gradients(hand_made(rows), alphas=(0.5,)).on_false_at_least[0]
    s = 1 / (1 + np.exp(-np.array([2.0, 0.0, -1.0])))
    weight = np.exp(1.0) / (np.exp(1.0) + 1)
    assert found == pytest.approx(weight * s[0] / (weight * s[0] + (1 - weight) * s[1] + s[2]))


def test_without_a_reference_there_is_nothing_to_compare():
    found = gradients(hand_made([{}]))
    assert found.alpha.tolist() == [0.0, 0.5]
    assert found.against_uniform.isna().all()
    for alphas in ((), (-1.0,)):
        with pytest.raises(DataError, match="alphas"):
            gradients(hand_made([{}]), alphas=alphas)


def test_the_same_question_in_two_groups_of_patterns():
    found = gradients(hand_made([{"patterns": "symmetric,inverse", "score": 0.0}]), "patterns", alphas=(0.0,))
    assert found.total.tolist() == [0.25, 0.25]


def told(score, probe="a", **sampler):
    census = hand_made([{"score": score, "held_out": score > 1}])
    census.attrs["provenance"] = {"vocabulary": 1, "probe": probe, "sampler": {"class": "MMRNS"} | sampler}
    return census


def test_three_settings_of_the_gumbel_gradient():
    ways = ("descend", "reverse", "none")
    censuses = labelled([told(float(k), gumbel_gradient=way) for k, way in enumerate(ways)], "gumbel_gradient")
    found = compare(censuses)
    assert found.census.tolist() == list(ways)
    assert found.score.tolist() == [0.0, 1.0, 2.0]
    assert compare(censuses, false_negatives, by="category").rate_at_least.tolist() == [0, 0, 1]
    assert list(compare(censuses, gradients, alphas=(0.0,)).census) == list(ways)


def test_what_cannot_be_compared_is_told():
    with pytest.raises(DataError, match="no censuses"):
        compare({})
    with pytest.raises(DataError, match=r"censuses 'x' and 'y' differ in probe. Cure: take both on the same graph"):
        compare({"x": told(0.0), "y": told(0.0, probe="b")})
    with pytest.raises(DataError, match="census of MMRNS has no setting 'colour'"):
        labelled([told(0.0)], "colour")
    with pytest.raises(DataError, match="two censuses have tau '1'"):
        labelled([told(0.0, tau=1), told(0.0, tau=1)], "tau")


@pytest.mark.parametrize("table", [drift, gradients])
def test_what_is_no_census_is_told(table):
    with pytest.raises(DataError, match="census is empty"):
        table(hand_made([{}]).iloc[:0])
    with pytest.raises(DataError, match="no column"):
        table(pd.DataFrame({"source": ["sampler"]}))
