"""The command that makes a page about a dataset."""

import json

import pytest


def test_the_page_of_worldmoji(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = call("report", "worldmoji", "--root", tmp_path)
    assert status == 0
    assert out.startswith("worldmoji-report.html: 0 problems, ")
    html = (tmp_path / "worldmoji-report.html").read_text(encoding="utf-8")
    assert "Report on WorldMoji" in html
    assert "borders⁻¹ ⇒ borders" in html


def test_ones_own_folder_for_programs(call, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "triples.tsv").write_text("".join(f"a{n}\tr\tb{n}\n" for n in range(9)), encoding="utf-8")
    words = ["--out", tmp_path / "p.html", "--root", tmp_path / "other", "--no-paths", "--json"]
    status, out, _ = call("report", folder, *words)
    told = json.loads(out)
    assert status == 0
    assert told["bytes"] == (tmp_path / "p.html").stat().st_size
    assert told["notes"] == ["Transitive relations and compositions were not looked for."]
    assert list(folder.iterdir()) == [folder / "triples.tsv"]


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["nothing"], 1, "unknown dataset 'nothing'. Cure: choose one of"),
        (["worldmoji", "--min-support", 0], 2, "--min-support"),
        (["worldmoji", "--split-policy", "clean"], 2, "only db15k has split policies"),
        (["worldmoji", "-k", 0], 2, "-k"),
    ],
)
def test_bad_input_is_told(call, tmp_path, monkeypatch, words, status, told):
    monkeypatch.chdir(tmp_path)
    found, _, err = call("report", *words, "--root", tmp_path)
    assert (found, told in err) == (status, True), err
