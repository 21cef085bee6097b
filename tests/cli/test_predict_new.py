"""mmkg predict RUN --new my.png --text "…": an entity that the graph does not hold, with the bundled encoders."""

import json

import pytest
from PIL import Image

LINES = [
    "Paris\tcapital of\tFrance",
    "Rome\tcapital of\tItaly",
    "Vienna\tcapital of\tAustria",
    "France\tborders\tItaly",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six places with a sentence each, two with a flag."""
    folder = tmp_path_factory.mktemp("own") / "places"
    folder.mkdir()
    (folder / "train.tsv").write_text("\n".join(LINES) + "\n")
    (folder / "valid.tsv").write_text("Austria\tborders\tItaly\n")
    (folder / "test.tsv").write_text("")
    what = {
        "Paris": "city",
        "Rome": "city",
        "Vienna": "city",
        "France": "country",
        "Italy": "country",
        "Austria": "country",
    }
    (folder / "entities.tsv").write_text("".join(f"{n}\t{n}\t{n} is a {w}.\n" for n, w in what.items()))
    (folder / "images").mkdir()
    for name, colour in (("France", (0, 0, 255)), ("Italy", (0, 150, 0))):
        Image.new("RGB", (40, 30), colour).save(folder / "images" / f"{name}.png")
    return folder


@pytest.fixture
def run(call, folder, tmp_path):
    words = ["--scorer", "complex", "--objective", "one_vs_all", "--dim", 4, "--steps", 4, "--validate-every", 2]
    status, _, err = call("train", folder, "--out", tmp_path / "run", "--fusion", "linear", *words, "--json")
    assert (status, err) == (0, "")
    return tmp_path / "run"


def test_answers_and_errors(call, run, tmp_path):
    flag = tmp_path / "my.png"
    Image.new("RGBA", (64, 48), (255, 0, 0, 128)).save(flag)
    about = ["--new", flag, "--text", "A small country in the Alps.", "--relation", "borders"]
    status, out, err = call("predict", run, *about, "-k", 3, "--fact", "?|borders|Austria", "--json")
    assert (status, err) == (0, "")
    rows = json.loads(out)
    assert [row["rank"] for row in rows] == [1, 2, 3]
    status, out, _ = call("predict", run, *about, "--fact", "?|borders|Austria", "--new-only", "--json")
    assert status == 0
    assert {row["entity"] for row in json.loads(out)} == {"Paris", "Rome", "Vienna", "France", "Italy"}
    status, out, _ = call("predict", run, *about, "--new-is", "tail")
    assert status == 0
    assert "?, borders, new entity" in out
    for words, told, expected in (
        (["--text", ""], "the text is empty", 1),
        (["--new", tmp_path / "none.png"], "picture not usable: no such file", 1),
        (["--text", "x", "--fact", "borders Austria"], "fact 'borders Austria'", 1),
        (["--text", "x", "--head", "France"], "leave them out, see --new-is", 2),
        (["--text", "x", "--new-is", "both"], "choose head or tail", 1),
    ):
        status, out, err = call("predict", run, "--relation", "borders", *words)
        assert (status, out) == (expected, "")
        assert told in err
        assert "Traceback" not in err
