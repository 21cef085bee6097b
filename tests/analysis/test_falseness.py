"""Rates of false negatives: figures worked out by hand, intervals from the literature."""

import numpy as np
import pandas as pd
import pytest
from census_world import hand_made
from hypothesis import given
from hypothesis import strategies as st

from mmkg.analysis import false_negatives, wilson
from mmkg.errors import DataError


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe (1998), Statistics in Medicine 17, table I
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_newcombes_table(k, n, low, high):
    assert [round(float(x), 4) for x in wilson(k, n)] == [low, high]


@given(n=st.integers(1, 10**6), share=st.floats(0, 1), level=st.floats(0.5, 0.999))
def test_the_interval_holds_the_share_and_mirrors(n, share, level):
    k = round(share * n)
    low, high = (float(x) for x in wilson(k, n, level))
    assert 0 <= low <= k / n <= high <= 1
    other_low, other_high = (float(x) for x in wilson(n - k, n, level))
    assert low == pytest.approx(1 - other_high, abs=1e-9)
    assert high == pytest.approx(1 - other_low, abs=1e-9)
    wider = wilson(k, n, 0.9995)
    assert float(wider[0]) <= low + 1e-12


def test_no_trials_give_no_interval():
    assert np.isnan(wilson([0, 1], [0, 2])[0]).tolist() == [False, False]
    with pytest.raises(ValueError, match="level is 1"):
        wilson(1, 2, 1)


@pytest.fixture
def census():
    rows = [{"source": "sampler", "category": "1-N", "step": 0, "held_out": k < 3} for k in range(12)]
    rows += [{"source": "sampler", "category": "1-1", "step": 5, "held_out": False} for _ in range(4)]
    rows += [{"source": "uniform", "category": "1-N", "step": 0, "held_out": k < 1} for k in range(10)]
    return hand_made(rows)


def test_by_category(census):
    found = false_negatives(census, "category")
    assert found[["source", "category", "negatives", "false"]].to_numpy().tolist() == [
        ["sampler", "1-1", 4, 0],
        ["sampler", "1-N", 12, 3],
        ["uniform", "1-N", 10, 1],
    ]
    assert found.rate_at_least.tolist() == [0.0, 0.25, 0.1]
    assert found.low[1] == pytest.approx(0.0889, abs=1e-4)
    assert found.high[1] == pytest.approx(0.5323, abs=1e-4)
    assert "lower bound" in found.attrs["note"]
    assert "lower bound" in false_negatives.__doc__


def test_sources_are_never_mixed(census):
    found = false_negatives(census)
    assert dict(zip(found.source, found.rate_at_least, strict=True)) == {"sampler": 3 / 16, "uniform": 0.1}
    assert false_negatives(census, ["step", "category"]).columns[:3].tolist() == ["source", "step", "category"]


def test_a_relation_with_two_patterns_counts_under_both():
    census = hand_made([{"patterns": "symmetric,inverse", "held_out": True}, {"patterns": "inverse"}, {"patterns": ""}])
    found = false_negatives(census, "patterns").set_index("patterns")
    assert found.negatives.to_dict() == {"inverse": 2, "none": 1, "symmetric": 1}
    assert found.rate_at_least.to_dict() == {"inverse": 0.5, "none": 0.0, "symmetric": 1.0}


def test_what_is_no_census_is_told(census):
    with pytest.raises(DataError, match=r"census is empty. Cure: train for longer"):
        false_negatives(census.iloc[:0])
    with pytest.raises(DataError, match=r"no column 'held_out'. Cure: give a table of mmkg.analysis.read_census"):
        false_negatives(pd.DataFrame({"a": [1]}))
    with pytest.raises(DataError, match="no column 'colour'"):
        false_negatives(census, "colour")
