"""The command that makes a page of hard negatives."""

import json

import pytest


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    from mmkg.run import Run, RunConfig, SamplerConfig
    from mmkg.training import TrainConfig

    root = tmp_path_factory.mktemp("datasets")
    sampler = SamplerConfig(negatives=4, pool=64, modalities=("structure",))
    config = RunConfig(
        root=str(root), dim=8, sampler=sampler, train=TrainConfig(steps=2, batch_size=32, validate_every=0)
    )
    return Run.train(config, tmp_path_factory.mktemp("runs") / "run", progress=False).folder


def test_the_page_lies_in_the_run(call, run_folder):
    status, out, _ = call("gallery", run_folder, "--questions", 3, "-k", 2, "--relation", "borders")
    assert status == 0
    page = run_folder / "gallery.html"
    assert f"{page}: 3 questions" in out
    assert "note: MMRNS does not look at pictures in this run." in out
    html = page.read_text(encoding="utf-8")
    assert html.count("<article") == 3
    assert html.count('data-relation="borders"') == 3
    assert "OpenMoji" in html  # the pictures' authors are named where the pictures are shown


def test_for_programs_and_elsewhere(call, run_folder, tmp_path):
    words = ["--out", tmp_path / "sub" / "g.html", "--side", "both", "--split", "train", "--other", run_folder]
    status, out, _ = call("gallery", run_folder, "--questions", 2, *words, "--json")
    told = json.loads(out)
    assert status == 0
    assert told["page"] == str(tmp_path / "sub" / "g.html")
    assert told["bytes"] == (tmp_path / "sub" / "g.html").stat().st_size
    assert (tmp_path / "sub" / "g.html").read_text(encoding="utf-8").count("<article") == 4


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["nowhere"], 1, "nowhere: no such run"),
        (["RUN", "--other", "nowhere"], 1, "nowhere: no such run"),
        (["RUN", "--questions", "0"], 1, "0 questions. Cure: ask for 1 to 300"),
        (["RUN", "--side", "left"], 1, "side 'left'. Cure: choose head or tail"),
        (["RUN", "--split", "test"], 1, "choose val or train; test is for the final evaluation"),
        (["RUN", "--relation", "bordrs"], 1, "unknown relation 'bordrs'. Nearest: borders"),
        (["RUN", "-k", "0"], 1, "0 negatives a question"),
        (["RUN", "--max-mb", "0"], 1, "max_mb is 0.0. Cure: give at least 0.25"),
        (["RUN", "--candidates", "0"], 2, "--candidates"),
    ],
)
def test_bad_input_is_one_line(call, run_folder, tmp_path, monkeypatch, words, status, told):
    monkeypatch.chdir(tmp_path)
    found, _, err = call("gallery", *(run_folder if w == "RUN" else w for w in words))
    assert (found, told in err) == (status, True), err
    assert "Traceback" not in err
