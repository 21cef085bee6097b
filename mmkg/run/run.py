"""A run: train from settings into a folder; load it, evaluate it, ask it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

import pandas as pd
import torch
from accelerate.tracking import GeneralTracker

from mmkg.datasets import MultimodalKG, find_entity, find_relation
from mmkg.errors import DataError
from mmkg.evaluation import compare, evaluate, top_k, top_relations
from mmkg.graph import Facts
from mmkg.run import folder as names
from mmkg.run.answers import answer_table, relation_table
from mmkg.run.build import build_objective, check_names, open_dataset
from mmkg.run.config import RunConfig
from mmkg.run.curves import draw_curves
from mmkg.run.journal import Journal
from mmkg.run.parts import put_together
from mmkg.run.predictions import write_predictions
from mmkg.run.record import fingerprint, note_look, plain, provenance, reset_peak_memory, write_json
from mmkg.run.start import start_from
from mmkg.samplers import NegativeSampler
from mmkg.scorers import Scorer
from mmkg.training import Callback, Tracking, Trainer, TrainingInterrupted, load_tree, process_number, save_tree
from mmkg.types import Ranks

RANKS = [field.name for field in fields(Ranks)]


class Run:
    """A trained model with its graph and its settings.

    Args:
        folder: Where it is kept.
        config: Its settings.
        dataset: Its dataset.
        model: The scorer, as selected on validation.
        sampler: The sampler as it was then; None where none was needed or it was not asked for.
        best_step: Step at which they were selected.
    """

    def __init__(
        self,
        folder: Path,
        config: RunConfig,
        dataset: MultimodalKG,
        model: Scorer,
        sampler: NegativeSampler | None = None,
        best_step: int = 0,
    ) -> None:
        self.folder, self.config, self.dataset = Path(folder), config, dataset
        self.model, self.sampler, self.best_step = model, sampler, best_step
        self.data = dataset.topology

    def __repr__(self) -> str:
        against = self.config.sampler.name if self.config.draws_negatives else self.config.objective
        return f"Run({str(self.folder)!r}: {self.config.scorer}, {against}, {self.dataset})"

    @classmethod
    def train(
        cls,
        config: RunConfig,
        folder: str | Path,
        *,
        resume: bool = False,
        progress: bool = True,
        callbacks: Sequence[Callback] = (),
        track: Sequence[str | GeneralTracker] = (),
        command: str | None = None,
    ) -> Run:
        """Train a model and keep it in a folder.

        Under ``torchrun`` or ``accelerate launch`` each process calls this; they share each batch and the ranking of
        validation, and the first writes.

        Args:
            config: Settings.
            folder: Folder to write; must not hold another run.
            resume: Go on from the latest checkpoint in the folder.
            progress: Whether to show bars.
            callbacks: Who looks on, see :class:`mmkg.training.Callback`.
            track: Experiment trackers to tell, see :class:`mmkg.training.Tracking`.
            command: What was typed, for the record; the process's own arguments if None.

        Raises:
            DataError: On bad settings or input; nothing is left behind.
            TrainingInterrupted: After Ctrl-C, once a checkpoint is written.
        """
        folder, writes = Path(folder), process_number() == 0
        check_names(config)
        watchers = [Journal(folder, config), *callbacks]
        if track:
            watchers.append(Tracking(track, folder, config.flat()))
        if writes:  # the first of several processes looks after the folder
            names.check_free(folder, config, resume)
        if (folder / names.RESULT).exists():
            return cls.load(folder, sampler=True, progress=progress)  # trained to the end with these very settings
        reset_peak_memory()
        dataset = open_dataset(config, features=config.looks_at_features, progress=progress)
        data = dataset.topology
        parts = put_together(config, dataset)
        model, sampler = parts.model, parts.sampler
        warm = start_from(config, model, data)
        trainer = Trainer(
            model,
            sampler,
            build_objective(config),
            parts.seen,
            config.train,
            folder=folder / names.CHECKPOINTS,
            callbacks=watchers,
            progress=progress,
        )
        if writes:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / names.CONFIG, asdict(config))
        try:
            result = trainer.fit(resume=resume)
        except TrainingInterrupted as stopped:
            if writes:
                trainer.take_best()
                _show(folder, trainer, data)
            raise TrainingInterrupted(f"{stopped}. Go on with the same command and --resume") from None
        except BaseException:
            if writes and not names.has_checkpoint(folder):
                shutil.rmtree(folder)  # nothing to go on from: leave nothing in the way
            raise
        run = cls(folder, config, dataset, model, sampler, result.best_step)
        if not writes:
            return run
        tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
        if sampler is not None:
            tensors |= {f"sampler.{k}": v for k, v in sampler.state_dict().items()}
        save_tree(folder / names.MODEL, tensors, {"graph": fingerprint(data), "step": result.best_step})
        vocabulary = {"entities": data.entity_names, "labels": data.entity_labels, "relations": data.relation_names}
        write_json(folder / names.NAMES, vocabulary)
        _show(folder, trainer, data)
        record = provenance(config, dataset, parts.features, result, trainer.device, command)
        write_json(folder / names.RESULT, record | {"warm_start": warm})  # the last of all: a run that has it is whole
        return run

    @classmethod
    def load(cls, folder: str | Path, *, root: str | None = None, sampler: bool = False, progress: bool = True) -> Run:
        """A run that :meth:`train` kept.

        Args:
            folder: Its folder.
            root: Folder of datasets, if it is not where it was.
            sampler: Whether to load the sampler and the features that it looks at.
            progress: Whether to show bars.

        Raises:
            DataError: If there is no whole run, or the dataset has other names than it had.
        """
        folder = Path(folder)
        config = RunConfig.load(folder / names.CONFIG)
        if not (folder / names.RESULT).exists():
            raise DataError("training has not ended", file=folder, cure="go on with mmkg train … --resume")
        if root is not None:
            config = replace(config, root=root)
        check_names(config)
        tensors, meta = load_tree(folder / names.MODEL)
        dataset = open_dataset(config, features=sampler and config.looks_at_features, progress=progress)
        data = dataset.topology
        if meta["graph"] != fingerprint(data):
            raise DataError(
                f"{config.dataset} under {config.root} has other names, triples or splits than the run was trained on",
                file=folder / names.MODEL,
                cure="give the dataset's folder with --root, or train anew",
            )
        parts = put_together(config, dataset, sampler=sampler)
        for name, module in (("model", parts.model), ("sampler", parts.sampler)):
            if module is not None:
                own = {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
                _load_state(module, own, folder / names.MODEL)
                module.to("cuda" if torch.cuda.is_available() else "cpu")
        return cls(folder, config, dataset, parts.model.eval(), parts.sampler, meta["step"])

    def facts(self, splits: tuple[str, ...] = ("train", "val", "test")) -> Facts:
        """Known facts of some splits."""
        return Facts.from_data(self.data, splits)

    def triples(self, split: str) -> torch.Tensor:
        """Ids (h, r, t) of a split, shape ``[Q, 3]``."""
        keep = self.data[f"{split}_mask"]
        return torch.stack([self.data.edge_index[0], self.data.edge_type, self.data.edge_index[1]], dim=1)[keep]

    def evaluate(self, split: str = "val", *, progress: bool = False) -> dict:
        """Filtered metrics on both sides under three tie rules, against chance, and by group.

        A look at the test split is written down in the run's ``test_looks.csv``. The ranks themselves are kept in
        ``ranks_<split>.safetensors``, so that two runs can be compared without scoring again.

        Args:
            split: "val" (filtered with train and validation facts, and true triples outside all splits) or "test"
                (filtered with all known facts).
            progress: Whether to show a bar.

        Returns:
            ``dataset``, ``split_policy``, and all that :meth:`mmkg.evaluation.Evaluation.summary` says: ``split``,
            ``queries``, ``metrics`` by tie rule, ``breakdown`` as a list of rows (realistic), and what was unseen.

        Raises:
            DataError: If the split is another one, or validation of a run that was trained on it.
        """
        if split not in ("val", "test"):
            raise DataError(f"split {split!r}", cure="choose val or test")
        if split == "val" and self.config.refit:
            cure = "evaluate the run that chose its settings"
            raise DataError("a refit is trained on validation", file=self.folder, cure=cure)
        present = {m: f.present for m in ("image", "text") if (f := self.dataset.features(m)) is not None}
        memory = self.config.train.memory_mb
        found = evaluate(self.model, self.data, split, present=present, memory_mb=memory, progress=progress)
        policy = getattr(self.dataset, "split_policy", "as released")
        result = plain({"dataset": self.config.dataset, "split_policy": policy} | found.summary())
        write_json(self.folder / names.evaluation(split), result)
        ranks = {name: getattr(found.ranks, name) for name in RANKS}
        save_tree(self.folder / names.ranks(split), ranks, {"graph": fingerprint(self.data)})
        if split == "test":
            note_look(self.folder / names.LOOKS, self.config.dataset, result)
        return result

    def ranks(self, split: str = "val") -> Ranks:
        """Ranks of a split's questions, as :meth:`evaluate` found them.

        Raises:
            DataError: If the split was not evaluated.
        """
        path = self.folder / names.ranks(split)
        if not path.exists():
            raise DataError(f"no ranks of {split}", file=self.folder, cure="evaluate the run on it first")
        return Ranks(**load_tree(path)[0])

    def predict(
        self,
        *,
        head: str | None = None,
        relation: str | None = None,
        tail: str | None = None,
        k: int = 10,
        include_known: bool = True,
    ) -> pd.DataFrame | dict:
        """Answer ``(h, r, ?)``, ``(?, r, t)`` or ``(h, ?, t)`` by name, or place a whole triple among all candidates.

        Args:
            head: Name or id of the head, or None to ask for it.
            relation: Name of the relation, or None to ask for it.
            tail: Name or id of the tail, or None to ask for it.
            k: How many answers.
            include_known: Whether known facts may be among them (they are marked).

        Returns:
            For a question, one row an answer: ``rank, entity, label, score, known``, or ``rank, relation, score,
            known``. For a triple, a dict with ``score``, ``known``, ``percentile_head`` and ``percentile_tail``.

        Raises:
            UnknownNameError: If a name is not in the graph; the nearest are named.
            DataError: If fewer than two of the three are given.
        """
        if [head, relation, tail].count(None) > 1:
            problem = "a question needs two of head, relation and tail"
            raise DataError(problem, cure="give relation and head, relation and tail, or head and tail")
        h, t = (None if name is None else find_entity(self.data, name) for name in (head, tail))
        if relation is None:
            best = top_relations(self.model, h, t, k, self.facts(), include_known=include_known)
            return relation_table(best, self.data)
        r = find_relation(self.data, relation)
        if h is not None and t is not None:
            return compare(self.model, h, r, t, self.facts())
        anchor, side = (h, "tail") if h is not None else (t, "head")
        asked = anchor, r, side, k, self.facts()
        found = top_k(self.model, *asked, include_known=include_known)  # type: ignore[arg-type]
        return answer_table(found, self.data)


def _show(folder: Path, trainer: Trainer, data) -> None:
    """Write what a person may look at: curves, and predictions by the model as it is."""
    if (folder / names.METRICS).exists():  # else all steps were made by a version that wrote none
        draw_curves(folder)
    if len(trainer.validation):
        memory = trainer.config.memory_mb
        write_predictions(folder / names.PREDICTIONS, trainer.model, data, trainer.validation_filter, memory_mb=memory)


def _load_state(module: torch.nn.Module, state: dict[str, torch.Tensor], path: Path) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        problem = f"its tensors do not fit the {type(module).__name__} of these settings and features ({error})"
        raise DataError(problem, file=path, cure="use the features it was trained with, or train anew") from None
