"""What the experiments share: a record of each run, a probe of the loss, and a table of what was found."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from mmkg.evaluation import score_side
from mmkg.graph import Facts
from mmkg.run import Run
from mmkg.samplers import UniformSampler
from mmkg.training import Callback
from mmkg.types import SIDES, Batch

RESULTS = Path(__file__).parent / "results"


class Probe(Callback):
    """The objective on one fixed batch with fixed uniform negatives on both sides, after each step.

    The loss in training is that of ever harder negatives; this one says whether the model learns.
    """

    def __init__(self, size: int = 128, negatives: int = 20, seed: int = 0) -> None:
        self.size, self.negatives, self.seed = size, negatives, seed
        self.losses: list[float] = []
        self._batch: Batch | None = None

    def _fix(self, trainer) -> None:
        """Choose the batch and its negatives, once."""
        generator = torch.Generator().manual_seed(self.seed)
        triples, weight = trainer.batches.triples.cpu(), trainer.batches.weight
        rows = torch.randperm(len(triples), generator=generator)[: self.size]
        batch = Batch(*triples[rows].unbind(1), None if weight is None else weight.cpu()[rows])
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
            if trainer.objective.needs_negatives:
                scores = score_side(trainer.model, batch, side, ids)
                total += float(trainer.objective(positive, scores, valid, batch.weight)) / 2
            else:
                scores = score_side(trainer.model, batch, side)
                total += float(trainer.objective(scores, batch.answer(side), batch.weight)) / 2
        self.losses.append(total)

    def summary(self) -> dict[str, float]:
        """Mean of the first and of the last 50 steps, and their ratio."""
        first, last = self.losses[:50], self.losses[-50:]
        first, last = sum(first) / len(first), sum(last) / len(last)
        return {"first_50": first, "last_50": last, "ratio": last / first}


def record(run: Run, variant: str, name: str, *, final: bool, results: Path | None, probe: Probe | None = None) -> dict:
    """Evaluate a run and write one JSON for it.

    Args:
        run: A trained run.
        variant: What distinguishes it from the others of an experiment.
        name: Name of the JSON file, without suffix.
        final: Whether to look at the test split, once; the look is noted in the run.
        results: Folder to write to; only the run's own folder if None.
        probe: A probe that looked on, if there was one.
    """
    entry = {"variant": variant, "seed": run.config.train.seed}
    entry |= json.loads((run.folder / "result.json").read_text(encoding="utf-8"))
    entry["command"] = "python " + " ".join(sys.argv)
    if int(run.data.val_mask.sum()):
        entry["valid"] = _without_names(run.evaluate("val", progress=True))
    if final:
        entry["test"] = _without_names(run.evaluate("test", progress=True))
    if probe is not None and probe.losses:
        entry["probe_loss"] = probe.summary()
    (run.folder / "result.json").write_text(json.dumps(entry, indent=2) + "\n", encoding="utf-8")
    if results is not None:
        results.mkdir(parents=True, exist_ok=True)
        (results / f"{name}.json").write_text(json.dumps(entry, indent=2) + "\n", encoding="utf-8")
    return entry


def _without_names(evaluation: dict) -> dict:
    return {"queries": evaluation["queries"], **evaluation["metrics"], "breakdown": evaluation["breakdown"]}


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


def show(rows: list[dict], title: str) -> None:
    """Print rows as a table."""
    table = Table(title=title, box=SIMPLE, title_justify="left", title_style="bold")
    columns = list(dict.fromkeys(c for row in rows for c in row))
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(str(row.get(c, "")) for c in columns))
    Console().print(table)
