"""Plots draw what the tables say."""

import numpy as np
import pandas as pd
import pytest
from census_world import hand_made

from mmkg.analysis import attribution, drift, false_negatives
from mmkg.analysis.census_plots import plot_attribution, plot_course, plot_frontier, plot_rates
from mmkg.errors import DataError


def census():
    rows = [
        {"step": s, "source": source, "score": float(k), "held_out": k == 2, "category": c, "probability": 0.5}
        | {"without_image": 0.1, "without_text": 0.6}
        for s in (1, 5, 9)
        for source in ("sampler", "uniform")
        for k, c in enumerate(("1-1", "1-N", "N-N"))
    ]
    return hand_made(rows)


def test_a_course_has_a_line_for_each_source(tmp_path):
    table = drift(census())
    axis = plot_course(table, "gap", log=False)
    assert [line.get_label() for line in axis.lines] == ["sampler", "uniform"]
    np.testing.assert_allclose(axis.lines[0].get_xdata(), [1, 5, 9])
    np.testing.assert_allclose(axis.lines[0].get_ydata(), table[table.source == "sampler"].gap)
    axis.figure.savefig(tmp_path / "course.png")
    assert (tmp_path / "course.png").stat().st_size > 5000


def test_rates_have_their_intervals():
    table = false_negatives(census(), "category")
    axis = plot_rates(table)
    heights = [bar.get_height() for bar in axis.patches]
    assert heights == pytest.approx(table.rate_at_least.tolist())
    assert [t.get_text() for t in axis.get_xticklabels()] == ["1-1", "1-N", "N-N"]
    assert "at least" in axis.get_ylabel()
    course = plot_course(false_negatives(census(), "step"), "rate_at_least")
    assert len(course.collections) == 2  # bands


def test_a_frontier_marks_its_temperatures():
    table = pd.DataFrame({"epsilon": [0.1, 10.0], "above": [0.9, 0.4], "false_at_least": [0.05, 0.01]})
    table.attrs["splits"] = ["val"]
    axis = plot_frontier({"a": table, "b": table})
    assert [t.get_text() for t in axis.texts] == ["ε 0.1", "ε 10"] * 2
    assert "val" in axis.get_title()
    assert plot_frontier(table).get_legend() is None


def test_modalities_have_their_colours():
    axis = plot_attribution(attribution(census()))
    assert [line.get_label() for line in axis.lines[:2]] == ["image", "text"]
    np.testing.assert_allclose(axis.lines[0].get_ydata(), 0.8, rtol=1e-5)


def test_nothing_to_draw_is_told():
    with pytest.raises(DataError, match="table has no column 'rate_at_least'"):
        plot_rates(drift(census()))
    with pytest.raises(DataError, match="nothing to draw"):
        plot_course(drift(census()).iloc[:0], "gap")
