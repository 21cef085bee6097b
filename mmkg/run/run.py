"""A run: train from settings into a folder; load it, evaluate it, ask it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

import pandas as pd
import torch

from mmkg.datasets import MultimodalKG, find_entity, find_relation
from mmkg.errors import DataError
from mmkg.evaluation import compare, evaluate, top_k
from mmkg.graph import Facts
from mmkg.run.build import (
    build_objective,
    build_scorer,
    check_names,
    open_dataset,
    used_features,
)
from mmkg.run.config import RunConfig
from mmkg.run.fused import fused, fused_features
from mmkg.run.record import fingerprint, note_look, plain, provenance, reset_peak_memory, write_json
from mmkg.run.refit import refit_data
from mmkg.run.sampler import build_sampler
from mmkg.run.start import start_from
from mmkg.samplers import NegativeSampler
from mmkg.scorers import Scorer
from mmkg.training import Callback, Trainer, TrainingInterrupted, load_tree, process_number, save_tree
from mmkg.types import Ranks

MODEL_FILE, CONFIG_FILE, NAMES_FILE, RESULT_FILE = "model.safetensors", "config.json", "names.json", "result.json"
LOOKS_FILE = "test_looks.csv"
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
            command: What was typed, for the record; the process's own arguments if None.

        Raises:
            DataError: On bad settings or input; nothing is left behind.
            TrainingInterrupted: After Ctrl-C, once a checkpoint is written.
        """
        folder, writes = Path(folder), process_number() == 0
        check_names(config)
        if not writes:
            pass  # the first of several processes looks after the folder
        elif (folder / CONFIG_FILE).exists():
            if not resume:
                raise DataError("the folder holds a run already", file=folder, cure="choose another, or --resume")
            if other := config.differences(RunConfig.load(folder / CONFIG_FILE)):
                told = "; ".join(f"{k}: {then!r} then, {now!r} now" for k, (now, then) in other.items())
                raise DataError(f"the run has other settings ({told})", file=folder, cure="resume with the same")
        elif folder.exists() and any(folder.iterdir()):
            raise DataError("the folder is not empty and holds no run", file=folder, cure="choose another")
        if (folder / RESULT_FILE).exists():
            return cls.load(folder, sampler=True, progress=progress)  # trained to the end with these very settings
        reset_peak_memory()
        looks = config.looks_at_features
        dataset = open_dataset(config, features=looks, progress=progress)
        data = dataset.topology
        seen = refit_data(data) if config.refit else data
        features = used_features(config, dataset) if looks else {}
        of_entities = fused_features(config, dataset)
        model = fused(config, build_scorer(config, int(data.num_nodes), int(data.num_relations)), of_entities)
        sampler = build_sampler(config, model, features, seen)
        warm = start_from(config, model, data)
        trainer = Trainer(
            model,
            sampler,
            build_objective(config),
            seen,
            config.train,
            folder=folder / "checkpoints",
            callbacks=callbacks,
            progress=progress,
        )
        if writes:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / CONFIG_FILE, asdict(config))
        try:
            result = trainer.fit(resume=resume)
        except TrainingInterrupted as stopped:
            raise TrainingInterrupted(f"{stopped}. Go on with the same command and --resume") from None
        except BaseException:
            if writes and not any((folder / "checkpoints").glob("step-*")):
                shutil.rmtree(folder)  # nothing to go on from: leave nothing in the way
            raise
        run = cls(folder, config, dataset, model, sampler, result.best_step)
        if not writes:
            return run
        tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
        if sampler is not None:
            tensors |= {f"sampler.{k}": v for k, v in sampler.state_dict().items()}
        save_tree(folder / MODEL_FILE, tensors, {"graph": fingerprint(data), "step": result.best_step})
        names = {"entities": data.entity_names, "labels": data.entity_labels, "relations": data.relation_names}
        write_json(folder / NAMES_FILE, names)
        record = provenance(config, dataset, features | of_entities, result, trainer.device, command) | {
            "warm_start": warm
        }
        write_json(folder / RESULT_FILE, record)  # the last of all: a run that has it is whole
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
        config = RunConfig.load(folder / CONFIG_FILE)
        if not (folder / RESULT_FILE).exists():
            raise DataError("training has not ended", file=folder, cure="go on with mmkg train … --resume")
        if root is not None:
            config = replace(config, root=root)
        check_names(config)
        tensors, meta = load_tree(folder / MODEL_FILE)
        looks = sampler and config.looks_at_features
        dataset = open_dataset(config, features=looks, progress=progress)
        data = dataset.topology
        if meta["graph"] != fingerprint(data):
            raise DataError(
                f"{config.dataset} under {config.root} has other names, triples or splits than the run was trained on",
                file=folder / MODEL_FILE,
                cure="give the dataset's folder with --root, or train anew",
            )
        of_entities = fused_features(config, dataset)
        model = fused(config, build_scorer(config, int(data.num_nodes), int(data.num_relations)), of_entities)
        features = used_features(config, dataset) if looks else {}
        loaded = None
        if sampler:
            loaded = build_sampler(config, model, features, refit_data(data) if config.refit else data)
        for name, module in (("model", model), ("sampler", loaded)):
            if module is not None:
                own = {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
                _load_state(module, own, folder / MODEL_FILE)
                module.to("cuda" if torch.cuda.is_available() else "cpu")
        return cls(folder, config, dataset, model.eval(), loaded, meta["step"])

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
        write_json(self.folder / f"evaluation_{split}.json", result)
        ranks = {name: getattr(found.ranks, name) for name in RANKS}
        save_tree(self.folder / f"ranks_{split}.safetensors", ranks, {"graph": fingerprint(self.data)})
        if split == "test":
            note_look(self.folder / LOOKS_FILE, self.config.dataset, result)
        return result

    def ranks(self, split: str = "val") -> Ranks:
        """Ranks of a split's questions, as :meth:`evaluate` found them.

        Raises:
            DataError: If the split was not evaluated.
        """
        path = self.folder / f"ranks_{split}.safetensors"
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
        """Answer ``(h, r, ?)`` or ``(?, r, t)`` by name, or place a whole triple among all candidates.

        Args:
            head: Name or id of the head, or None to ask for it.
            relation: Name of the relation.
            tail: Name or id of the tail, or None to ask for it.
            k: How many answers.
            include_known: Whether known facts may be among them (they are marked).

        Returns:
            For a question, one row an answer: ``rank, entity, label, score, known``. For a triple, a dict with
            ``score``, ``known``, ``percentile_head`` and ``percentile_tail``.

        Raises:
            UnknownNameError: If a name is not in the graph; the nearest are named.
        """
        if relation is None or (head is None and tail is None):
            raise DataError(
                "a question needs a relation and a head, a tail, or both",
                cure="give relation and head, or relation and tail",
            )
        r = find_relation(self.data, relation)
        h, t = (None if name is None else find_entity(self.data, name) for name in (head, tail))
        if h is not None and t is not None:
            return compare(self.model, h, r, t, self.facts())
        anchor, side = (h, "tail") if h is not None else (t, "head")
        asked = anchor, r, side, k, self.facts()
        found = top_k(self.model, *asked, include_known=include_known)  # type: ignore[arg-type]
        ids = found.ids.tolist()
        return pd.DataFrame(
            {
                "rank": range(1, len(ids) + 1),
                "entity": [self.data.entity_names[i] for i in ids],
                "label": [self.data.entity_labels[i] for i in ids],
                "score": found.scores.tolist(),
                "known": found.known.tolist(),
            }
        )


def _load_state(module: torch.nn.Module, state: dict[str, torch.Tensor], path: Path) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        problem = f"its tensors do not fit the {type(module).__name__} of these settings and features ({error})"
        raise DataError(problem, file=path, cure="use the features it was trained with, or train anew") from None
