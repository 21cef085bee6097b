"""The directions of import between the rooms (DESIGN: dependencies point one way)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mmkg"
BASE = {"types", "errors", "files", "memory", "transfer"}
MAY_IMPORT = {
    "transfer": set(),
    "memory": {"errors"},
    "types": {"transfer"},
    "errors": set(),
    "files": {"errors"},
    "graph": BASE,
    "encoders": BASE,
    "scorers": BASE | {"graph"},
    "datasets": BASE | {"graph", "encoders"},
    "samplers": BASE | {"graph", "scorers"},
    "evaluation": BASE | {"graph", "scorers"},
    "training": BASE | {"graph", "scorers", "samplers", "evaluation"},
    "analysis": BASE | {"graph", "encoders", "samplers", "evaluation"},  # of encoders: how picture files are read
    "linking": BASE | {"graph", "encoders", "scorers", "samplers", "evaluation"},  # which entity a mention means
    # a run joins a dataset, a model and its training; the command line joins all; nothing imports the command line
    "run": BASE | {"graph", "datasets", "encoders", "scorers", "samplers", "evaluation", "training"},
    "terminal": BASE,
    "cli": BASE
    | {
        "terminal",
        "graph",
        "datasets",
        "encoders",
        "scorers",
        "samplers",
        "evaluation",
        "training",
        "analysis",
        "linking",
        "run",
    },
}


def room_of(path: Path) -> str:
    """The first part of a module's name below the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """Rooms of mmkg that a module imports, anywhere in it."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the direction; write the full name"
            names = [f"{node.module}.{a.name}" if node.module == "mmkg" else node.module for a in node.names]
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        else:
            continue
        rooms |= {name.split(".")[1] for name in names if name and name.startswith("mmkg.")}
    return rooms - {"__version__"}


MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    room = room_of(path)
    assert room in MAY_IMPORT, f"{room} is a room that DESIGN does not know: say here what it may import"
    assert imported_rooms(path) - {room} <= MAY_IMPORT[room]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_stay_readable(path):
    limit = 100 if room_of(path) == "scorers" and path.name not in ("__init__.py", "base.py") else 320
    assert len(path.read_text(encoding="utf-8").splitlines()) <= limit


def test_the_data_folder_is_no_python_package():
    assert not list((ROOT / "datasets").rglob("*.py"))


def test_sentence_transformers_imports_beside_the_data_folder():
    # a package called "datasets" in the working folder would shadow the one that sentence-transformers probes for
    done = subprocess.run(
        [sys.executable, "-c", "import sentence_transformers"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
