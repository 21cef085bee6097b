"""Options of ``mmkg train`` reach the settings under their own names."""

import inspect
import json
from dataclasses import fields
from typing import get_args

import pytest

from mmkg import cli
from mmkg.cli import fit
from mmkg.run import RunConfig, SamplerConfig
from mmkg.samplers import SAMPLERS
from mmkg.training import OBJECTIVES, OPTIMIZERS, REGULARISERS, TrainConfig


def words_of(option):
    told = get_args(inspect.signature(cli.train, eval_str=True).parameters[option].annotation)[1].help
    return told.rstrip(".").replace(" or ", ", ").split(", ")


@pytest.mark.parametrize(
    ("option", "known"),
    [
        ("objective", OBJECTIVES),
        ("optimizer", OPTIMIZERS),
        ("regulariser", REGULARISERS),
        ("sampler", SAMPLERS),
    ],
)
def test_help_names_every_choice(option, known):
    assert words_of(option) == list(known)


def test_every_option_is_the_name_of_a_setting():
    known = {f.name for kind in (RunConfig, SamplerConfig, TrainConfig) for f in fields(kind)}
    other = {
        "out",
        "resume",
        "json",
        "split_policy",
        "pool_memory",
        "sampler_option",
        "census",
        "census_every",
        "track",
    }  # handled one by one
    assert set(inspect.signature(cli.train).parameters) - other <= known


def test_defaults_are_those_of_the_settings_but_for_validation():
    defaults = {n: p.default for n, p in inspect.signature(cli.train).parameters.items()}
    for kind in (RunConfig, TrainConfig, SamplerConfig):
        for field in fields(kind):
            if field.name in defaults and field.name not in ("dataset", "sampler", "train", "modalities", "fuse_with"):
                own = {"validate_every": 500, "steps": fit.STEPS}  # None where the other kind of number is given
                expected = own["validate_every"] if field.name == "validate_every" else field.default
                assert own.get(field.name, defaults[field.name]) == expected, field.name


def test_a_recipe_by_hand_and_its_refit(call, tmp_path):
    words = "--scorer complex --dim 4 --reciprocal --initial-std 0.01 --objective one_vs_all --label-smoothing 0.1 "
    words += "--epochs 1 --batch-size 2000 --both-sides --together 4 --optimizer adagrad --learning-rate 0.1 "
    words += "--schedule constant --regulariser n3 --regulariser-weight 0.01 --relation-weight 0.1 --seed 2"
    where = ["--root", tmp_path / "data"]
    status, out, error = call("train", "worldmoji", *where, "--out", tmp_path / "run", *words.split(), "--json")
    assert status == 0, error
    assert json.loads(out)["metrics"]["realistic"]["mrr"] > 0
    config = RunConfig.load(tmp_path / "run" / "config.json")
    assert (config.reciprocal, config.initial_std, config.label_smoothing) == (True, 0.01, 0.1)
    train = config.train
    assert (train.epochs, train.both_sides, train.together, train.optimizer) == (1, True, 4, "adagrad")
    assert (train.regulariser, train.regulariser_weight, train.relation_weight) == ("n3", 0.01, 0.1)
    assert (train.schedule, train.validate_every, train.memory_mb, train.seed) == ("constant", 5, 256.0, 2)
    status, out, error = call(
        "train", "worldmoji", *where, "--out", tmp_path / "two", *words.split(), "--refit", "--json"
    )
    assert status == 0, error
    assert json.loads(out) == {"run": str(tmp_path / "two")}
    assert RunConfig.load(tmp_path / "two" / "config.json").refit
    status, _, error = call("evaluate", tmp_path / "two")
    assert status == 1
    assert "a refit is trained on validation" in error


def test_mmrns_options_reach_the_sampler(call, tmp_path):
    words = "--dim 4 --steps 1 --batch-size 8 --modalities structure --pool 50 --pool-kind typed --pool-memory 64 "
    words += "--epsilon 0.5 --validate-every 0 --negatives 3 --json"
    where = ["--root", tmp_path / "data", "--out", tmp_path / "run"]
    status, _, error = call("train", "worldmoji", *where, *words.split())
    assert status == 0, error
    sampler = RunConfig.load(tmp_path / "run" / "config.json").sampler
    assert (sampler.pool_kind, sampler.memory_mb, sampler.modalities) == ("typed", 64.0, ("structure",))
    assert sampler.epsilon == 0.5


def test_the_folder_is_called_after_what_is_trained_against(call, tmp_path, monkeypatch):
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "triples.tsv").write_text("cat\tis_a\tmammal\nmammal\tis_a\tanimal\n")
    monkeypatch.chdir(tmp_path)
    words = "train zoo --scorer distmult --dim 4 --steps 1 --validate-every 0 --sampler uniform --json"
    assert json.loads(call(*words.split())[1])["run"] == "runs/zoo-distmult-uniform-0"
    assert json.loads(call(*words.split(), "--objective", "k_vs_all")[1])["run"] == "runs/zoo-distmult-k_vs_all-0"


def test_resume_says_where_there_is_nothing_to_go_on_from(call, tmp_path):
    words = "--scorer distmult --sampler uniform --dim 4 --steps 1 --batch-size 8 --validate-every 0 --json --resume"
    where = ["--root", tmp_path / "data", "--out", tmp_path / "run"]
    status, _, error = call("train", "worldmoji", *where, *words.split())
    assert (status, error.strip()) == (0, f"{tmp_path / 'run'}: nothing to go on from, starting anew")
    status, _, error = call("train", "worldmoji", *where, *words.split())
    assert (status, error) == (0, "")


def test_options_of_other_samplers(call, tmp_path):
    words = "--sampler frequency --sampler-option power=0.5 --sampler-option count=same --steps 1 --dim 4 "
    words += "--batch-size 8 --validate-every 0 --json"
    where = ["--root", tmp_path / "data", "--out", tmp_path / "run"]
    status, _, error = call("train", "worldmoji", *where, *words.split())
    assert status == 0, error
    config = RunConfig.load(tmp_path / "run" / "config.json")
    assert (config.sampler.options, config.options) == ({"power": 0.5, "count": "same"}, {})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--regulariser", "n3"], "give both"),
        (["--together", "4"], "needs both_sides"),
        (["--refit", "--validate-every", "3"], "validation is trained on"),
        (["--pool-memory", "much"], "memory_mb 'much'. Cure: give MiB above 0, auto, or nothing"),
        (["--fuse-with", "text"], "fuse-with text and no fusion. Cure: add --fusion linear"),
        (["--fuse-scale", "length"], "fuse-scale length and no fusion. Cure: add --fusion linear"),
        (["--fusion", "linear", "--fuse-scale", "small"], "unknown fuse_scale 'small'"),
        (["--steps", "3", "--epochs", "1"], "3 steps and 1 epochs. Cure: give one of the two"),
        (["--sampler", "nscaching", "--sampler-option", "cache_size=a"], "nscaching: cache_size is 'a', not a number"),
        (["--sampler", "nscaching", "--sampler-option", "cache"], "write NAME=VALUE"),
        (["--sampler", "nscaching", "--sampler-option", "colour=1"], "sampler nscaching has no option 'colour'"),
        (["--sampler", "mmrns", "--sampler-option", "epsilon=1"], "sampler mmrns has no option 'epsilon'"),
        (["--sampler", "mans"], "fused entities"),
        (["--track", "aim"], "unknown tracker 'aim'. Cure: choose out of tensorboard, wandb, mlflow"),
        (["--optimizer", "sgd"], "choose one of adam, adagrad, row_adagrad"),
    ],
)
def test_bad_options_are_one_line(call, tmp_path, words, told):
    status, _, error = call("train", "worldmoji", "--root", tmp_path, "--out", tmp_path / "run", *words)
    assert status == 1
    assert told in error
    assert len(error.strip().splitlines()) == 1
