"""What mmkg doctor looks at, and what it says of what is not there."""

from importlib import metadata

import pytest

from mmkg.run import DATASETS, examine, health


def by_name(checks, part):
    return {check.name: check for check in checks if check.part == part}


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.delenv("MMKG_RAW", raising=False)
    return tmp_path / "datasets"


def test_it_looks_and_writes_nothing(empty):
    data = by_name(examine(empty), "data")
    assert set(data) == {"MMKG_RAW", *DATASETS}
    assert data["worldmoji"].state == "ok"
    assert (data["db15k"].state, "entity2id.txt" in data["db15k"].detail) == ("absent", True)
    assert "raw.githubusercontent.com" in data["db15k"].cure
    assert str(empty / "DB15K" / "raw") in data["db15k"].cure
    assert not empty.exists()


def test_raw_files_are_found_under_root_and_in_mmkg_raw(empty, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    for folder, name in ((empty, "train.txt"), (elsewhere, "valid.txt"), (elsewhere, "test.txt")):
        path = folder / "WN18" / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert by_name(examine(empty), "data")["wn18"].detail == "missing: valid.txt, test.txt"
    monkeypatch.setenv("MMKG_RAW", str(elsewhere))
    (elsewhere / "WN18" / "entity2text.tsv").touch()
    found = by_name(examine(empty), "data")["wn18"]
    assert (found.state, found.cure) == ("ok", "")
    assert str(elsewhere) in found.detail
    assert found.detail.endswith("beside it texts")


def test_a_variable_that_names_no_folder_is_a_problem(empty, tmp_path, monkeypatch):
    monkeypatch.setenv("MMKG_RAW", str(tmp_path / "mispelt"))
    found = by_name(examine(empty), "data")["MMKG_RAW"]
    assert (found.state, found.cure) == ("problem", "correct the variable, or unset it")


def test_packages_too_old_or_missing(empty, monkeypatch):
    real = metadata.version

    def version(name):
        if name == "networkx":
            return "1.0"
        if name in ("rich", "resvg-py"):
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(health.metadata, "version", version)
    found = by_name(examine(empty), "version")
    assert (found["networkx"].state, found["networkx"].detail) == ("problem", "1.0, wanted >=3.2")
    assert (found["rich"].state, found["rich"].cure) == ("problem", "pip install 'rich>=13.7'")
    assert (found["resvg-py [demo]"].state, found["resvg-py [demo]"].cure) == ("absent", "pip install 'mmkg[demo]'")
    assert found["torch"].state == "ok"


def test_what_was_made_can_be_deleted(empty):
    made = empty / "DB15K" / "processed"
    made.mkdir(parents=True)
    (made / "graph.pt").write_bytes(bytes(2_500_000))
    found = by_name(examine(empty), "cache")["db15k"]
    assert found.detail == f"{made}: 2.5 MB"
    assert "delete it" in found.cure


def test_every_thing_that_is_wrong_has_a_cure(empty):
    assert all(check.cure for check in examine(empty) if check.state == "problem")
