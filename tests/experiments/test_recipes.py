"""The recipes: chosen on validation, refit on both splits, test looked at with --final only, once, and noted."""

import csv
import importlib.util
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

from mmkg.run import DATASETS, RunConfig, SamplerConfig, check_names
from mmkg.training import TrainConfig, Trainer, TrainingInterrupted

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
RECIPES = ("mkg_y", "mkg_w", "fb15k", "fb15k_237", "wn18", "wn18rr", "db15k")


def load(name, monkeypatch):
    """An experiment script as a module."""
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    spec = importlib.util.spec_from_file_location(name, EXPERIMENTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def fresh_accelerator():
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("recipe")


@pytest.fixture
def call(folder, monkeypatch):
    """Run a small recipe on WorldMoji with some words on its command line."""
    recipe = load("recipe", monkeypatch)
    full = RunConfig(
        dataset="worldmoji",
        scorer="complex",
        dim=4,
        reciprocal=True,
        initial_std=1e-2,
        objective="one_vs_all",
        train=TrainConfig(
            epochs=2,
            batch_size=2000,
            both_sides=True,
            optimizer="adagrad",
            learning_rate=0.1,
            schedule="constant",
            regulariser="n3",
            regulariser_weight=1e-3,
            validate_every=1,
        ),
    )
    drawn = replace(
        RunConfig(dataset="worldmoji", dim=4),
        sampler=SamplerConfig(name="uniform", negatives=3),
        train=TrainConfig(steps=2, batch_size=32, schedule="constant", validate_every=0),
    )

    def run(*words):
        where = ["--root", str(folder / "data"), "--out", str(folder / "runs"), "--results", str(folder / "results")]
        monkeypatch.setattr(sys, "argv", ["recipe.py", *where, *words])
        recipe.run_recipe("a recipe", full, drawn)

    return run


def looks(folder):
    path = folder / "results" / "TEST_LOOKS.csv"
    return list(csv.DictReader(path.open(encoding="utf-8"))) if path.exists() else []


def results(folder, name="results"):
    paths = sorted((folder / name / "worldmoji").glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def test_choose_refit_and_look_once(call, folder, capsys):
    call("--refit", "--regulariser-weight", "1e-3", "1e-1", "--seeds", "3", "4")
    assert '"test": ' not in capsys.readouterr().out
    assert not looks(folder)
    assert not (folder / "results").exists()  # nothing is written without --record
    runs = {p.name for p in (folder / "runs").iterdir()}
    assert len([r for r in runs if "refit" in r]) == 2
    assert len([r for r in runs if "refit" not in r]) == 2  # one for each weight: the first seed chooses
    for _ in range(2):
        call("--refit", "--regulariser-weight", "1e-3", "1e-1", "--seeds", "3", "4", "--final", "--record")
    assert '"test": ' in capsys.readouterr().out
    found = looks(folder)
    assert [(x["dataset"], x["seed"]) for x in found] == [("worldmoji", "3"), ("worldmoji", "4")]  # once, not twice
    assert all(x["config"] and x["date"] and x["test_mrr"] for x in found)
    assert {p.name for p in (folder / "runs").iterdir()} == runs
    entries = results(folder)
    assert len(entries) == 4
    chosen = [e for e in entries if "test" not in e]
    best = max(chosen, key=lambda e: e["valid"]["realistic"]["mrr"])
    for entry in (e for e in entries if "test" in e):
        assert entry["trained_on"] == ["train", "val"]
        assert entry["config"]["train"]["regulariser_weight"] == best["config"]["train"]["regulariser_weight"]
        assert entry["valid"]["realistic"]["mrr"] == best["valid"]["realistic"]["mrr"]
        assert entry["chosen_by"]["best_step"] == best["best_step"]
        assert entry["steps"] == best["best_step"] / best["steps_per_epoch"] * entry["steps_per_epoch"]


def what_counts(entries):
    """Results without what differs from hour to hour."""
    timeless = [[{k: v for k, v in point.items() if k != "seconds"} for point in e["history"]] for e in entries]
    return [(e["valid"], e["best_step"], e["steps"], history) for e, history in zip(entries, timeless, strict=True)]


@pytest.mark.parametrize("at", [1, 3, 4])
def test_twice_and_stopped_is_the_same(call, folder, tmp_path, monkeypatch, at):
    step = Trainer._train_step

    def stopping(trainer):
        found = step(trainer)
        if trainer.step + 1 == at:
            os.kill(os.getpid(), signal.SIGTERM)
        return found

    here = ["--record", "--seeds", "5", "--results"]
    call(*here, str(tmp_path / "whole"), "--out", str(tmp_path / "runs"))
    elsewhere = [*here, str(tmp_path / "parted"), "--out", str(tmp_path / "other")]
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_train_step", stopping)
        with pytest.raises(TrainingInterrupted):
            call(*elsewhere)
    assert not results(tmp_path, "parted")
    call(*elsewhere)
    found = [results(tmp_path, name) for name in ("whole", "parted")]
    assert len(found[0]) == 1
    assert what_counts(found[0]) == what_counts(found[1])


def test_drawn_negatives_start_from_their_own_settings(call, folder):
    call("--sampler", "uniform", "--scorer", "transe", "--steps", "3", "--negatives", "5", "--margin", "2", "--record")
    (entry,) = [e for e in results(folder) if e["sampler"] == "uniform"]
    assert (entry["scorer"], entry["objective"], entry["steps"]) == ("transe", "self_adversarial", 3)
    assert (entry["config"]["sampler"]["negatives"], entry["config"]["margin"]) == (5, 2.0)
    assert "probe_loss" in entry
    assert "test" not in entry


def test_a_name_tells_settings_apart_and_nothing_else(monkeypatch):
    from_common = load("common", monkeypatch).short_hash
    config = RunConfig(dataset="mkg_y", options={"a": 1})
    same = [replace(config, root="elsewhere"), replace(config, train=replace(config.train, seed=7))]
    assert {from_common(c) for c in same} == {from_common(config)}
    other = [
        replace(config, dim=7),
        replace(config, options={"a": 2}),
        replace(config, sampler=replace(config.sampler, pool=9)),
        replace(config, train=replace(config.train, regulariser="n3", regulariser_weight=0.1)),
    ]
    assert len({from_common(c) for c in [config, *other]}) == 5


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_whole(name, monkeypatch):
    module = load(name, monkeypatch)
    assert module.RECIPE.dataset == module.NEGATIVES.dataset == name
    assert name in DATASETS
    for config in (module.RECIPE, module.NEGATIVES):
        check_names(config)
    assert module.RECIPE.train.schedule == "constant"  # so that a refit may end at another epoch
    assert module.RECIPE.train.validate_every
    for due in (f"python experiments/{name}.py", "--final", "Expected", "MRR"):
        assert due in module.__doc__
    assert "TODO" not in module.__doc__


def test_each_committed_test_result_has_its_look():
    path = EXPERIMENTS / "results" / "TEST_LOOKS.csv"
    noted = {(x["dataset"], x["seed"], x["test_mrr"]) for x in csv.DictReader(path.open(encoding="utf-8"))}
    for file in sorted((EXPERIMENTS / "results").glob("*/*-refit-*.json")):
        entry = json.loads(file.read_text(encoding="utf-8"))
        assert (entry["dataset"], str(entry["seed"]), str(entry["test"]["realistic"]["mrr"])) in noted, file
