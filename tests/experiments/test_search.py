"""The search for settings: it never sees test, keeps to its budget, prunes, and goes on as if it had not stopped."""

import ast
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState

from mmkg.errors import DataError
from mmkg.evaluation import evaluate
from mmkg.graph import Facts
from mmkg.run import RunConfig, SamplerConfig
from mmkg.run.build import build_scorer
from mmkg.training import Callback, TrainConfig, TrainingInterrupted

optuna = pytest.importorskip("optuna")

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
START = RunConfig(
    scorer="rotate",
    dim=4,
    sampler=SamplerConfig(name="uniform", negatives=3),
    train=TrainConfig(steps=6, batch_size=16, schedule="constant", validate_every=2, checkpoint_every=0),
)


@pytest.fixture
def module(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    import search

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield search
    AcceleratorState._reset_state(reset_partial_state=True)


def triples(data, keep):
    """Triples of a graph as a set."""
    return set(map(tuple, torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]])[:, keep].T.tolist()))


def what_counts(search):
    """All that a search found but for its time."""
    return [{k: v for k, v in row.items() if k != "cpu_seconds"} for row in search.table()]


def test_the_graph_that_is_searched_on_holds_no_test_triple(module, kin, tmp_path):
    h, r, t = kin.edge_index[0], kin.edge_type, kin.edge_index[1]
    kin.extra_filter = torch.stack([h, r, t])[:, [3, 221, 230]]  # one of train, two of test
    before = len(h)
    search = module.Search(kin, {}, START, tmp_path / "journal")
    test = triples(kin, kin.test_mask)
    everything = torch.ones(len(search.data.edge_type), dtype=torch.bool)
    assert len(test) == int(kin.test_mask.sum())
    assert not test & triples(search.data, everything)
    assert triples(search.data, search.data.train_mask) == triples(kin, kin.train_mask)
    assert triples(search.data, search.data.val_mask) == triples(kin, kin.val_mask)
    assert search.data.extra_filter.T.tolist() == [[int(h[3]), int(r[3]), int(t[3])]]
    assert len(kin.edge_type) == before  # the caller's graph stays as it is
    model = build_scorer(START, 60, 4)
    with pytest.raises(DataError, match="the test split is empty: nothing to rank"):
        evaluate(model, search.data, "test")
    known = Facts.from_data(search.data, ("train", "val", "test"))
    assert not known.contains(*(x[kin.test_mask] for x in (h, r, t))).any()


def test_other_test_triples_change_nothing(module, kin, tmp_path):
    first = module.Search(kin, {}, START, tmp_path / "first")
    first.run(3)
    other = kin.clone()
    other.edge_index[:, kin.test_mask] = other.edge_index[:, kin.test_mask].flip(1)
    second = module.Search(other, {}, START, tmp_path / "second")
    second.run(3)
    assert what_counts(first) == what_counts(second)
    assert len({row["valid_mrr"] for row in first.table()}) > 1


def test_nothing_in_the_script_can_evaluate_or_load_a_run():
    tree = ast.parse((EXPERIMENTS / "search.py").read_text(encoding="utf-8"))
    imported = {a.name for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom)) for a in n.names}
    called = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    assert not {"Run", "evaluate", "rank", "record", "refit_config", "refit_data"} & imported
    assert not {"evaluate", "predict"} & called


def test_a_search_that_was_stopped_goes_on_as_if_it_had_not(module, kin, tmp_path, monkeypatch):
    whole = module.Search(kin, {}, START, tmp_path / "whole")
    whole.run(10)
    parted = module.Search(kin, {}, START, tmp_path / "parted")
    parted.run(4)

    class Stop(Callback):
        def on_step(self, trainer, step, losses):
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:  # in the middle of the fifth trial
        patch.setattr(module, "Report", lambda trial: Stop())
        with pytest.raises(TrainingInterrupted):
            parted.run(10)
    again = module.Search(kin, {}, START, tmp_path / "parted")
    assert len(again.finished) == 4
    again.run(10)
    assert what_counts(again) == what_counts(whole)
    again.run(10)
    assert len(again.finished) == 10  # what is there counts


def test_no_trial_begins_after_the_minutes_are_over(module, kin, tmp_path):
    search = module.Search(kin, {}, START, tmp_path / "journal")
    search.run(5, minutes=0)
    assert search.table() == []


def test_a_hopeless_trial_is_given_up(module, kin, tmp_path):
    rates = iter([0.1, 0.1, 1e-9])

    def suggest(trial, start):
        rate = trial.suggest_categorical("rate", [0.1, 1e-9]) and next(rates)
        return replace(start, train=replace(start.train, steps=200, validate_every=50, learning_rate=rate))

    pruner = optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=0)
    search = module.Search(kin, {}, START, tmp_path / "journal", suggest=suggest, pruner=pruner)
    search.run(3)
    rows = search.table()
    assert [row["state"] for row in rows] == ["complete", "complete", "pruned"]
    assert rows[2]["steps"] < rows[0]["steps"] == 200
    assert rows[2]["valid_mrr"] < rows[0]["valid_mrr"]


def test_only_settings_that_are_read_are_sought(module):
    def asked(**changes):
        trial = optuna.trial.FixedTrial(
            {
                "learning_rate": 0.01,
                "margin": 3.0,
                "alpha": 0.7,
                "epsilon": 0.1,
                "beta": 0.2,
                "sampler_learning_rate": 1e-3,
                "regulariser_weight": 1e-2,
            }
        )
        config = module.settings(trial, replace(START, **changes))
        return set(trial.params), config

    names, config = asked(sampler=SamplerConfig(name="mmrns"))
    assert names == {"learning_rate", "margin", "alpha", "epsilon", "beta", "sampler_learning_rate"}
    assert (config.margin, config.alpha, config.sampler.epsilon, config.sampler.beta) == (3.0, 0.7, 0.1, 0.2)
    assert (config.train.learning_rate, config.train.sampler_learning_rate) == (0.01, 1e-3)
    assert asked()[0] == {"learning_rate", "margin", "alpha"}
    names, config = asked(scorer="complex", objective="one_vs_all")
    assert names == {"learning_rate", "regulariser_weight"}
    assert (config.train.regulariser, config.train.regulariser_weight) == ("n3", 1e-2)


def test_a_study_is_kept_as_csv(module, kin, tmp_path):
    search = module.Search(kin, {}, START, tmp_path / "journal")
    search.run(2)
    module.write_csv(tmp_path / "search" / "study.csv", search.table())
    head, *lines = (tmp_path / "search" / "study.csv").read_text().splitlines()
    assert head.startswith("trial,state,valid_mrr,steps,best_step,cpu_seconds,alpha")
    assert [line.split(",")[:3] for line in lines] == [
        [str(i), row["state"], str(row["valid_mrr"])] for i, row in enumerate(search.table())
    ]
