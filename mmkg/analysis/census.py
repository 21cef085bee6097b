"""The census: what a sampler draws for a fixed set of questions while it and the scorer are trained."""

from __future__ import annotations

import datetime
import hashlib
import json
import time
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import mmkg
from mmkg.analysis.census_rows import CENSUS, Ground, ask
from mmkg.analysis.schedule import Schedule
from mmkg.analysis.undisturbed import undisturbed
from mmkg.errors import DataError
from mmkg.evaluation.scoring import asking
from mmkg.files import atomic_write
from mmkg.graph import Patterns
from mmkg.graph.vocabulary import vocabulary
from mmkg.samplers.negative_files import NegativeFiles, read_negatives, sampler_settings

COST_FILE = "cost.json"


class Census:
    """A callback of the trainer (see :class:`mmkg.training.Callback`) that asks any sampler what it draws.

    On a fixed set of training triples, both sides, it lets the sampler draw with a generator of its own, and writes a
    row a negative to Parquet, see :data:`mmkg.analysis.census_rows.CENSUS`; beside them uniform negatives for the same
    questions under the same model, for comparison. The sampler's state and torch's random numbers are put back, so that
    training is the same to the bit with and without a census. Held-out facts mark what is false about a negative; the
    census has the whole graph for that, and the sampler is given the trainer's train facts alone.

    Each probe is a file of its own, written whole or not at all: Ctrl-C loses nothing. What is drawn at a step depends
    on ``seed`` and the step alone, and not on earlier probes.

    Args:
        data: The whole graph, the one that is trained on.
        folder: Where to write, say the run's folder and ``census``; made with the first probe.
        probe: How many train triples, chosen by ``seed``; or which, ids (h, r, t) of shape ``[Q, 3]``.
        every: Steps between two probes; a fiftieth of the training if None.
        overhead: Largest share of the time of training that probes may take, see
            :class:`~mmkg.analysis.schedule.Schedule`; None for no bound, so that exactly the planned steps are probed.
        reference: Whether to draw uniform negatives beside the sampler's.
        patterns: Relation patterns of train; mined here if None, without those that have a path for a body.
        seed: Of the probe set and the draws.
        resume: Whether training is resumed: probes after the step at which it goes on are made anew.
        provenance: JSON-able, kept in every file, such as a run's settings.
        clock: Seconds, for tests.

    Raises:
        DataError: If the folder holds a census and training is not resumed, or one of another graph, sampler or probe;
            if the probe holds something other than train triples; if training draws no negatives.

    Example:
        ``Run.train(config, folder, callbacks=[Census(dataset.topology, folder / "census")])``, then
        ``read_census(folder / "census")``.
    """

    def __init__(
        self,
        data,
        folder: str | Path,
        *,
        probe: int | Tensor = 256,
        every: int | None = None,
        overhead: float | None = 0.05,
        reference: bool = True,
        patterns: Patterns | None = None,
        seed: int = 0,
        resume: bool = False,
        provenance: dict | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.schedule, self.reference, self.seed, self.resume = (
            Schedule(every, overhead, clock),
            reference,
            seed,
            resume,
        )
        self.ground = Ground(data, patterns)
        self.triples = _triples(data, probe, seed)  # [Q, 3]
        told = {"kind": "census", "vocabulary": vocabulary(data), "census_seed": seed}
        told["probe"] = (
            f"{len(self.triples)} triples, {hashlib.blake2b(self.triples.numpy(), digest_size=8).hexdigest()}"
        )
        told |= {"reference": reference, "date": datetime.date.today().isoformat()}
        told["versions"] = {"mmkg": mmkg.__version__} | {p: metadata.version(p) for p in ("torch", "pyarrow")}
        self.files = NegativeFiles(folder, CENSUS, told | (provenance or {}))
        if not resume:
            self.files.check_empty()
        self._before: list[dict] = []  # cost of the sessions before this one
        self._begun = False

    def on_negatives(self, trainer, step, batch, side, negatives, scores) -> None:
        """Nothing: what is drawn for training depends on the batch; the probe is always the same."""

    def on_validation(self, trainer, step, metrics) -> None:
        """Nothing."""

    def on_step(self, trainer, step: int, losses: dict[str, float]) -> None:
        """Probe, if it is time."""
        if not self._begun:
            self._begin(trainer, step)
        if self.schedule.due(step):
            with self.schedule.probing(step) as entry:
                entry |= self._probe(trainer, step)

    def on_checkpoint(self, trainer, step: int) -> None:
        """Write down what the census has cost so far; at the end say so if nothing could be afforded."""
        if not self._begun:
            return
        sessions = [*self._before, self.cost() | {"detail": self.schedule.probes}]
        if self.files.folder.exists():
            with atomic_write(self.files.folder / COST_FILE) as file:
                file.write(json.dumps({"sessions": sessions}, indent=2).encode())
        if step == trainer.config.steps and not self.files.paths():
            told = f"the census made no probe: one would take more than {self.schedule.share:.0%} of"
            cure = "train for longer, make the probe smaller, or allow more by overhead="
            warnings.warn(f"{told} {self.schedule.training:.1f} s of training. Cure: {cure}", stacklevel=2)

    def on_end(self, trainer, error) -> None:
        """Nothing: all is written."""

    def cost(self) -> dict:
        """What the census has cost since training began or was resumed; see :meth:`Schedule.cost`."""
        return self.schedule.cost()

    def frame(self) -> pd.DataFrame:
        """All rows so far; see :func:`read_census`."""
        return read_census(self.files.folder)

    def _begin(self, trainer, step: int) -> None:
        """Look at who is asked, and clear away what a stopped training had drawn beyond its checkpoint."""
        if trainer.sampler is None:
            problem = f"{type(trainer.objective).__name__} draws no negatives"
            raise DataError(problem, cure="leave the census out, or choose an objective that draws some")
        facts, ground = trainer.facts, self.ground
        if (facts.num_nodes, facts.num_relations) != (ground.num_nodes, ground.num_relations):
            problem = f"the census is of {ground.num_nodes} entities and {ground.num_relations} relations, "
            problem += f"training of {facts.num_nodes} and {facts.num_relations}"
            raise DataError(problem, cure="give the census the graph that is trained on")
        self.triples = self.triples.to(trainer.device)
        if not bool(facts.contains(*self.triples.unbind(1)).all()):
            raise DataError("training does not know all triples of the probe", cure="give the graph that is trained on")
        told = {"sampler": sampler_settings(trainer.sampler), "scorer": type(trainer.model).__name__}
        self.files.provenance |= told | {"seed": trainer.config.seed}
        if self.resume:
            self.files.drop_from(step)
            cost = self.files.folder / COST_FILE
            self._before = json.loads(cost.read_text())["sessions"] if cost.exists() else []
        self.schedule.begin(step, trainer.config.steps, 2 * len(self.triples) / trainer.batches.batch_size)
        self._begun = True

    def _probe(self, trainer, step: int) -> dict[str, int]:
        """Ask and write; what came of it."""
        drawing, own = (int(x) for x in np.random.SeedSequence((self.seed, step)).generate_state(2))
        generator = torch.Generator(trainer.device).manual_seed(drawing)
        with undisturbed(trainer.sampler, trainer.device, own), asking(trainer.model) as model:
            trainer.sampler.eval()  # nothing is renewed in vain; its own mode comes back with the rest
            columns, invalid = ask(
                trainer.sampler,
                model,
                self.triples,
                trainer.facts,
                self.ground,
                step=step,
                epoch=trainer.epoch,
                generator=generator,
                batch_size=trainer.batches.batch_size,
                reference=self.reference,
            )
        if len(columns["negative"]):
            self.files.write(columns, step, step)
        return {"rows": len(columns["negative"]), "invalid": invalid}


def read_census(path: str | Path) -> pd.DataFrame:
    """A census as a table, one row a negative; its columns are those of :data:`mmkg.analysis.census_rows.CENSUS`.

    Args:
        path: The folder that a :class:`Census` wrote, or one of its files.

    Returns:
        The table; ``attrs["provenance"]`` says of what graph, sampler, scorer and probe it is, ``attrs["cost"]`` what
        each session of training paid for it, if that is there.

    Raises:
        DataError: If there is none, it is damaged, or it is a stream without what a census adds.
    """
    frame, path = read_negatives(path), Path(path)
    if missing := [c for c in CENSUS.names if c not in frame]:
        told = f"no column {missing[0]!r}: a stream of negatives and no census"
        raise DataError(told, file=path, cure="give the folder that a census wrote")
    cost = path / COST_FILE
    if cost.is_file():
        frame.attrs["cost"] = json.loads(cost.read_text())["sessions"]
    return frame


def _triples(data, probe: int | Tensor, seed: int) -> Tensor:
    """Train triples ``[Q, 3]`` to ask about."""
    keep = data.train_mask
    triples = torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], dim=1)[keep].cpu()  # [E, 3]
    if isinstance(probe, Tensor):
        if probe.dim() != 2 or probe.shape[1] != 3 or not len(probe):
            raise DataError(f"a probe of shape {tuple(probe.shape)}", cure="give ids (h, r, t), shape [Q, 3], Q > 0")
        return probe.cpu().long()
    if probe < 1 or not len(triples):
        raise DataError(f"a probe of {probe} out of {len(triples)} train triples", cure="ask for at least 1")
    order = torch.randperm(len(triples), generator=torch.Generator().manual_seed(seed))
    return triples[order[:probe].sort().values]  # [Q, 3]
