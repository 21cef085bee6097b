"""Results on unseen entities and on linking say what they are, and the scripts look at test with --final only."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "experiments" / "results"


def test_committed_results_on_unseen_entities():
    entries = [json.loads(p.read_text(encoding="utf-8")) for p in sorted((RESULTS / "unseen").glob("*.json"))]
    due = "dataset split_policy variant seed fraction known_entities unseen_entities questions set_aside valid device"
    for entry in entries:
        assert not {*due.split(), "versions", "command", "date"} - set(entry)
        for found in entry["valid"].values():
            assert found["queries"] == entry["questions"]["val"]
            assert set(found["metrics"]) == {"realistic", "optimistic", "pessimistic"}
    worldmoji = {(e["variant"], e["seed"]) for e in entries if e["dataset"] == "worldmoji"}
    controls = ("chance", "relation frequency", "relation mean", "text nearest neighbour")
    variants = (*controls, "triples alone", "text", "image", "text + image")
    assert worldmoji == {(variant, seed) for variant in variants for seed in (0, 1, 2)}


def test_the_pull_was_chosen_on_validation():
    for path in (RESULTS / "unseen").glob("*.json"):
        entry = json.loads(path.read_text(encoding="utf-8"))
        if "chosen_pull" in entry:
            assert set(entry["chosen_pull"].values()) <= {0.0, *entry["pulls"]}
            assert set(entry["chosen_pull"]) == set(entry["valid"])


def test_committed_results_on_linking():
    (path,) = (RESULTS / "linking").glob("*.json")
    entry = json.loads(path.read_text(encoding="utf-8"))
    assert entry["pairs_with_equal_text"] > 0.99 * entry["pairs"]  # which the README says
    for found in entry["rows"].values():
        assert found["candidates"] == 12842
        assert 0 <= found["realistic"]["hits@1"] <= found["realistic"]["mrr"] <= found["realistic"]["hits@10"] + 0.1


def test_committed_recall_of_faiss():
    entry = json.loads((RESULTS / "benchmarks" / "search.json").read_text(encoding="utf-8"))
    for found in entry["datasets"].values():
        recalls = [row["recall@10"] for row in sorted(found["faiss"], key=lambda row: row["probes"])]
        assert recalls == sorted(recalls)  # more cells hold all that fewer did
        assert recalls[-1] > 0.98
        for row in found["faiss"]:
            assert abs(row["recall@10"] - row["recall_said"]) < 0.1  # so that the index's own figure can be used


def test_search_is_measured_against_the_exact_one(monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.search import measure, table_of

    vectors = F.normalize(torch.randn(600, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    found = measure(vectors[50:], vectors[:50], [1, 24], 1)
    few, every = (row["recall@10"] for row in found["faiss"])  # 550 rows make 23 cells
    assert 0 < few < every == 1.0
    assert "| here (550) | FAISS, 24 probes | 1.000 |" in table_of({"here": found})


@pytest.mark.parametrize("final", [False, True])
def test_test_entities_are_asked_about_with_final_only(tmp_path, final):
    words = ["--variants", "triples alone", "--steps", "3", "--dim", "4", "--adapt-steps", "2", "--fraction", "0.01"]
    code = (
        "import sys; sys.argv[0] = 'unseen.py'; import torch, unseen; from mmkg.types import Features\n"
        "# random texts: encoding takes a minute and is tested elsewhere\n"
        "unseen.features_of = lambda d, w: {'text': Features(torch.rand(d.topology.num_nodes, 1, 3), torch.ones("
        "d.topology.num_nodes, 1, dtype=torch.bool), torch.arange(d.topology.num_nodes))}\n"
        f"unseen.RESULTS = __import__('pathlib').Path({str(tmp_path)!r})\n"
        "unseen.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words, "--root", str(tmp_path), "--record", *(["--final"] if final else [])],
        cwd=ROOT / "experiments",
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "experiments")]), "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stderr
    entries = [json.loads(p.read_text(encoding="utf-8")) for p in (tmp_path / "unseen").glob("*.json")]
    assert len(entries) == 5
    assert all(("test" in e) is final for e in entries)
    assert all({"0 shots", "0 shots, mean"} & set(e["valid"]) for e in entries)
