"""The experiment scripts: test is looked at with --final only, and once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmkg.datasets import WorldMoji
from mmkg.graph import mine_patterns

ROOT = Path(__file__).parents[2]


def call(folder, *words):
    """Run experiments/worldmoji.py for two steps in a folder of its own."""
    command = [sys.executable, str(ROOT / "experiments" / "worldmoji.py"), "--sampler", "uniform", "--warm-up", "2"]
    where = ["--root", str(folder / "data"), "--out", str(folder / "runs"), "--results", str(folder / "results")]
    done = subprocess.run(
        [*command, "--steps", "2", *where, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("experiment")


def looks(folder):
    return list((folder / "runs").glob("*/test_looks.csv"))


def test_without_final_nobody_looks_at_test(folder):
    assert "test mrr" not in call(folder)
    assert not looks(folder)


def test_final_looks_once(folder):
    call(folder)
    for _ in range(2):
        assert "test mrr" in call(folder, "--final")
    (look,) = looks(folder)
    assert len(look.read_text().splitlines()) == 2  # the header and one look
    noted = (folder / "results" / "TEST_LOOKS.csv").read_text().splitlines()
    assert noted[0] == "dataset,config,seed,date,commit,test_mrr"
    assert [line.split(",")[0] for line in noted[1:]] == ["worldmoji"]  # once, though asked for twice


def test_a_look_does_not_come_back_without_final(folder):
    call(folder, "--final")
    assert "test mrr" not in call(folder)


OTHERS = (
    "patterns",
    "hard_negatives",
    "benchmarks",
    "unseen",
    "linking",
    "straight_through",
)  # folders of other kinds of results


def test_committed_results_say_what_they_are():
    folder = ROOT / "experiments" / "results"
    results = sorted(path for path in folder.glob("*/*.json") if path.parent.name not in OTHERS)
    assert len(results) >= 19
    due = "dataset split_policy scorer sampler objective modalities seed config selection valid wall_seconds "
    due += "peak_memory_mb device versions command date history"
    for path in results:
        entry = json.loads(path.read_text(encoding="utf-8"))
        assert not set(due.split()) - set(entry), path
        for rule in ("realistic", "optimistic", "pessimistic"):
            assert {"mrr", "mr", "hits@1", "hits@3", "hits@10"} <= set(entry["valid"][rule])
        assert {row["grouping"] for row in entry["valid"]["breakdown"]} >= {"side", "category"}


def test_committed_patterns_say_what_they_are():
    results = sorted((ROOT / "experiments" / "results" / "patterns").glob("*.json"))
    assert {"worldmoji", "db15k", "fb15k", "fb15k_237", "wn18", "wn18rr"} <= {path.stem for path in results}
    due = (
        "dataset split_policy entities relations train_triples distinct_links distinct_self_loops thresholds patterns "
    )
    due += "pattern_of_relation categories wall_seconds peak_memory_mb device versions command date"
    for path in results:
        entry = json.loads(path.read_text(encoding="utf-8"))
        assert set(entry) == set(due.split()), path
        assert sum(entry["pattern_of_relation"].values()) == sum(entry["categories"].values()) == entry["relations"]


def test_committed_patterns_are_what_is_found(tmp_path):
    kept = json.loads((ROOT / "experiments" / "results" / "patterns" / "worldmoji.json").read_text(encoding="utf-8"))
    found = mine_patterns(WorldMoji(tmp_path, log=False).topology)
    for kind, count in kept["patterns"].items():
        rows = found.rules[found.rules.kind == kind]
        assert [len(rows), rows.redundant.sum(), rows["head"].nunique()] == list(count.values())
