"""A run is trained, kept, loaded, evaluated, asked, exported; and bad input leaves nothing behind."""

import json
from dataclasses import asdict, replace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from mmkg.datasets import WorldMoji
from mmkg.errors import DataError, NumericsError, UnknownNameError
from mmkg.evaluation import paired_test
from mmkg.run import Run, RunConfig, SamplerConfig, export, write_json
from mmkg.run.build import build_objective, used_features
from mmkg.run.controls import shuffled
from mmkg.samplers import SAMPLERS
from mmkg.scorers import SCORERS
from mmkg.training import OBJECTIVES, Callback, TrainingInterrupted, load_tree, save_tree


def same_weights(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_loaded_run_is_the_trained_one(trained):
    loaded = Run.load(trained.folder, sampler=True, progress=False)
    assert loaded.config == trained.config
    assert repr(loaded) == f"Run({str(trained.folder)!r}: rotate, mmrns, {trained.dataset})"
    assert same_weights(loaded.model, trained.model)
    assert same_weights(loaded.sampler, trained.sampler)
    assert loaded.evaluate("val")["metrics"] == trained.evaluate("val")["metrics"]


def test_ranks_are_kept_for_tests_between_runs(trained, uniform):
    with pytest.raises(DataError, match="no ranks of test"):
        trained.ranks("test")
    mrr = [run.evaluate("val")["metrics"]["realistic"]["mrr"] for run in (uniform, trained)]
    first, second = (run.ranks() for run in (uniform, trained))
    assert [float((1 / ranks.realistic).mean()) for ranks in (first, second)] == pytest.approx(mrr)
    found = paired_test(first, second, samples=10).loc["mrr"]
    assert [found["first"], found["second"]] == pytest.approx(mrr)


def test_the_record_says_what_was_done(trained):
    record = json.loads((trained.folder / "result.json").read_text())
    assert record["config"]["sampler"]["name"] == "mmrns"
    assert record["selection"].startswith("realistic MRR on validation")
    assert record["features"]["image"]["shape"] == [723, 5, 7]
    assert record["modalities"] == ["image", "text", "structure"]
    assert record["split_policy"] == "as released"
    assert (record["scorer"], record["sampler"], record["objective"]) == ("rotate", "mmrns", "self_adversarial")
    assert record["seed"] == 0
    assert record["wall_seconds"] > 0
    assert record["peak_memory_mb"] > 100
    assert {"torch", "torch-geometric", "numpy", "python", "mmkg"} <= set(record["versions"])
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
    between = trained.predict(head="Paris", tail="France", k=3)
    assert list(between.columns) == ["rank", "relation", "score", "known"]
    everything = trained.predict(head="Paris", tail="France", k=10**6)
    assert "capital_of" in set(everything[everything.known].relation)
    with pytest.raises(DataError, match="needs two of head, relation and tail"):
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


def test_export_of_reciprocal_relations_gives_both_directions(config, tmp_path):
    reciprocal = replace(config, scorer="complex", objective="one_vs_all", reciprocal=True)
    run = Run.train(reciprocal, tmp_path / "run", progress=False)
    paths = export(run, tmp_path / "export")
    relations, tensors = pd.read_parquet(paths[1]), load_file(paths[2])
    count = run.data.num_relations
    table = run.model.rel_emb.weight.detach()
    assert torch.equal(tensors["relation"], table[:count])
    assert torch.equal(tensors["relation_head"], table[count:])
    assert relations.columns.tolist() == ["id", "embedding", "embedding_head"]
    torch.testing.assert_close(torch.tensor(relations.embedding_head[3]), tensors["relation_head"][3])
    # the score of a head is made of what was written
    h, r, t = (int(x) for x in run.triples("val")[0])
    e, w = tensors["entity"], tensors["relation_head"]
    query = run.model.query(e[t], w[r], "tail")
    ids = [torch.tensor([x]) for x in (h, r, t)]
    torch.testing.assert_close((query * e[h]).sum(), run.model.score_triples(*ids, "head")[0].detach())


def test_settings_of_earlier_versions_are_todays_defaults(tmp_path):
    old = {
        "dataset": "worldmoji",
        "root": "datasets",
        "options": {},
        "scorer": "rotate",
        "dim": 100,
        "margin": 6.0,
        "objective": "self_adversarial",
        "alpha": 0.5,
        "sampler": {
            "name": "mmrns",
            "negatives": 20,
            "pool": 500,
            "epsilon": 0.5,
            "tau": 1.0,
            "beta": 0.01,
            "relaxation": "fresh",
            "gumbel_gradient": "descend",
            "contrast": "row",
            "attention": 50,
            "gate": 100,
            "gate_layers": 1,
            "modalities": ["structure"],
            "images": "real",
        },
        "train": {
            "steps": 300,
            "batch_size": 256,
            "learning_rate": 0.003,
            "sampler_learning_rate": 0.001,
            "schedule": "linear",
            "warmup": 0,
            "subsampling": True,
            "weight_decay": 0.0,
            "clip": None,
            "validate_every": 100,
            "patience": None,
            "checkpoint_every": 500,
            "keep_checkpoints": 2,
            "precision": "no",
            "memory_mb": 256.0,
            "seed": 1,
        },
        "warm_start": None,
    }
    (tmp_path / "config.json").write_text(json.dumps(old))
    config = RunConfig.load(tmp_path / "config.json")
    assert (config.reciprocal, config.refit, config.initial_std, config.label_smoothing) == (False, False, None, 0.0)
    assert (config.sampler.pool_kind, config.sampler.memory_mb) == ("random", None)
    train = config.train
    assert (train.optimizer, train.epochs, train.both_sides, train.together) == ("adam", None, False, 1)
    assert (train.regulariser, train.relation_weight) == (None, 0.0)
    written = asdict(config)
    assert {k: v for k, v in written["train"].items() if k in old["train"]} == old["train"]


def test_mmrns_is_made_with_its_pool_and_memory(config, tmp_path):
    sampler = replace(config.sampler, pool_kind="typed", memory_mb="auto")
    run = Run.train(replace(config, sampler=sampler), tmp_path / "run", progress=False)
    assert (run.sampler.pool, run.sampler.memory_mb) == ("typed", "auto")
    assert Run.load(run.folder, sampler=True, progress=False).config.sampler == sampler


@pytest.mark.parametrize("name", [n for n in SAMPLERS if n not in ("mmrns", "mans")])
def test_every_sampler_trains_and_is_loaded_as_it_was(config, tmp_path, name):
    options = {"nscaching": {"cache_size": 5}, "kbgan": {"candidates": 7}}.get(name, {})
    config = replace(config, sampler=SamplerConfig(name=name, negatives=3, options=options))
    run = Run.train(config, tmp_path / "run", progress=False)
    assert type(run.sampler) is SAMPLERS[name]
    loaded = Run.load(run.folder, sampler=True, progress=False)
    assert same_weights(run.sampler, loaded.sampler)
    assert loaded.config.sampler.options == options


def test_options_that_a_scorer_lacks_are_told(config, tmp_path):
    with pytest.raises(DataError, match="rotate has no option initial_std"):
        Run.train(replace(config, initial_std=0.1), tmp_path / "run", progress=False)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_is_made_with_its_options(config, objective):
    made = build_objective(replace(config, objective=objective, alpha=0.7, objective_margin=3.0, label_smoothing=0.2))
    options = {"alpha": 0.7, "objective_margin": 3.0, "label_smoothing": 0.2}
    assert type(made) is OBJECTIVES[objective]
    assert all(getattr(made, name) == value for name, value in options.items() if hasattr(made, name))


def test_warm_start_takes_the_earlier_embeddings(config, uniform, tmp_path):
    still = replace(config.train, steps=1, learning_rate=1e-12, validate_every=0)
    run = Run.train(replace(config, warm_start=str(uniform.folder), train=still), tmp_path / "warm", progress=False)
    torch.testing.assert_close(run.model.node_emb.weight, uniform.model.node_emb.weight)
    with pytest.raises(DataError, match="dim 8 in the earlier run, 10 here"):
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
        (
            {"dataset": "db16k"},
            r"unknown dataset 'db16k'\. Cure: choose one of db15k, .*, worldmoji, or give your own folder",
        ),
        ({"scorer": "transx"}, "unknown scorer 'transx'"),
        ({"objective": "mse"}, "unknown objective 'mse'"),
        ({"sampler": SamplerConfig(name="hard")}, "unknown sampler 'hard'"),
        ({"sampler": SamplerConfig(negatives=0)}, "negatives 0"),
        ({"warm_start": "nowhere"}, "nowhere: no such run"),
    ],
)
def test_bad_settings_leave_nothing_behind(config, tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        Run.train(replace(config, **changes), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_paths_are_kept_as_text(tmp_path):
    config = RunConfig(dataset=tmp_path / "mine", root=tmp_path)
    assert (config.dataset, config.root) == (str(tmp_path / "mine"), str(tmp_path))
    with pytest.raises(DataError, match=r"dataset is a list. Cure: give a name or the path of a folder"):
        RunConfig(dataset=["worldmoji"])


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
    write_json(tmp_path / "config.json", asdict(config))
    assert RunConfig.load(tmp_path / "config.json") == config


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"dataset": "worldmoji", "colour": "red"}', "colour"),
        ("[]", "a list where a table of settings is due"),
        ('{"train": {"steps": 0}}', "steps is 0"),
        ('{"dataset": ', "Expecting value"),
    ],
)
def test_damaged_settings(tmp_path, text, told):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(DataError, match=rf"config.json: not the settings of a run .*{told}"):
        RunConfig.load(tmp_path / "config.json")


def test_json_has_no_nan_and_is_whole_or_absent(tmp_path):
    write_json(tmp_path / "a.json", {"x": [float("nan"), 1.0, float("inf")]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": [None, 1.0, None]}
    with pytest.raises(TypeError):
        write_json(tmp_path / "b.json", {"x": object()})
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_run_that_breaks_at_once_leaves_nothing_in_the_way(config, tmp_path):
    wild = replace(config, train=replace(config.train, learning_rate=1e25))
    with pytest.raises(NumericsError):
        Run.train(wild, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
    Run.train(config, tmp_path / "run", progress=False)


def test_training_again_loads_what_is_trained(trained):
    before = (trained.folder / "result.json").read_text()
    again = Run.train(trained.config, trained.folder, resume=True, progress=False)
    assert same_weights(again.model, trained.model)
    assert (trained.folder / "result.json").read_text() == before


def test_a_run_knows_its_graph(uniform, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(uniform.folder, copy)
    tensors, meta = load_tree(copy / "model.safetensors")
    save_tree(copy / "model.safetensors", tensors, {**meta, "graph": "another"})
    with pytest.raises(DataError, match="has other names, triples or splits"):
        Run.load(copy, progress=False)


def test_a_missing_modality_is_told(config, tmp_path):
    bare = replace(config, root=str(tmp_path / "data"), train=replace(config.train, steps=1, validate_every=0))
    dataset = WorldMoji(tmp_path / "data", log=False)
    with pytest.warns(UserWarning, match="has no image and no text features here; MMRNS goes without"):
        assert used_features(bare, dataset) == {}
    only = replace(bare, sampler=replace(bare.sampler, modalities=("image",)))
    with pytest.raises(DataError, match=r"has no image features here\. Cure: add structure"):
        used_features(only, dataset)


@pytest.mark.parametrize(
    ("setting", "value"), [("modalities", ("sound",)), ("modalities", ()), ("images", "upside-down")]
)
def test_sampler_settings_are_checked(setting, value):
    with pytest.raises(DataError):
        SamplerConfig(**{setting: value})


def test_ones_own_folder_is_a_dataset(config, tmp_path):
    folder = tmp_path / "kin"
    folder.mkdir()
    rows = [f"e{i}\tnext\te{(i + 1) % 40}\ne{i}\topposite\te{(i + 20) % 40}" for i in range(40)]
    (folder / "triples.tsv").write_text("\n".join(rows), encoding="utf-8")
    own = replace(config, dataset=str(folder), sampler=replace(config.sampler, modalities=("structure",), pool=0))
    run = Run.train(own, tmp_path / "run", progress=False)
    assert Run.load(tmp_path / "run", progress=False).predict(head="e3", relation="next", k=3).shape == (3, 5)
    assert run.evaluate("test")["queries"] == 2 * int(run.data.test_mask.sum()) > 0


@pytest.mark.parametrize("scorer", SCORERS)
def test_every_scorer_trains_under_mmrns(config, tmp_path, scorer):
    config = replace(config, scorer=scorer, dim=8, train=replace(config.train, steps=4))
    run = Run.train(config, tmp_path / scorer, progress=False)
    assert 0 < run.evaluate("val")["metrics"]["realistic"]["mrr"] < 1
    assert same_weights(Run.load(run.folder, progress=False).model, run.model)


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"pool_kind": "all"}, "pool_kind 'all'"),
        ({"memory_mb": 0}, "memory_mb 0"),
        ({"memory_mb": "much"}, "memory_mb 'much'"),
    ],
)
def test_pools_and_memory_are_checked(option, told):
    with pytest.raises(DataError, match=told):
        SamplerConfig(**option)
