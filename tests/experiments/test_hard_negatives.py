"""The experiment on hard negatives: what it records, draws and writes, and that it does nothing twice."""

import contextlib
import io
import json
import sys
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

from mmkg.datasets import WorldMoji

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "experiments" / "results" / "hard_negatives"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The script run for a few steps, twice; MMRNS looks at structure, as features would take a minute to encode."""
    folder = tmp_path_factory.mktemp("hard_negatives")
    WorldMoji(folder / "data", log=False)
    words = [
        "--steps",
        "8",
        "--probe",
        "16",
        "--probes",
        "2",
        "--dim",
        "8",
        "--negatives",
        "4",
        "--pool",
        "50",
        "--modalities",
        "structure",
    ]
    words += ["--root", str(folder / "data"), "--out", str(folder / "runs")]
    outputs = []
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "experiments"))
        patch.setattr(sys, "argv", ["hard_negatives.py", *words])
        import hard_negatives

        for _ in range(2):
            out, bars = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(bars):
                hard_negatives.main()
            outputs.append((out.getvalue(), bars.getvalue()))
    AcceleratorState._reset_state(reset_partial_state=True)
    return folder, outputs


def test_every_variant_has_a_summary_and_a_census(done):
    folder, (first, second) = done
    summaries = sorted((folder / "runs").glob("*/summary.json"))
    assert {"worldmoji-uniform-seed0", "worldmoji-self-adversarial-seed0", "worldmoji-mmrns-seed0"} <= {
        path.parent.name for path in summaries
    }
    for path in summaries:
        found = json.loads(path.read_text(encoding="utf-8"))
        assert [row["step"] for row in found["course"]] == [1, 4, 8]
        assert {"above", "total", "on_false_at_least", "since_last", "beats_uniform"} <= set(found["course"][0])
        assert list((path.parent / "census").glob("*.parquet"))
        assert ("frontier" in found) == path.parent.name.startswith("worldmoji-mmrns")
    assert "self-adversarial" in second[0]
    assert "training" in first[1]
    assert "training" not in second[1]  # what was done is not done again


def test_figure_and_table_come_from_what_was_recorded(done, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    import hard_negatives_page as page

    from mmkg.errors import DataError

    monkeypatch.setattr(page, "FOLDER", tmp_path)
    with pytest.raises(DataError, match=r"nothing is recorded yet. Cure: run with --record first"):
        page.draw()
    folder, _ = done
    variants = {
        path.parent.name: [json.loads(path.read_text(encoding="utf-8"))] * 2
        for path in sorted((folder / "runs").glob("*/summary.json"))
    }
    summary = [page.summary(name, found) for name, found in variants.items()]
    entry = {"dataset": "worldmoji", "steps": 8, "seeds": [0, 0], "modalities": ["structure"], "summary": summary}
    entry |= {"variants": variants, "command": "x", "device": "cpu", "date": "today"}
    entry["versions"] = {"torch": "2"}
    (tmp_path / "worldmoji.json").write_text(json.dumps(entry))
    page.draw()
    assert (tmp_path / "hard_negatives.png").stat().st_size > 20_000
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "lower bounds" in table
    assert table.count("\n| worldmoji-") == len(variants)
    mrr = variants["worldmoji-uniform-seed0"][0]["valid_mrr"]
    assert f"| worldmoji-uniform-seed0 | {mrr:.4f} ± 0.0000 |" in table


def test_committed_results_say_what_they_are():
    due = "dataset split_policy steps seeds modalities features note summary variants device versions command "
    due += "date"
    for path in RESULTS.glob("*.json"):
        entry = json.loads(path.read_text(encoding="utf-8"))
        assert set(entry) == set(due.split()), path
        assert {"uniform", "self-adversarial", "MMRNS"} <= set(entry["variants"])
        for found in entry["variants"].values():
            assert [f["asked"]["config"]["train"]["seed"] for f in found] == entry["seeds"]
            assert all(f["asked"]["config"]["train"]["steps"] == entry["steps"] for f in found)
        assert (RESULTS / "hard_negatives.png").exists()
        table = (RESULTS / "table.md").read_text(encoding="utf-8")
        for row in entry["summary"]:
            assert f"| {' | '.join(row.values())} |" in table
