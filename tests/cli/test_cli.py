"""The command line: what it prints, its exit status, and no traceback for bad input."""

import inspect
import json
import shutil

import pytest
import torch

from mmkg import cli
from mmkg.analysis import read_census


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    from mmkg.run import Run, RunConfig, SamplerConfig
    from mmkg.training import TrainConfig

    root = tmp_path_factory.mktemp("datasets")
    sampler = SamplerConfig(negatives=4, pool=64, modalities=("structure",))
    config = RunConfig(
        root=str(root), dim=8, sampler=sampler, train=TrainConfig(steps=3, batch_size=32, validate_every=3)
    )
    return Run.train(config, tmp_path_factory.mktemp("runs") / "run", progress=False).folder


def test_help_of_train_names_every_scorer():
    from typing import get_args

    from mmkg.scorers import SCORERS

    told = get_args(inspect.signature(cli.train, eval_str=True).parameters["scorer"].annotation)[1].help
    assert told.rstrip(".").replace(" or ", ", ").split(", ") == list(SCORERS)


def test_help_lists_the_commands(call):
    status, out, _ = call("--help")
    assert status == 0
    for command in ("datasets", "train", "evaluate", "predict", "negatives", "export"):
        assert command in out


def test_datasets(call):
    status, out, _ = call("datasets", "--json")
    assert status == 0
    assert {row["name"] for row in json.loads(out)} >= {"worldmoji", "db15k"}
    assert "WorldMoji" in call("datasets")[1]


def test_train_evaluate_predict_export(call, tmp_path):
    words = ["--root", tmp_path / "data", "--out", tmp_path / "run", "--sampler", "uniform", "--dim", 8, "--steps", 3]
    status, out, _ = call("train", "worldmoji", *words, "--batch-size", 32, "--validate-every", 3, "--json")
    assert status == 0
    assert json.loads(out)["metrics"]["realistic"]["mrr"] > 0
    status, out, _ = call("evaluate", tmp_path / "run", "--split", "test", "--json")
    assert status == 0
    assert json.loads(out)["split"] == "test"
    assert (tmp_path / "run" / "test_looks.csv").exists()
    status, out, _ = call("predict", tmp_path / "run", "--head", "France", "--relation", "borders", "-k", 3, "--json")
    assert (status, len(json.loads(out))) == (0, 3)
    status, out, _ = call("export", tmp_path / "run")
    assert status == 0
    assert (tmp_path / "run" / "export" / "entities.parquet").exists()


def test_train_with_a_census(call, tmp_path):
    words = [
        "train",
        "worldmoji",
        "--steps",
        4,
        "--validate-every",
        0,
        "--census-every",
        2,
        "--json",
        "--out",
        tmp_path / "run",
    ]
    assert call(*words, "--sampler", "uniform")[0] == 0
    rows = read_census(tmp_path / "run" / "census")
    assert set(rows.source) == {"sampler", "uniform"}
    status, _, err = call(*words[:-1], tmp_path / "other", "--objective", "one_vs_all")
    assert status == 1
    assert "draws no negatives" in err


def test_tables_for_people(call, run_folder):
    status, out, _ = call("evaluate", run_folder)
    assert status == 0
    for word in ("realistic", "optimistic", "pessimistic", "category", "tail"):
        assert word in out
    status, out, _ = call("predict", run_folder, "--tail", "Paris", "--relation", "capital_of")
    assert status == 0
    assert "?, capital_of, Paris" in out
    status, out, _ = call("predict", run_folder, "--head", "Paris", "--tail", "France")
    assert status == 0
    assert "Paris, ?, France" in out
    status, out, _ = call("predict", run_folder, "--head", "Paris", "--relation", "capital_of", "--tail", "France")
    assert "a known fact" in out


def test_negatives(call, run_folder, tmp_path):
    picture = tmp_path / "negatives.png"
    status, out, _ = call("negatives", run_folder, "--questions", 2, "-k", 3, "--picture", picture)
    assert status == 0
    assert "hard negative" in out
    assert picture.read_bytes()[:4] == b"\x89PNG"
    rows = json.loads(call("negatives", run_folder, "--questions", 2, "-k", 3, "--json")[1])
    assert len(rows) == 6


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (
            ["train", "worldmoji", "--scorer", "transx"],
            1,
            "unknown scorer 'transx'. Cure: choose one of autosf, complex,",
        ),
        (["train", "worldmoji", "--steps", "0"], 1, "steps is 0, must be at least 1"),
        (["train", "worldmoji", "--modalities", "image,sound"], 1, "modalities ['image', 'sound']"),
        (
            ["train", "worldmoji", "--split-policy", "clean"],
            1,
            "WorldMoji has no option 'split_policy'. Cure: leave it out",
        ),
        (["train", "nothing"], 1, "unknown dataset 'nothing'"),
        (["train", "./nothing/"], 1, "./nothing/: no such folder. Cure: check the path"),
        (["train", __file__], 1, "test_cli.py: not a folder. Cure: give the folder that holds the triples"),
        (["evaluate", "nowhere"], 1, "nowhere: no such run"),
        (["evaluate", __file__], 1, "test_cli.py: no such run. Cure: give the folder"),
        (["predict", "RUN", "--relation", "borders", "--head", "Frence"], 1, "unknown entity 'Frence'. Nearest: "),
        (["predict", "RUN", "--relation", "borders"], 1, "a question needs two of head, relation and tail"),
        (["evaluate", "RUN", "--split", "train"], 1, "split 'train'. Cure: choose val or test"),
        (["predict", "RUN"], 1, "a question needs two of head, relation and tail"),
        (["predict", "RUN", "--text", "a country"], 2, "give --relation"),
        (["negatives", "RUN", "-k", "-1"], 2, "-k"),
        (["negatives", "RUN", "-k", "99999"], 1, "99999 negatives a question. Cure: ask for 1 to 2167"),
    ],
)
def test_bad_input_is_one_line(call, run_folder, tmp_path, monkeypatch, words, status, told):
    monkeypatch.chdir(tmp_path)
    found, _, err = call(*(run_folder if w == "RUN" else w for w in words))
    assert found == status
    assert told in err
    assert "Traceback" not in err
    if status == 1:
        assert len(err.strip().splitlines()) == 1
    assert not list(tmp_path.glob("runs/*"))


def test_debug_gives_the_traceback(call):
    from mmkg.errors import DataError

    with pytest.raises(DataError):
        call("evaluate", "nowhere", "--debug")


def test_a_damaged_run_says_what_to_do(call, run_folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run_folder, copy)
    model = copy / "model.safetensors"
    model.write_bytes(model.read_bytes()[:50])
    status, _, err = call("evaluate", copy)
    assert status == 1
    assert "model.safetensors: not a whole mmkg file" in err


def test_names_are_text_and_no_markup(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    cli.print_table([{"a[b]": "x [live] [/x]"}], title="Foo [live], [/x], ?")
    out = capsys.readouterr().out
    assert "Foo [live], [/x], ?" in out
    assert "x [live] [/x]" in out
    assert "a[b]" in out


def test_being_stopped_has_its_own_exit_status(call, monkeypatch):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as status:
        cli.main_guard(stop)
    assert status.value.code == 130


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "out of memory (MemoryError)"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "can't allocate memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out of memory (CUDA out of memory)"),
    ],
)
def test_a_lack_of_memory_is_one_line_with_a_cure(error, told, capsys):
    def grow():
        raise error

    with pytest.raises(SystemExit) as status:
        cli.main_guard(grow)
    shown = capsys.readouterr().err
    assert status.value.code == 1
    assert told in shown
    assert "Cure: a smaller --batch-size" in shown
    assert shown.count("\n") == 1


def test_an_error_of_ours_is_not_hidden():
    def wrong():
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        cli.main_guard(wrong)
