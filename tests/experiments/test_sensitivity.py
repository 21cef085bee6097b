"""Sensitivity: a grid holds what differs in its own setting alone, and the figure comes from the results."""

import json
import sys
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

from mmkg.datasets import WorldMoji
from mmkg.errors import DataError

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def made(mrr, dataset="worldmoji", alpha=0.5, **sampler):
    config = {"beta": 0.01, "epsilon": 0.5, "negatives": 20, "pool": 200} | sampler
    return {
        "dataset": dataset,
        "config": {"alpha": alpha, "sampler": config},
        "valid": {"realistic": {"mrr": mrr}},
    }


def test_a_curve_holds_what_differs_in_its_setting_alone():
    from sensitivity import GRIDS, curves

    entries = [made(0.1), made(0.2), made(0.3, beta=1.0), made(0.4, alpha=2.0), made(0.5, alpha=0.0)]
    entries += [made(0.7, dataset="mkg_y"), made(0.8, dataset="mkg_y", beta=0.1)]
    of = {grid.setting: curves(entries, grid) for grid in GRIDS}
    assert of["beta"]["worldmoji"] == ([0.01, 1.0], [[0.1, 0.2], [0.3]])
    assert of["beta"]["mkg_y"] == ([0.01, 0.1], [[0.7], [0.8]])
    assert of["alpha"]["worldmoji"] == ([0.0, 0.5, 2.0], [[0.5], [0.1, 0.2], [0.4]])
    assert of["pool"]["worldmoji"] == ([200], [[0.1, 0.2]])


def test_the_figure_changes_with_the_results_and_with_nothing_else(tmp_path):
    from sensitivity import draw

    entries = [made(0.1), made(0.3, beta=1.0), made(0.2, pool=100)]
    for name, found in (("a", entries), ("b", entries), ("c", [*entries, made(0.25, pool=400)])):
        draw(found, tmp_path / f"{name}.png")
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b
    assert a != c
    assert len(a) > 10_000


def test_each_grid_holds_the_middle_of_the_others():
    from compare import BUDGETS
    from sensitivity import GRIDS

    for budget in BUDGETS.values():
        for grid in GRIDS:
            at = budget.start.alpha if grid.setting == "alpha" else getattr(budget.start.sampler, grid.setting)
            assert at in grid.values


def test_the_script_runs_and_records(tmp_path, monkeypatch):
    import sensitivity

    monkeypatch.setattr(sensitivity, "GRIDS", sensitivity.GRIDS[1:3])
    monkeypatch.setattr(sys, "argv", ["sensitivity.py", "--draw", "--results", str(tmp_path / "results")])
    with pytest.raises(DataError, match=r"nothing is recorded yet\. Cure: run without --draw first"):
        sensitivity.main()
    monkeypatch.setattr(WorldMoji, "encode_text", lambda self: None)  # it would take a minute
    monkeypatch.setattr(WorldMoji, "encode_images", lambda self: None)
    where = ["--root", str(tmp_path / "data"), "--out", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    words = ["--steps", "2", "--warm-up", "2", "--dim", "4", "--settings", "epsilon"]
    monkeypatch.setattr(sys, "argv", ["sensitivity.py", *where, *words])
    sensitivity.main()
    paths = sorted((tmp_path / "results" / "sensitivity").glob("*.json"))
    entries = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    assert sorted(e["config"]["sampler"]["epsilon"] for e in entries) == [0.05, 0.5, 5.0]
    assert not any("test" in e for e in entries)
    assert (tmp_path / "results" / "sensitivity" / "sensitivity.png").stat().st_size > 5_000
    monkeypatch.setattr(sensitivity.Comparison, "row", lambda *_, **__: None)
    (tmp_path / "results" / "sensitivity" / "sensitivity.png").unlink()
    monkeypatch.setattr(sys, "argv", ["sensitivity.py", "--draw", "--results", str(tmp_path / "results")])
    sensitivity.main()
    assert (tmp_path / "results" / "sensitivity" / "sensitivity.png").exists()
