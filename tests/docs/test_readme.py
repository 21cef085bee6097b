"""The README's table beside others holds for this library, links lead somewhere, the newcomer knows what to type."""

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch_geometric.nn.kge

from mmkg import cli
from mmkg.samplers import SAMPLERS
from mmkg.scorers import SCORERS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WRITTEN = [ROOT / f"{name}.md" for name in ("README", "ARCHITECTURE", "CONTRIBUTING", "datasets/README")]


def row(name):
    """Cells of a row of the table beside others."""
    table = README.split("## Beside others")[1].split("## ")[0]
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {name}")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_the_counts_are_those_of_the_code():
    assert int(row("scorers")[0]) == len(SCORERS)
    assert int(row("scorers")[2]) == len(torch_geometric.nn.kge.classes) - 1  # less the base
    assert row("negatives")[0].startswith(f"by {len(SAMPLERS)} laws")


def test_the_speeds_are_those_of_the_benchmark():
    benchmark = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    (measured,) = re.findall(r"^\| RotatE \(4,000 queries\) \|(.*)\|$", benchmark, re.M)
    ours, _, _, _, pykeen, _, pyg, _ = [cell.strip() for cell in measured.split("|")]
    told = row("questions ranked")
    assert (told[0], told[1], told[2].split()[0]) == (ours, pykeen, pyg)


@pytest.mark.parametrize(
    "page", [*WRITTEN, *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda p: str(p.relative_to(ROOT))
)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http:", "https:", "#")):
            assert (page.parent / target.split("#")[0]).exists(), f"{page}: {target}"


def test_the_newcomer_types_what_the_readme_says():
    words = [sys.executable, str(ROOT / ".ci" / "newcomer.py"), "--list"]
    typed = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert typed[0].split(": ", 1)[1] in README
    commands = [line.split(": ", 1)[1] for line in typed[1:]]
    known = {command.__name__ for command in cli.COMMANDS}
    assert {command.split()[1] for command in commands} <= known
    assert {"predict", "negatives", "gallery", "train"} <= {command.split()[1] for command in commands}


@pytest.fixture(scope="module")
def newcomer():
    about = importlib.util.spec_from_file_location("newcomer", ROOT / ".ci" / "newcomer.py")
    module = importlib.util.module_from_spec(about)
    about.loader.exec_module(module)
    return module


def test_the_newcomers_own_graph_is_trained_and_queried(newcomer, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "triples.tsv").write_text("\n".join(newcomer.ZOO) + "\n")
    for command in newcomer.ZOO_COMMANDS:
        monkeypatch.setattr("sys.argv", shlex.split(command))
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code
    answers = json.loads(capsys.readouterr().out.split("runs/zoo\n")[1])
    assert len(answers) == 3
    assert {row["entity"] for row in answers} <= {"animal", "cat", "dog", "mammal", "mouse"}


def test_the_newcomer_sees_what_a_page_shows_and_what_it_would_fetch(newcomer):
    page = newcomer.Page()
    page.feed('<img src="data:image/png;base64,AA"><a href="https://a.b">c</a><script src="https://d.e/f.js"></script>')
    assert (page.pictures, page.fetched) == (1, ["https://d.e/f.js"])
