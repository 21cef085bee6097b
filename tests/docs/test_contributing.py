"""The diffs in CONTRIBUTING.md apply to the tree as it is, are short, and do what the page says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
DIFFS = dict(re.findall(r"^## A (\w+)\n.*?```diff\n(.*?)```", PAGE, re.M | re.S))
DATASET_TEST = """
import torch
from mmkg.datasets import YAGO3_10

def test_yago(tmp_path, monkeypatch):
    raw = tmp_path / "elsewhere" / "YAGO3-10" / "raw"
    raw.mkdir(parents=True)
    (raw / "train.txt").write_text("Ada\\tknows\\tBob\\nBob\\tknows\\tAda\\n")
    (raw / "valid.txt").touch()
    (raw / "test.txt").write_text("Ada\\tlikes\\tBob\\n")
    monkeypatch.setenv("MMKG_RAW", str(tmp_path / "elsewhere"))
    data = YAGO3_10(tmp_path / "datasets", log=False)[0]
    assert data.entity_names == ["Ada", "Bob"]
    assert data.relation_names == ["knows", "likes"]
    assert torch.equal(data.test_mask, torch.tensor([False, False, True]))
"""


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """A copy of the tree with all three diffs applied."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("mmkg", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(tree.parent)}
    for kind, diff in DIFFS.items():
        done = subprocess.run(
            ["git", "apply", "-"], cwd=tree, input=diff, text=True, capture_output=True, env=environment
        )
        assert done.returncode == 0, f"the diff of a {kind} no longer applies: {done.stderr}"
    (tree / "tests" / "datasets" / "test_yago.py").write_text(DATASET_TEST)
    return tree


def test_there_are_three_and_each_is_short():
    assert set(DIFFS) == {"scorer", "sampler", "dataset"}
    assert all(len(diff.splitlines()) < 60 for diff in DIFFS.values())


def test_they_pass_the_checks_that_they_name(changed):
    files = ["scorers/test_scorers.py", "samplers/test_every_sampler.py", "datasets/test_yago.py", "cli/test_whole.py"]
    wanted = "(equation and toruse) or (known_answer and rare) or yago or names_known"
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", wanted, *(f"tests/{file}" for file in files)]
    environment = os.environ | {"PYTHONPATH": str(changed)}
    done = subprocess.run([sys.executable, *words], cwd=changed, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    # 2 sizes with and without reciprocal relations, one sampler, one dataset, five lists of names
    assert len(re.findall(r"\.", done.stdout.splitlines()[0].split("[")[0])) == 11, done.stdout


def test_they_pass_ruff(changed):
    for words in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "mmkg", "tests/scorers"], cwd=changed, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout
