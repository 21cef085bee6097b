"""What a user installs: the wheel holds all it needs, the environments say the same, an import is quiet."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def name_of(requirement):
    return re.sub(r"[-_.]+", "-", requirement.name).lower()


def constraints():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {name_of(requirement): str(requirement.specifier).removeprefix("==") for requirement in pinned}


def required(*extras):
    words = [*PROJECT["dependencies"], *(word for extra in extras for word in EXTRAS[extra])]
    return [r for r in map(Requirement, words) if r.name != "mmkg"]


def test_environment_yml_is_a_wrapper_around_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, pip = environment["dependencies"]
    python = Requirement(next(word for word in conda if word.startswith("python")).replace("=", "=="))
    version = str(python.specifier).removeprefix("==")
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)
    told = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert f"Python {version}" in told
    words = [word.split(maxsplit=1) for word in pip["pip"]]
    assert {"--constraint", "--editable"} == {option for option, _ in words}
    options = dict(words)
    assert (ROOT / options["--constraint"]).is_file()
    (extra,) = re.fullmatch(r"\.\[(\w+)\]", options["--editable"]).groups()
    assert extra in EXTRAS
    assert "pip" in conda


def test_every_package_is_pinned_within_the_bounds():
    pinned = constraints()
    for requirement in required("demo", "test", "docs"):
        assert name_of(requirement) in pinned, f"constraints.txt does not pin {requirement.name}"
        version = pinned[name_of(requirement)]
        assert requirement.specifier.contains(version), f"{requirement} is pinned to {version}"


def test_extras_name_each_other_rightly():
    for words in EXTRAS.values():
        for requirement in map(Requirement, words):
            if requirement.name == "mmkg":
                assert requirement.extras <= set(EXTRAS)


@pytest.mark.parametrize("module", ["mmkg", "mmkg.cli"])
def test_import_is_quiet(module):
    done = subprocess.run([sys.executable, "-W", "error", "-c", f"import {module}"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with what the wheel holds, as pip would lay it out."""
    pytest.importorskip("hatchling", reason="pip install 'mmkg[test]' brings what builds the wheel")
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "site")
    return out / "site"


def away(site, folder, *words):
    """Run Python in a folder far from the repository, on what the wheel holds."""
    environment = {"PYTHONPATH": f"{site}:{':'.join(sys.path)}", "PATH": "/usr/bin:/bin", "COLUMNS": "200"}
    return subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)


def test_the_wheel_holds_the_files_that_are_no_code(installed):
    here = {p.relative_to(ROOT / "mmkg") for p in (ROOT / "mmkg").rglob("*") if p.suffix in (".html", ".css", ".js")}
    assert here
    assert {p for p in here if not (installed / "mmkg" / p).is_file()} == set()
    facts = ROOT / "datasets" / "worldmoji" / "raw"
    for path in facts.iterdir():
        assert (installed / "mmkg" / "datasets" / "worldmoji_raw" / path.name).read_bytes() == path.read_bytes()


def test_the_wheel_holds_nothing_else(installed):
    assert {p.name for p in installed.iterdir() if not p.name.endswith(".dist-info")} == {"mmkg"}


def test_the_wheel_serves_away_from_the_repository(installed, tmp_path):
    done = away(installed, tmp_path, "-c", "import mmkg; print(mmkg.__file__)")
    assert done.stdout.strip() == str(installed / "mmkg" / "__init__.py"), done.stderr
    done = away(installed, tmp_path, "-m", "mmkg.cli", "report", "worldmoji", "--out", "page.html", "--no-paths")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "datasets" / "worldmoji" / "processed").is_dir()  # of the facts that the wheel holds
    assert "borders" in (tmp_path / "page.html").read_text(encoding="utf-8")  # by the templates that it holds
