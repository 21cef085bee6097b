"""Spoiled files of every kind end in an error of ours or are read; ``benchmarks.fuzz`` tries a hundred thousand."""

import json
import os
import subprocess
import sys
from pathlib import Path

from mmkg.datasets import MultimodalFolder

ROOT = Path(__file__).parents[1]


def test_a_few_hundred_spoiled_files():
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.fuzz", "--inputs", "200", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["failed"] == 0
    assert found["inputs"] >= 190
    assert min(found["read"], found["refused"]) > 20


def test_names_in_user_data_lead_nowhere_outside_their_root(tmp_path):
    """Entities called like paths: no file outside the folder is read for them, none is written."""
    root = tmp_path / "root" / "own"
    (root / "images").mkdir(parents=True)
    names = [
        "../secret",
        "../../secret",
        str(tmp_path / "secret"),
        "/etc/passwd",
        "..",
        "images/../../secret",
        "<script>",
    ]
    triples = [f"{one}\tr\t{other}" for one, other in zip(names, [*names[1:], names[0]], strict=True)]
    (root / "train.tsv").write_text("\n".join(triples) + "\n", encoding="utf-8")
    for place in (tmp_path, tmp_path / "root"):
        (place / "secret.png").write_bytes(b"not for you")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    dataset = MultimodalFolder(root, log=False)
    assert dataset[0].num_nodes == len(names)
    assert dataset.image_paths() == [None] * len(names)
    after = {p for p in tmp_path.rglob("*") if p.is_file()} - before.keys()
    assert after
    assert all(p.is_relative_to(root / "processed") for p in after)
    assert all(p.read_bytes() == content for p, content in before.items())
