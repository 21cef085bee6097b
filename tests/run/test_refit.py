"""A refit trains on train and validation, for the epochs that validation chose, and never on test."""

import json
from dataclasses import replace

import pytest
import torch

from mmkg.datasets import WorldMoji
from mmkg.errors import DataError
from mmkg.run import Run, RunConfig, refit_config, refit_data
from mmkg.run import run as run_module
from mmkg.training import TrainConfig, Trainer


@pytest.fixture(scope="module")
def full(root):
    return RunConfig(
        root=str(root),
        scorer="complex",
        dim=4,
        reciprocal=True,
        initial_std=1e-2,
        objective="one_vs_all",
        train=TrainConfig(
            epochs=3,
            batch_size=2000,
            both_sides=True,
            together=4,
            optimizer="adagrad",
            learning_rate=0.1,
            schedule="constant",
            regulariser="n3",
            regulariser_weight=1e-3,
            validate_every=1,
            checkpoint_every=1,
        ),
    )


@pytest.fixture(scope="module")
def chosen(full, tmp_path_factory):
    return Run.train(full, tmp_path_factory.mktemp("refit") / "chosen", progress=False)


def test_the_epochs_are_those_that_were_best(chosen):
    config = refit_config(chosen.folder, seed=5)
    result = json.loads((chosen.folder / "result.json").read_text())
    assert config.train.epochs * result["steps_per_epoch"] == chosen.best_step
    assert (config.refit, config.train.validate_every, config.train.seed) == (True, 0, 5)
    same = replace(
        config, refit=False, train=replace(config.train, epochs=3, validate_every=1, seed=chosen.config.train.seed)
    )
    assert same == chosen.config


def test_a_refit_sees_validation_and_says_so(chosen, tmp_path, monkeypatch):
    seen = []

    class Spy(Trainer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            seen.append(self)

    monkeypatch.setattr(run_module, "Trainer", Spy)
    run = Run.train(refit_config(chosen.folder), tmp_path / "refit", progress=False)
    (trainer,) = seen
    trained = {tuple(x) for x in trainer.batches.triples.tolist()}
    assert trained == {tuple(x) for split in ("train", "val") for x in run.triples(split).tolist()}
    assert len(trainer.facts) == len(trained)
    record = json.loads((run.folder / "result.json").read_text())
    assert record["trained_on"] == ["train", "val"]
    assert record["selection"].startswith("none")
    with pytest.raises(DataError, match="a refit is trained on validation"):
        run.evaluate("val")
    assert run.evaluate("test")["queries"] == 2 * int(run.data.test_mask.sum())
    loaded = Run.load(run.folder, progress=False)
    assert torch.equal(loaded.model.node_emb.weight, run.model.node_emb.weight)


def test_a_refit_never_sees_test(full):
    def trained(data):
        from mmkg.run.build import build_objective, build_scorer

        config = replace(full.train, epochs=1, validate_every=0)
        model = build_scorer(full, data.num_nodes, data.num_relations)
        Trainer(model, None, build_objective(full), refit_data(data), config, progress=False).fit()
        return model

    data = WorldMoji(full.root, log=False).topology
    other = data.clone()
    other.edge_index = torch.where(data.test_mask, data.edge_index.flip(0), data.edge_index)
    other.edge_type = torch.where(data.test_mask, (data.edge_type + 1) % data.num_relations, data.edge_type)
    a, b = trained(data), trained(other)
    assert torch.equal(a.node_emb.weight, b.node_emb.weight)
    assert torch.equal(a.rel_emb.weight, b.rel_emb.weight)


def test_the_graph_itself_stays_as_it_is(root):
    data = WorldMoji(root, log=False).topology
    before = data.train_mask.clone(), data.val_mask.clone()
    joined = refit_data(data)
    assert torch.equal(joined.train_mask, before[0] | before[1])
    assert not joined.val_mask.any()
    assert torch.equal(joined.test_mask, data.test_mask)
    assert torch.equal(data.train_mask, before[0])
    assert torch.equal(data.val_mask, before[1])


def test_validation_that_holds_test_triples_is_refused(root):
    data = WorldMoji(root, log=False).topology.clone()
    val, test = data.val_mask.nonzero()[:3, 0], data.test_mask.nonzero()[:3, 0]
    data.edge_index[:, val], data.edge_type[val] = data.edge_index[:, test], data.edge_type[test]
    with pytest.raises(DataError, match="3 validation triples are test triples"):
        refit_data(data)


def test_a_run_without_a_choice_is_refused(chosen, full, tmp_path):
    with pytest.raises(DataError, match="no such run"):
        refit_config(tmp_path)
    blind = replace(full, train=replace(full.train, epochs=1, validate_every=0))
    run = Run.train(blind, tmp_path / "blind", progress=False)
    with pytest.raises(DataError, match="chose nothing on validation"):
        refit_config(run.folder)
    result = json.loads((chosen.folder / "result.json").read_text())
    falling = replace(full, train=replace(full.train, schedule="linear"))
    folder = tmp_path / "falling"
    folder.mkdir()
    from dataclasses import asdict

    (folder / "config.json").write_text(json.dumps(asdict(falling)))
    (folder / "result.json").write_text(json.dumps(result | {"best_step": result["steps"] - 1}))
    with pytest.raises(DataError, match="under a linear schedule"):
        refit_config(folder)


def test_refit_with_validation_is_refused(full):
    with pytest.raises(DataError, match="refit with validate_every 1: validation is trained on"):
        replace(full, refit=True)
