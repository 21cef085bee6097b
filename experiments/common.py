"""What the experiments share: a record of each run, a probe of the loss, and a table of what was found."""

from __future__ import annotations

import csv
import datetime
import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from mmkg.evaluation import score_side
from mmkg.graph import Facts
from mmkg.run import Run, RunConfig, write_json
from mmkg.run.record import versions
from mmkg.samplers import UniformSampler
from mmkg.training import Callback, SelfAdversarial
from mmkg.types import SIDES, Batch

RESULTS = Path(__file__).parent / "results"


class Probe(Callback):
    """The logistic loss on one fixed batch with fixed uniform negatives on both sides, after each step.

    The loss in training is that of the sampler's ever harder negatives, and another for each objective; this one says
    whether the model learns.
    """

    def __init__(self, size: int = 128, negatives: int = 20, seed: int = 0) -> None:
        self.size, self.negatives, self.seed = size, negatives, seed
        self.losses: dict[int, float] = {}
        self._objective = SelfAdversarial()
        self._batch: Batch | None = None

    def _fix(self, trainer) -> None:
        """Choose the batch and its negatives, once."""
        generator = torch.Generator().manual_seed(self.seed)
        triples, weight = trainer.batches.triples, trainer.batches.weight
        rows = torch.randperm(len(triples), generator=generator)[: self.size]
        batch = Batch(*triples[rows].unbind(1), None if weight is None else weight[rows])
        facts: Facts = trainer.facts.to("cpu")
        sampler = UniformSampler(facts.num_nodes, self.negatives)
        drawn = {side: sampler.sample(batch, side, None, facts, generator) for side in SIDES}
        self._batch = batch.to(trainer.device)
        self._drawn = {side: (d.ids.to(trainer.device), d.valid.to(trainer.device)) for side, d in drawn.items()}

    @torch.no_grad()
    def on_step(self, trainer, step, losses):
        """Measure."""
        if self._batch is None:
            self._fix(trainer)
        batch, total = self._batch, 0.0
        positive = trainer.model(batch.head, batch.relation, batch.tail)
        for side, (ids, valid) in self._drawn.items():
            scores = score_side(trainer.model, batch, side, ids)
            total += float(self._objective(positive, scores, valid, batch.weight)) / 2
        self.losses[step] = total

    def summary(self) -> dict[str, float] | None:
        """Mean of the first and of the last 50 steps, and their ratio; None unless it looked on from the first step."""
        if 1 not in self.losses:
            return None
        losses = [self.losses[step] for step in sorted(self.losses)]
        first, last = losses[:50], losses[-50:]
        first, last = sum(first) / len(first), sum(last) / len(last)
        return {"first_50": first, "last_50": last, "ratio": last / first}


class Cost(Callback):
    """CPU seconds of a training step: validation, checkpoints and the first step of each session left out.

    CPU time counts what this process did; wall-clock on a shared machine counts what others did as well. It is kept
    beside the checkpoints, so that a run that was stopped and taken up again knows all of it.

    Args:
        path: JSON file in the run's folder.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.seconds, self.steps = path, 0.0, 0
        self._last: float | None = None
        self._began = False

    def on_step(self, trainer, step, losses):
        """Time the step, if it began where the last one ended."""
        now = time.process_time()
        if not self._began and step > 1 and self.path.exists():
            before = json.loads(self.path.read_text(encoding="utf-8"))
            self.seconds, self.steps = before["cpu_seconds"], before["steps_timed"]
        if self._last is not None:
            self.seconds, self.steps = self.seconds + now - self._last, self.steps + 1
        self._last, self._began = now, True

    def on_validation(self, trainer, step, metrics):
        """Validation is no part of a step."""
        self._last = time.process_time()

    def on_checkpoint(self, trainer, step):
        """Keep what was timed; the step after it would count the saving."""
        self._last = None
        each = self.seconds / self.steps if self.steps else None
        write_json(self.path, {"cpu_seconds": self.seconds, "steps_timed": self.steps, "cpu_seconds_a_step": each})


def record(
    run: Run,
    variant: str,
    name: str,
    *,
    final: bool,
    results: Path | None,
    looks: Path,
    probe: Probe | None = None,
    chosen_by: Run | None = None,
    extra: Callable[[Run], dict] | None = None,
) -> dict:
    """Evaluate a run and give one entry for it: its own record, and what was evaluated.

    Args:
        run: A trained run.
        variant: What distinguishes it from the others of an experiment.
        name: Name of the JSON file, without suffix.
        final: Whether to look at the test split; a run that was looked at before is not looked at again.
        results: Folder to write the entry to, or None.
        looks: CSV file to which a look at the test split is added.
        probe: A probe that looked on, if there was one. Its summary is kept in the run's folder.
        chosen_by: Of a refit, the run whose validation chose its settings; that validation stands in the entry.
        extra: What else is to stand in the entry; asked once the run is evaluated.
    """
    entry = {"variant": variant} | json.loads((run.folder / "result.json").read_text(encoding="utf-8"))
    judge = chosen_by or run
    if int(run.data.val_mask.sum()):
        entry["valid"] = _flat(judge.evaluate("val", progress=True))
    if chosen_by is not None:
        told = json.loads((chosen_by.folder / "result.json").read_text(encoding="utf-8"))
        entry["chosen_by"] = {"run": chosen_by.folder.name} | {k: told[k] for k in ("best_step", "steps_per_epoch")}
        entry["chosen_by"]["history"] = told["history"]
    if final:
        seen = run.folder / "evaluation_test.json"
        looked = seen.exists()
        test = json.loads(seen.read_text(encoding="utf-8")) if looked else run.evaluate("test", progress=True)
        if not looked:
            note_look(looks, run, test["metrics"]["realistic"]["mrr"])
        entry["test"] = _flat(test)
    kept = run.folder / "probe.json"
    if probe is not None and (summary := probe.summary()) is not None:
        write_json(kept, summary)
    if kept.exists():
        entry["probe_loss"] = json.loads(kept.read_text(encoding="utf-8"))
    if extra is not None:
        entry |= extra(run)
    if results is not None:
        results.mkdir(parents=True, exist_ok=True)
        write_json(results / f"{name}.json", entry)
    return entry


def note_look(path: Path, run: Run, mrr: float) -> None:
    """Add a look at the test split to the list of all looks, which is kept with the results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    now = datetime.datetime.now().isoformat("T", "seconds")
    row = [run.config.dataset, short_hash(run.config), run.config.train.seed, now, versions().get("commit", ""), mrr]
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(["dataset", "config", "seed", "date", "commit", "test_mrr"])
        writer.writerow(row)


def _flat(evaluation: dict) -> dict:
    counted = {
        k: evaluation[k] for k in ("queries", "unseen_triples", "excluded_triples", "adjusted") if k in evaluation
    }
    return {**counted, **evaluation["metrics"], "breakdown": evaluation["breakdown"]}


def short_hash(config: RunConfig) -> str:
    """Eight letters that tell settings apart; the seed and the folder of datasets do not count.

    Settings at their defaults do not count either, so that a setting that comes later renames no earlier run.
    """
    same = replace(config, root=RunConfig().root, train=replace(config.train, seed=0), warm_start=None)
    chosen = {name: here for name, (here, _) in same.differences(RunConfig()).items()}
    return hashlib.blake2b(json.dumps(chosen, sort_keys=True).encode(), digest_size=4).hexdigest()


def mean_sd(values: list[float], digits: int = 4) -> str:
    """Mean ± sample standard deviation, or the one value there is."""
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.{digits}f}"
    sd = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
    return f"{mean:.{digits}f} ± {sd:.{digits}f}"


def summarise(entries: list[dict]) -> list[dict]:
    """One row a variant: validation and, where looked at, test metrics under realistic ranks, and the cost."""
    rows = []
    for variant in dict.fromkeys(e["variant"] for e in entries):
        found = [e for e in entries if e["variant"] == variant]
        row = {"variant": variant, "seeds": len(found)}
        for split in ("valid", "test"):
            if all(split in e for e in found):
                for metric in ("mrr", "hits@1", "hits@10"):
                    row[f"{split} {metric}"] = mean_sd([e[split]["realistic"][metric] for e in found])
        row["seconds"] = f"{sum(e['wall_seconds'] for e in found) / len(found):.0f}"
        rows.append(row)
    return rows
