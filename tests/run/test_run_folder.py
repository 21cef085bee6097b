"""A run's folder read by a person: the log, the metrics, the curves, the predictions; after Ctrl-C and when resumed."""

import csv
import json
import os
import re
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.tracking import GeneralTracker
from PIL import Image

from mmkg.errors import DataError, NumericsError
from mmkg.evaluation import rank
from mmkg.run import Run, draw_curves, write_predictions
from mmkg.run import folder as names
from mmkg.run import run as run_module
from mmkg.training import Callback, TrainingInterrupted
from mmkg.training.processes import Processes

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  (.+)")


class Stop(Callback):
    def __init__(self, at, how=None):
        self.at, self.how = at, how or (lambda: os.kill(os.getpid(), signal.SIGINT))

    def on_step(self, trainer, step, losses):
        if step == self.at:
            self.how()


PAGE = Path(__file__).parents[2] / "docs" / "howto" / "run_folder.md"


def log(folder):
    """What the log's lines say, without the time that each begins with."""
    lines = (folder / "log.txt").read_text(encoding="utf-8").splitlines()
    return [LINE.fullmatch(line)[1] for line in lines]


def metrics(folder):
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def table(folder):
    with open(folder / "predictions.tsv", newline="", encoding="utf-8") as file:
        return list(csv.reader(file, delimiter="\t"))


def test_the_log_has_a_line_for_each_thing_that_happened(trained):
    begin, *steps, validation, end = log(trained.folder)
    assert begin.startswith("rotate on worldmoji, self_adversarial against mmrns, seed 0, on cpu")
    assert [line.split(":")[0] for line in steps] == [f"step {i} of 4" for i in (1, 2, 3, 4)]
    assert all(re.search(r": loss \S+ \(objective \S+, .+ \S+\)$", line) for line in steps)
    assert re.fullmatch(
        r"step 4 of 4: validation mrr 0\.\d+, mr \d+\.\d, hits@1 \S+, hits@10 \S+, the best so far", validation
    )
    assert end == "ended after step 4; kept is the model of step 4"


def test_the_metrics_are_those_of_the_record_without_times(trained):
    found = metrics(trained.folder)
    history = json.loads((trained.folder / "result.json").read_text())["history"]
    assert (found["step"], found["steps"], found["best_step"]) == (4, 4, 4)
    (entry,) = found["validation"]
    assert {"step": entry["step"]} | {f"valid_{k}": v for k, v in entry.items() if k != "step"} == {
        k: v for k, v in history[0].items() if k not in ("loss", "seconds")
    }
    assert [entry["step"] for entry in found["losses"]] == [1, 2, 3, 4]
    assert history[0]["loss"] == pytest.approx(np.mean([entry["loss"] for entry in found["losses"]]))


def test_the_curves_are_a_picture_of_them(trained, tmp_path):
    picture = np.asarray(Image.open(trained.folder / "curves.png").convert("RGB")).astype(int)  # [H, W, 3]
    assert picture.shape == (600, 800, 3)
    # the best validation is marked in its own colour, at the right end, for it is the last step; the loss is black
    best = (np.abs(picture - [0xC2, 0x41, 0x0C]).sum(2) < 20).nonzero()
    assert len(best[0]) > 20
    assert max(best[1]) > 700
    assert min(best[0]) > 300  # in the lower half
    without = metrics(trained.folder) | {"validation": []}
    (tmp_path / "metrics.json").write_text(json.dumps(without))
    assert draw_curves(tmp_path) == tmp_path / "curves.png"
    assert Image.open(tmp_path / "curves.png").size == (800, 360)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "metrics.json: no such file"),
        ("{", "metrics.json: not the metrics of a run"),
        ('{"losses": [{}], "validation": []}', "not the metrics of a run"),
        ('{"losses": [], "validation": []}', "no losses to draw"),
    ],
)
def test_what_cannot_be_drawn_is_told(tmp_path, text, told):
    if text is not None:
        (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(DataError, match=told):
        draw_curves(tmp_path)


def test_a_loss_without_number_leaves_a_gap(trained, tmp_path):
    told = metrics(trained.folder)
    told["losses"][1]["loss"] = None
    (tmp_path / "metrics.json").write_text(json.dumps(told))
    assert draw_curves(tmp_path).stat().st_size > 1000


def test_predictions_are_those_of_the_model(trained):
    header, *rows = table(trained.folder)
    assert header == ["question", "true answer", "rank", *map(str, range(1, 11))]
    assert len(rows) == 50
    facts, validation = trained.facts(("train", "val")), trained.triples("val")
    labels, data = trained.data.entity_labels, trained.data
    ranks = rank(trained.model, validation, facts, sides=("head", "tail")).realistic.reshape(2, -1)  # [sides, V]
    chosen = torch.linspace(0, len(validation) - 1, 50).round().long()
    for number, (question, answer, place, *candidates) in enumerate(rows):
        h, r, t = validation[chosen[number]].tolist()
        side = number % 2 == 0  # tails and heads in turn
        given, true = (h, t) if side else (t, h)
        parts = [labels[h], data.relation_names[r], "?"] if side else ["?", data.relation_names[r], labels[t]]
        assert (question, answer) == (", ".join(parts), labels[true])
        assert float(place) == ranks[int(side), chosen[number]]
        ids = torch.tensor([[given], [r]])
        scores = (trained.model.score_tails if side else trained.model.score_heads)(*(ids if side else ids.flip(0)))[0]
        best = scores.argsort(descending=True, stable=True)[:10].tolist()
        for told, candidate in zip(candidates, best, strict=True):
            triple = (h, r, candidate) if side else (candidate, r, t)
            known = bool(facts.contains(*(torch.tensor([x]) for x in triple)))
            mark = " [true]" if candidate == true else " [known]" if known else ""
            assert told == labels[candidate] + mark


def test_predictions_never_know_of_test(config, uniform, tmp_path, monkeypatch):
    def look(path, model, data, facts, **options):
        test = uniform.triples("test")
        held_out = test[~uniform.facts(("train", "val")).contains(*test.unbind(1))]
        assert len(held_out) > 100
        seen.append(bool(facts.contains(*held_out.unbind(1)).any()))

    seen = []
    monkeypatch.setattr(run_module, "write_predictions", look)
    Run.train(config, tmp_path / "run", progress=False)
    assert seen == [False]


def test_an_empty_validation_split_is_told(uniform, tmp_path):
    data = uniform.data.clone()
    data.val_mask = torch.zeros_like(data.val_mask)
    with pytest.raises(DataError, match="the validation split is empty"):
        write_predictions(tmp_path / "p.tsv", uniform.model, data, uniform.facts())
    assert not list(tmp_path.iterdir())


def test_ctrl_c_shows_what_there_is_and_resuming_goes_on_in_the_log(config, tmp_path):
    config = replace(config, train=replace(config.train, checkpoint_every=3))
    whole = Run.train(config, tmp_path / "whole", progress=False)
    parts = tmp_path / "parts"
    with pytest.raises(TrainingInterrupted):
        Run.train(config, parts, progress=False, callbacks=[Stop(5)])
    assert log(parts)[-1].startswith("stopped after step 5 of 8")
    assert (metrics(parts)["step"], metrics(parts)["best_step"]) == (5, 4)
    assert (parts / "curves.png").read_bytes()[:4] == b"\x89PNG"
    half = table(parts)
    assert len(half) == 51
    Run.train(config, parts, resume=True, progress=False)
    lines = log(parts)
    assert [i for i, line in enumerate(lines) if line.startswith("resumed after step 5: rotate on")] == [8]
    assert lines[-1].startswith("ended after step 8")
    assert (parts / "metrics.json").read_bytes() == (tmp_path / "whole" / "metrics.json").read_bytes()
    assert (parts / "predictions.tsv").read_bytes() == (whole.folder / "predictions.tsv").read_bytes()
    assert table(parts) != half


def test_what_a_crash_lost_is_reported_once(config, tmp_path):
    def crash():
        raise RuntimeError("power cut")

    folder = tmp_path / "run"
    with pytest.raises(RuntimeError, match="power cut"):
        Run.train(config, folder, progress=False, callbacks=[Stop(6, crash)])
    assert log(folder)[-1] == "ended by RuntimeError after step 6: power cut"
    Run.train(config, folder, resume=True, progress=False)
    assert [entry["step"] for entry in metrics(folder)["losses"]] == list(range(1, 9))
    assert next(line for line in log(folder) if "resumed" in line).startswith("resumed after step 4:")


def test_a_damaged_metrics_file_is_told_when_resumed(config, tmp_path):
    with pytest.raises(TrainingInterrupted):
        Run.train(config, tmp_path / "run", progress=False, callbacks=[Stop(5)])
    (tmp_path / "run" / "metrics.json").write_text('{"losses": ')
    with pytest.raises(DataError, match=r"metrics.json: not the metrics of a run .* Cure: delete it"):
        Run.train(config, tmp_path / "run", resume=True, progress=False)
    (tmp_path / "run" / "metrics.json").unlink()
    Run.train(config, tmp_path / "run", resume=True, progress=False)
    assert [entry["step"] for entry in metrics(tmp_path / "run")["losses"]] == [6, 7, 8]


def test_without_validation_there_is_a_log_and_predictions_all_the_same(config, tmp_path):
    run = Run.train(replace(config, train=replace(config.train, validate_every=0)), tmp_path / "run", progress=False)
    assert log(run.folder)[-1] == "ended after step 8"
    assert metrics(run.folder)["validation"] == []
    assert len(table(run.folder)) == 51
    refit = replace(config, refit=True, train=replace(config.train, validate_every=0))
    run = Run.train(refit, tmp_path / "refit", progress=False)
    assert not (run.folder / names.PREDICTIONS).exists()  # validation was trained on: its answers would say nothing
    assert (run.folder / names.CURVES).exists()


class Notes(GeneralTracker):
    name, requires_logging_directory, tracker = "notes", False, None

    def __init__(self, told):
        super().__init__()
        self.told = told

    def store_init_configuration(self, values):
        self.told["settings"] = values

    def log(self, values, step=None, **kwargs):
        self.told.setdefault(step, {}).update(values)

    def finish(self):
        self.told["closed"] = True


def test_of_several_processes_the_first_alone_writes_and_tells(config, tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "process_number", lambda: 1)
    monkeypatch.setattr(Processes, "first", property(lambda self: False))
    told = {}
    run = Run.train(config, tmp_path / "run", progress=False, track=[Notes(told)])
    assert run.best_step > 0
    assert told == {}
    assert not (tmp_path / "run").exists()


def test_a_tracker_of_ones_own_hears_of_a_run(config, tmp_path):
    told = {}
    run = Run.train(config, tmp_path / "run", progress=False, track=[Notes(told)])
    assert told["settings"]["train.learning_rate"] == config.train.learning_rate
    assert told["settings"]["sampler.modalities"] == "('image', 'text', 'structure')"
    losses = {entry["step"]: entry["loss"] for entry in metrics(run.folder)["losses"]}
    assert {step: told[step]["train/loss"] for step in losses} == losses
    assert told[8]["validation/mrr"] == metrics(run.folder)["validation"][-1]["mrr"]
    assert told["closed"]
    resumed = Run.train(config, run.folder, resume=True, progress=False)  # a tracker is no setting
    assert resumed.config == config


def test_a_run_that_breaks_says_so_in_its_log(config, tmp_path):
    def poison():
        raise NumericsError("the loss is nan")

    with pytest.raises(NumericsError):
        Run.train(config, tmp_path / "run", progress=False, callbacks=[Stop(7, poison)])
    assert log(tmp_path / "run")[-1] == "ended by NumericsError after step 7: the loss is nan"


def test_the_page_names_each_file_of_a_run_and_no_other(trained):
    cells = [line.split("|")[1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    told = {name for cell in cells for name in re.findall(r"`(.+?)`", cell)}
    there = {path.name + "/" * path.is_dir() for path in trained.folder.iterdir()}
    by_evaluation = {names.evaluation("val"), names.ranks("val"), names.LOOKS}
    on_demand = {"tensorboard/", "wandb/", "census/", "gallery.html", "export/"}
    assert there <= told
    assert told - there <= by_evaluation | on_demand
