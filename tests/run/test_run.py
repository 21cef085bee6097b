"""A run is trained, kept, loaded, evaluated, asked, exported; and bad input leaves nothing behind."""

import json
from dataclasses import replace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from mmkg.errors import DataError, UnknownNameError
from mmkg.run import Run, RunConfig, SamplerConfig, export
from mmkg.run.build import shuffled
from mmkg.training import Callback, TrainingInterrupted


def same_weights(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_loaded_run_is_the_trained_one(trained):
    loaded = Run.load(trained.folder, sampler=True, progress=False)
    assert loaded.config == trained.config
    assert same_weights(loaded.model, trained.model)
    assert same_weights(loaded.sampler, trained.sampler)
    assert loaded.evaluate("val")["metrics"] == trained.evaluate("val")["metrics"]


def test_the_record_says_what_was_done(trained):
    record = json.loads((trained.folder / "result.json").read_text())
    assert record["config"]["sampler"]["name"] == "mmrns"
    assert record["selection"].startswith("realistic MRR on validation")
    assert record["features"]["image"]["present"] == 723
    assert record["wall_seconds"] > 0
    assert record["peak_memory_mb"] > 100
    assert {"torch", "python", "mmkg"} <= set(record["versions"])
    assert not (trained.folder / "test_looks.csv").exists()


def test_one_seed_gives_one_result(config, tmp_path):
    first, second = (Run.train(config, tmp_path / name, progress=False) for name in "ab")
    assert same_weights(first.model, second.model)
    assert same_weights(first.sampler, second.sampler)
    other = Run.train(replace(config, train=replace(config.train, seed=1)), tmp_path / "c", progress=False)
    assert not same_weights(first.model, other.model)


def test_stopped_and_resumed_with_mmrns_is_the_same_to_the_bit(config, tmp_path):
    class Stop(Callback):
        def on_step(self, trainer, step, losses):
            if step == 5:
                import os
                import signal

                os.kill(os.getpid(), signal.SIGTERM)

    whole = Run.train(config, tmp_path / "whole", progress=False)
    with pytest.raises(TrainingInterrupted, match=r"stopped after step 5 of 8.*--resume"):
        Run.train(config, tmp_path / "parts", progress=False, callbacks=[Stop()])
    with pytest.raises(DataError, match="training has not ended"):
        Run.load(tmp_path / "parts")
    resumed = Run.train(config, tmp_path / "parts", resume=True, progress=False)
    assert same_weights(whole.model, resumed.model)
    assert same_weights(whole.sampler, resumed.sampler)


def test_a_look_at_test_is_noted(uniform):
    result = uniform.evaluate("test")
    assert result["queries"] == 2 * int(uniform.data.test_mask.sum())
    looks = pd.read_csv(uniform.folder / "test_looks.csv")
    assert looks.mrr.tolist() == [result["metrics"]["realistic"]["mrr"]]
    groups = {row["grouping"] for row in result["breakdown"]}
    assert {"side", "category", "answer has image", "answer has text"} <= groups


def test_predict_by_name_and_nearest_names(trained):
    answers = trained.predict(head="FRANCE", relation="borders", k=5)
    assert answers["rank"].tolist() == [1, 2, 3, 4, 5]
    assert answers.score.is_monotonic_decreasing
    h, r = trained.data.entity_names.index("france"), trained.data.relation_names.index("borders")
    facts = trained.facts()
    for _, row in answers.iterrows():
        tail = trained.data.entity_names.index(row.entity)
        assert row.known == bool(facts.contains(*(torch.tensor([x]) for x in (h, r, tail))))
    assert not trained.predict(tail="france", relation="borders", include_known=False).known.any()
    whole = trained.predict(head="Paris", relation="capital_of", tail="France")
    assert whole["known"] is True
    assert 0 <= whole["percentile_tail"] <= 100
    with pytest.raises(UnknownNameError, match=r"unknown entity 'Frence'. Nearest: .*France"):
        trained.predict(head="Frence", relation="borders")
    with pytest.raises(UnknownNameError, match=r"unknown relation 'bordrs'. Nearest: .*borders"):
        trained.predict(head="France", relation="bordrs")
    with pytest.raises(DataError, match="needs a relation"):
        trained.predict(relation="borders")


def test_export_with_names(trained, tmp_path):
    paths = export(trained, tmp_path / "export")
    entities, tensors = pd.read_parquet(paths[0]), load_file(paths[2])
    assert entities.id.tolist() == trained.data.entity_names
    torch.testing.assert_close(torch.tensor(entities.embedding[7]), tensors["entity"][7])
    assert len(pd.read_parquet(paths[1])) == trained.data.num_relations
    assert tensors["relation"].shape[0] == trained.data.num_relations
    with pytest.raises(DataError, match="exists already"):
        export(trained, tmp_path / "export")


def test_warm_start_takes_the_earlier_embeddings(config, uniform, tmp_path):
    still = replace(config.train, steps=1, learning_rate=1e-12, validate_every=0)
    run = Run.train(replace(config, warm_start=str(uniform.folder), train=still), tmp_path / "warm", progress=False)
    torch.testing.assert_close(run.model.node_emb.weight, uniform.model.node_emb.weight)
    with pytest.raises(DataError, match="have width 16, this model's 20"):
        Run.train(replace(config, dim=10, warm_start=str(uniform.folder)), tmp_path / "other", progress=False)
    assert not (tmp_path / "other").exists()


def test_shuffled_pictures_are_the_same_rows_dealt_anew(trained):
    features = trained.dataset.features("image")
    control = shuffled(features, seed=3)
    assert torch.equal(control.present, features.present)
    assert sorted(control.row.tolist()) == sorted(features.row.tolist())
    assert not torch.equal(control.row, features.row)
    assert torch.equal(control.row, shuffled(features, seed=3).row)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "db16k"}, "unknown dataset 'db16k'. Cure: choose one of db15k, worldmoji"),
        ({"scorer": "transx"}, "unknown scorer 'transx'"),
        ({"objective": "mse"}, "unknown objective 'mse'"),
        ({"sampler": SamplerConfig(name="hard")}, "unknown sampler 'hard'"),
        ({"sampler": SamplerConfig(negatives=0)}, "negatives 0"),
        ({"warm_start": "nowhere"}, "no such file"),
    ],
)
def test_bad_settings_leave_nothing_behind(config, tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        Run.train(replace(config, **changes), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_folders_are_not_overwritten(config, trained, tmp_path):
    with pytest.raises(DataError, match="holds a run already"):
        Run.train(trained.config, trained.folder, progress=False)
    other = replace(trained.config, train=replace(trained.config.train, seed=9))
    with pytest.raises(DataError, match=r"train.seed: 0 then, 9 now"):
        Run.train(other, trained.folder, resume=True, progress=False)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty and holds no run"):
        Run.train(config, tmp_path, progress=False)
    with pytest.raises(DataError, match="no such run"):
        Run.load(tmp_path / "nowhere")


def test_settings_survive_json(config, tmp_path):
    config.save(tmp_path / "config.json")
    assert RunConfig.load(tmp_path / "config.json") == config
    (tmp_path / "config.json").write_text('{"dataset": "worldmoji", "colour": "red"}')
    with pytest.raises(DataError, match=r"not the settings of a run .*colour"):
        RunConfig.load(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("setting", "value"), [("modalities", ("sound",)), ("modalities", ()), ("images", "upside-down")]
)
def test_sampler_settings_are_checked(setting, value):
    with pytest.raises(DataError):
        SamplerConfig(**{setting: value})
