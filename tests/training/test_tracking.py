"""What trackers are told: settings, mean losses, validation; closed at every end; a failing one costs no training."""

import os
import signal

import pytest
import torch
from accelerate.tracking import GeneralTracker

from mmkg.errors import DataError
from mmkg.samplers import UniformSampler
from mmkg.scorers import DistMult
from mmkg.training import (
    TRACKERS,
    Callback,
    Reports,
    SelfAdversarial,
    Tracking,
    TrainConfig,
    Trainer,
    TrainingInterrupted,
    tracking,
)


class Notes(GeneralTracker):
    """A tracker that keeps what it is told; ``fails_at`` is the step from which it cannot."""

    name, requires_logging_directory = "notes", False

    def __init__(self, fails_at=None, starts=True):
        super().__init__()
        self.fails_at, self.starts = fails_at, starts
        self.settings, self.told, self.closed = None, [], 0

    @property
    def tracker(self):
        return self

    def start(self):
        if not self.starts:
            raise PermissionError("not logged in")

    def store_init_configuration(self, values):
        self.settings = values

    def log(self, values, step=None, **kwargs):
        if self.fails_at is not None and step >= self.fails_at:
            raise ConnectionError("no network")
        self.told.append((step, values))

    def finish(self):
        self.closed += 1


class Losses(Callback):
    """Keeps each step's loss, and sends Ctrl-C at a step."""

    def __init__(self, stop_at=None):
        self.loss, self.stop_at = {}, stop_at

    def on_step(self, trainer, step, losses):
        self.loss[step] = losses["loss"]
        if step == self.stop_at:
            os.kill(os.getpid(), signal.SIGINT)


def train(data, callbacks, folder=None, resume=False, **settings):
    torch.manual_seed(3)
    model = DistMult(data.num_nodes, data.num_relations, 8)
    config = TrainConfig(**({"steps": 10, "batch_size": 32, "validate_every": 5} | settings))
    sampler, objective = UniformSampler(data.num_nodes, 4), SelfAdversarial()
    trainer = Trainer(model, sampler, objective, data, config, folder=folder, callbacks=callbacks, progress=False)
    return trainer.fit(resume=resume)


def test_a_tracker_hears_of_settings_losses_and_validation(kin, tmp_path):
    notes, losses = Notes(), Losses()
    settings = {"scorer": "distmult", "dim": 8, "modalities": ("image", "text"), "clip": None}
    result = train(kin, [losses, Tracking([notes], tmp_path, settings, every=4)])
    assert notes.settings == settings | {"modalities": "('image', 'text')"}
    means = {step: values["train/loss"] for step, values in notes.told if "train/loss" in values}
    assert list(means) == [4, 8, 10]  # the last two steps are no full report, and reported all the same
    for step, first in ((4, 1), (8, 5), (10, 9)):
        expected = [losses.loss[i] for i in range(first, step + 1)]
        assert means[step] == pytest.approx(sum(expected) / len(expected))
    validated = {step: values for step, values in notes.told if "validation/mrr" in values}
    assert {s: v["validation/mrr"] for s, v in validated.items()} == {
        entry["step"]: entry["valid_mrr"] for entry in result.history
    }
    assert "validation/hits_10" in validated[5]
    assert not any("@" in name for _, values in notes.told for name in values)
    assert notes.closed == 1


def test_parts_of_the_loss_add_up(kin):
    class Keep(Reports):
        def on_report(self, trainer, step, losses):
            seen.append(losses)

    seen = []
    train(kin, [Keep()], regulariser="l2", regulariser_weight=0.1, steps=6, validate_every=0)
    assert len(seen) == 6  # a hundredth of the steps is at least one
    for losses in seen:
        parts = [value for name, value in losses.items() if name != "loss"]
        assert len(parts) > 1
        assert sum(parts) == pytest.approx(losses["loss"])


def test_ctrl_c_closes_trackers_with_all_that_was_to_tell(kin, tmp_path):
    notes = Notes()
    with pytest.raises(TrainingInterrupted):
        train(kin, [Losses(stop_at=7), Tracking([notes], tmp_path, every=4)])
    assert [step for step, values in notes.told if "train/loss" in values] == [4, 7]
    assert notes.closed == 1


def test_a_tracker_that_fails_is_left_out_and_training_goes_on(kin, tmp_path):
    bad, good = Notes(fails_at=4), Notes()
    with pytest.warns(UserWarning, match=r"tracker notes failed \(no network\); training goes on without"):
        result = train(kin, [Tracking([bad, good], tmp_path, every=2)])
    assert result.steps == 10
    assert [step for step, _ in bad.told] == [2]
    assert good.told[-1][0] == 10
    assert (bad.closed, good.closed) == (0, 1)


def test_a_tracker_that_does_not_start_ends_training_and_closes_those_before(kin, tmp_path):
    good = Notes()
    with pytest.raises(DataError, match=r"tracker notes does not start \(not logged in\)\. Cure: set it up"):
        train(kin, [Tracking([good, Notes(starts=False)], tmp_path)])
    assert good.closed == 1


def test_the_unknown_and_the_missing_are_told_with_a_cure(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"unknown tracker 'aim'. Cure: choose out of tensorboard, wandb, mlflow"):
        Tracking(["aim"], tmp_path)
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    for name in TRACKERS:
        with pytest.raises(DataError, match=rf"tracker {name} is not installed. Cure: pip install 'mmkg\[{name}\]'"):
            Tracking([name], tmp_path)
    with pytest.raises(DataError, match="a report every 0 steps"):
        Tracking([], tmp_path, every=0)


@pytest.mark.parametrize("name", TRACKERS)
def test_accelerate_takes_what_it_is_given(monkeypatch, tmp_path, name):
    monkeypatch.setattr(tracking, "find_spec", lambda name: True)
    made = Tracking([name], tmp_path / "run")._made(name, step=1)
    assert isinstance(made, GeneralTracker)
    assert made.name == name
    where = {
        "tensorboard": lambda: (made.run_name, made.logging_dir_param),
        "wandb": lambda: (made.run_name, made.init_kwargs["name"], made.init_kwargs["dir"]),
        "mlflow": lambda: (made.experiment_name, made.run_name),
    }
    run = str(tmp_path / "run")
    expected = {"tensorboard": ("tensorboard", run), "wandb": ("mmkg", "run", run), "mlflow": ("mmkg", "run")}
    assert where[name]() == expected[name]


def test_tensorboard_holds_a_resumed_training_without_a_seam(kin, tmp_path):
    pytest.importorskip("tensorboard", reason="pip install 'mmkg[test]' brings it")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def told():
        found = EventAccumulator(str(tmp_path / "tensorboard"))
        found.Reload()
        return {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}

    class Crash(Callback):
        def on_step(self, trainer, step, losses):
            if step == 7:
                raise RuntimeError("power cut")

    options = {"folder": tmp_path / "checkpoints", "checkpoint_every": 5, "validate_every": 5}
    with pytest.raises(RuntimeError, match="power cut"):
        train(kin, [Tracking(["tensorboard"], tmp_path, {"dim": 8, "clip": None}, every=1), Crash()], **options)
    assert [step for step, _ in told()["train/loss"]] == [1, 2, 3, 4, 5, 6, 7]
    again = Tracking(["tensorboard"], tmp_path, {"dim": 8, "clip": None}, every=1)
    result = train(kin, [again], resume=True, **options)
    assert [step for step, _ in told()["train/loss"]] == list(range(1, 11))
    validation = [(entry["step"], pytest.approx(entry["valid_mrr"])) for entry in result.history]
    assert told()["validation/mrr"] == validation
    (settings,) = (tmp_path / "tensorboard").rglob("hparams.yml")  # of the first session alone
    assert settings.read_text().split() == ["clip:", "null", "dim:", "8"]
