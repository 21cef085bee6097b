"""The trainer: batches in, losses down, best model restored."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

from mmkg.errors import DataError
from mmkg.evaluation import metrics, rank_together
from mmkg.graph import Facts
from mmkg.samplers import NegativeSampler
from mmkg.training.batches import Batches
from mmkg.training.callbacks import Callback
from mmkg.training.checkpoint import Checkpoints
from mmkg.training.config import TrainConfig
from mmkg.training.device import accelerator_of, apart
from mmkg.training.gradients import Gradients
from mmkg.training.guard import Guard
from mmkg.training.identity import VOCABULARIES, identity
from mmkg.training.interrupt import GracefulStop, TrainingInterrupted
from mmkg.training.optimizers import BY_ROWS, OPTIMIZERS
from mmkg.training.processes import Processes
from mmkg.training.questions import Questions
from mmkg.training.result import TrainResult
from mmkg.training.saving import restore, save
from mmkg.training.schedule import rate_factor
from mmkg.training.seeds import stream
from mmkg.training.step import StepLoss
from mmkg.types import Batch, Negatives, Side


class Trainer:
    r"""Trains a scorer, and a sampler that learns, on the train split of a graph.

    Each step takes a batch, asks for one side (tails and heads in turn) or both, and descends
    :math:`L = L_{\mathrm{objective}} + L_{\mathrm{sampler}} + \lambda_1 L_{\mathrm{regulariser}} +
    \lambda_2 L_{\mathrm{relation}}`; see :class:`mmkg.training.StepLoss`. The sampler sees train facts only. Validation
    filters with train and validation facts (and true triples outside all splits), never with test ones, and decides
    which model is kept.

    Args:
        model: The scorer.
        sampler: Draws negatives; None for an objective that needs none.
        objective: See :mod:`mmkg.training.objectives`.
        data: Graph with ``edge_index``, ``edge_type``, ``train_mask``, ``val_mask``, ``num_nodes``, ``num_relations``.
        config: Settings.
        folder: Where checkpoints go; None keeps everything in memory.
        callbacks: Who looks on.
        progress: Whether to show a bar.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        sampler: NegativeSampler | None,
        objective: torch.nn.Module,
        data,
        config: TrainConfig,
        *,
        folder: Path | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool = True,
    ) -> None:
        if objective.needs_negatives and sampler is None:
            raise ValueError(f"{type(objective).__name__} needs negatives: give a sampler")
        _check(model, sampler, data)
        self.accelerator = accelerator_of(config.precision)
        self.processes = Processes(self.accelerator)
        self.device = self.accelerator.device
        self.model, self.objective = model.to(self.device), objective.to(self.device)
        self.sampler = sampler.to(self.device) if sampler is not None and objective.needs_negatives else None
        self.callbacks = tuple(callbacks) if self.processes.first else ()
        self.progress = progress and self.processes.first
        self.checkpoints = None if folder is None else Checkpoints(Path(folder), config.keep_checkpoints)

        triples = torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], dim=1)  # [E, 3]
        train = triples[data.train_mask].cpu()
        self.validation = triples[data.val_mask].to(self.device)
        steps_per_epoch = -(-len(train) // config.batch_size)
        self.config = config = config.in_steps(steps_per_epoch)
        if config.validate_every and not len(self.validation):
            raise DataError("the validation split is empty", cure="give one, or set validate_every to 0")
        facts = Facts.from_data(data, ("train",)).to("cpu")  # on the host, where questions are made
        self.facts = facts.to(self.device)
        self._data = data
        # several processes draw the same and take their rows, or each its own
        own = self.processes.number if self.sampler is not None and self.sampler.draws_for is None else 0
        drawing = "negatives" if own == 0 else f"negatives of process {own}"
        self.generator = torch.Generator(self.device).manual_seed(stream(config.seed, drawing))
        ahead = apart(self.device)
        plans = "plans" if own == 0 else f"plans of process {own}"
        planning = torch.Generator().manual_seed(stream(config.seed, plans)) if ahead else self.generator
        self.questions = Questions(train, facts, self.sampler, config, self.device, planning, ahead=ahead)
        self.loss = StepLoss(
            self.model, self.sampler, self.objective, self.facts, config, self.generator, self._tell_negatives
        )

        if type(getattr(self.model, "node_emb", None)) is torch.nn.Embedding:
            # so that a step costs what it touches; a full softmax touches every row, and clipping needs dense gradients
            by_rows = config.optimizer in BY_ROWS and objective.needs_negatives and config.clip is None
            self.model.node_emb.sparse = by_rows
        self.gradients = Gradients(self.loss, self.accelerator, self.processes, self.questions, self.modules)
        kind = OPTIMIZERS[config.optimizer]
        optimizers = [kind(self.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)]
        if self.sampler is not None and any(p.requires_grad for p in self.sampler.parameters()):
            optimizers.append(torch.optim.Adam(self.sampler.parameters(), lr=config.sampler_learning_rate))
        self.optimizers = [self.accelerator.prepare(o) for o in optimizers]
        self.schedules = [LambdaLR(o, lambda step: rate_factor(config, step)) for o in optimizers]
        self.step, self.waited = 0, 0
        self.losses: list[float] = []  # since the last validation
        self.result = TrainResult(0, 0, {}, steps_per_epoch=steps_per_epoch)
        self.best: dict[str, dict[str, Tensor]] = {}
        self.guard = Guard(self.modules, self._last_good)
        self.identity = identity(data, self.modules)
        self.names = {key: list(names) for key in VOCABULARIES if (names := getattr(data, key, None)) is not None}

    def fit(self, *, resume: bool = False) -> TrainResult:
        """Train to the end and leave the best model in place.

        Args:
            resume: Go on from the latest checkpoint in the folder, if there is one; the result is the same to the bit
                as without the stop.

        Raises:
            NumericsError: At the first loss or gradient that is NaN or infinite.
            OutOfMemory: If not even a batch of one triple fits; before that, a warning says how it was divided.
            ProcessLost: If another process of the same training ended.
            TrainingInterrupted: After Ctrl-C or SIGTERM, once the step was finished and the checkpoint written.
        """
        if resume and self.checkpoints is not None:
            restore(self)
        started = time.perf_counter() - self.result.seconds
        bar = tqdm(total=self.config.steps, initial=self.step, desc="training", unit="step", disable=not self.progress)
        with GracefulStop() as stop, self._callbacks_told_of_the_end(), bar, self.processes.contact(self._last_good):
            while self.step < self.config.steps and self.result.stopped != "patience":
                step_losses = self._train_step()
                self.step += 1
                self.losses.append(step_losses["loss"])
                if not self.config.validate_every:
                    del self.losses[:-100]  # no validation will ever take them
                for callback in self.callbacks:
                    callback.on_step(self, self.step, step_losses)
                bar.update()
                if self.step % 20 == 0:
                    bar.set_postfix(loss=f"{sum(self.losses[-20:]) / len(self.losses[-20:]):.3f}", refresh=False)
                self.result.steps = self.step
                self.result.seconds = time.perf_counter() - started
                every = self.config.validate_every
                if every and (self.step % every == 0 or self.step == self.config.steps):
                    self._validate(bar)
                    self.result.seconds = time.perf_counter() - started
                saved = self.config.checkpoint_every and self.step % self.config.checkpoint_every == 0
                ended = self.step == self.config.steps or self.result.stopped == "patience"
                asked_to_stop = self.processes.any(stop.asked)
                if saved or asked_to_stop or ended:
                    for callback in self.callbacks:
                        callback.on_checkpoint(self, self.step)
                    if self.checkpoints is not None:
                        save(self)
                if asked_to_stop:
                    where = "" if self.checkpoints is None else f"; the checkpoint is in {self.checkpoints.folder}"
                    raise TrainingInterrupted(f"stopped after step {self.step} of {self.config.steps}{where}")
        if not self.best:
            self.result.best_step = self.step
        self.take_best()
        return self.result

    def take_best(self) -> None:
        """Put the best model on validation so far in place, and the sampler as it was then, if there was a validation.

        Training cannot go on from there but by a checkpoint.
        """
        for name, state in self.best.items():
            self.modules[name].load_state_dict(state)

    @contextmanager
    def _callbacks_told_of_the_end(self) -> Iterator[None]:
        """Tell each of the end, the last first, even where another one fails at it."""

        def tell(callback: Callback, kind, error: BaseException | None, trace) -> None:
            callback.on_end(self, error)

        with ExitStack() as end:
            for callback in self.callbacks:
                end.push(partial(tell, callback))
            yield

    def _train_step(self) -> dict[str, float]:
        asked = self.questions.next(self.step)
        self.model.train()
        parts = self.gradients(asked, self.step)
        self.questions.prepare(self.step + 1)  # a GPU is still busy
        value = float(sum(parts.values()))
        self.guard.loss(value, parts, self.step + 1, asked)
        if self.accelerator.scaler is None:  # else infinities are expected, and such steps left out
            self.guard.gradients(self.step + 1, asked)
        if self.config.clip is not None:
            parameters = [p for o in self.optimizers for g in o.param_groups for p in g["params"]]
            self.accelerator.clip_grad_norm_(parameters, self.config.clip)
        for optimizer, schedule in zip(self.optimizers, self.schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        return {"loss": value} | {name: float(part) for name, part in parts.items()}

    def _tell_negatives(self, batch: Batch, side: Side, negatives: Negatives, scores: Tensor) -> None:
        for callback in self.callbacks:
            callback.on_negatives(self, self.step + 1, batch, side, negatives, scores)

    def _validate(self, bar: tqdm) -> None:
        ranks = rank_together(self.model, self.validation, self.validation_filter, memory_mb=self.config.memory_mb)
        found = metrics(ranks)
        mean_loss, self.losses = sum(self.losses) / len(self.losses), []
        self.result.history.append(
            {"step": self.step, "loss": mean_loss, "seconds": self.result.seconds}
            | {f"valid_{k}": v for k, v in found.items()}
        )
        if found["mrr"] > self.result.best.get("mrr", -1.0):
            self.result.best, self.result.best_step, self.waited = found, self.step, 0
            self.best = {"model": _copy(self.model)}
            if self.sampler is not None:
                self.best["sampler"] = _copy(self.sampler)
        else:
            self.waited += 1
            if self.config.patience is not None and self.waited >= self.config.patience:
                self.result.stopped = "patience"
        if self.progress:
            bar.write(f"step {self.step}: loss {mean_loss:.4f}, validation MRR {found['mrr']:.4f}")
        for callback in self.callbacks:
            callback.on_validation(self, self.step, found)

    @cached_property
    def validation_filter(self) -> Facts:
        """What validation filters out; made when first asked for, as it is as large as the train facts."""
        return Facts.from_data(self._data, ("train", "val")).to(self.device)

    def _last_good(self) -> Path | None:
        return None if self.checkpoints is None else self.checkpoints.newest()

    @property
    def batches(self) -> Batches:
        """The train triples, on the host, and their order."""
        return self.questions.tails

    @property
    def epoch(self) -> int:
        """The epoch (0-based) of the latest step."""
        return self.questions.epoch

    @property
    def modules(self) -> dict[str, torch.nn.Module]:
        """What is trained, by name."""
        return {"model": self.model} | ({} if self.sampler is None else {"sampler": self.sampler})


def _copy(module: torch.nn.Module) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in module.state_dict().items()}


def _check(model: torch.nn.Module, sampler: NegativeSampler | None, data) -> None:
    """Raise DataError where a part is not what training takes, or of another graph."""
    if not hasattr(data, "edge_index"):
        raise DataError(f"data is a {type(data).__name__}", cure="give the graph, which a dataset holds as dataset[0]")
    if missing := [mask for mask in ("train_mask", "val_mask") if mask not in data]:
        raise DataError(f"data has no {missing[0]}", cure="give the whole graph, a dataset made without split=")
    if not hasattr(model, "score_triples"):
        cure = "give a scorer of mmkg.scorers, or one of your own: docs/howto/own_scorer.md"
        raise DataError(f"the model is a {type(model).__name__} and no mmkg scorer", cure=cure)
    if isinstance(sampler, type):
        raise DataError(f"the sampler is the class {sampler.__name__}", cure="give one made for the graph's entities")
    for kind in ("nodes", "relations"):
        found, there = getattr(model, f"num_{kind}", None), getattr(data, f"num_{kind}", None)
        if None not in (found, there) and found != there:
            raise DataError(f"the model has {found} {kind}, the graph {there}", cure=f"make it with data.num_{kind}")
