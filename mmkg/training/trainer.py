"""The trainer: batches in, negatives drawn, both sides alternately, best model restored."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

from mmkg.errors import DataError, NumericsError
from mmkg.evaluation import metrics, rank, score_side
from mmkg.graph import Facts
from mmkg.samplers import NegativeSampler
from mmkg.training.batches import Batches, subsampling_weights
from mmkg.training.callbacks import Callback
from mmkg.training.checkpoint import Checkpoints, flatten_optimizer, restore_optimizer
from mmkg.training.config import TrainConfig
from mmkg.training.interrupt import GracefulStop, TrainingInterrupted
from mmkg.training.seeds import stream
from mmkg.training.sides import joined
from mmkg.types import SIDES, Batch, Side


@dataclass
class TrainResult:
    """What a training run came to.

    Args:
        steps: Steps done.
        best_step: Step of the model that was kept.
        best: Validation metrics of that model; empty without validation.
        history: One entry a validation: step, loss (mean since the last entry), validation metrics, seconds.
        seconds: Wall-clock seconds of training, validation included.
        stopped: "steps" or "patience".
    """

    steps: int
    best_step: int
    best: dict[str, float]
    history: list[dict] = field(default_factory=list)
    seconds: float = 0.0
    stopped: str = "steps"


class Trainer:
    r"""Trains a scorer, and a sampler that learns, on the train split of a graph.

    Each step draws a batch, corrupts one side (tails and heads in turn), and descends
    :math:`L = L_{\mathrm{objective}} + L_{\mathrm{sampler}}`. The sampler sees train facts only. Validation
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
        if config.precision == "fp16" and not torch.cuda.is_available():
            raise DataError("precision fp16 needs a GPU", cure="choose bf16, or no for float32")
        self.accelerator = _accelerator(config.precision)
        self.device = self.accelerator.device
        self.model, self.objective = model.to(self.device), objective.to(self.device)
        self.sampler = sampler.to(self.device) if sampler is not None and objective.needs_negatives else None
        self.config, self.callbacks, self.progress = config, tuple(callbacks), progress
        self.checkpoints = None if folder is None else Checkpoints(Path(folder), config.keep_checkpoints)

        triples = torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], dim=1)  # [E, 3]
        train = triples[data.train_mask].to(self.device)
        self.validation = triples[data.val_mask].to(self.device)
        if config.validate_every and not len(self.validation):
            raise DataError("the validation split is empty", cure="give one, or set validate_every to 0")
        self.facts = Facts.from_data(data, ("train",)).to(self.device)
        self.validation_filter = Facts.from_data(data, ("train", "val")).to(self.device)
        weight = subsampling_weights(train) if config.subsampling else None
        self.batches = Batches(train, config.batch_size, stream(config.seed, "batches"), weight)
        self.generator = torch.Generator(self.device).manual_seed(stream(config.seed, "negatives"))

        groups = [(self.model, config.learning_rate, config.weight_decay)]
        if self.sampler is not None and any(p.requires_grad for p in self.sampler.parameters()):
            groups.append((self.sampler, config.sampler_learning_rate, 0.0))
        optimizers = [Adam(m.parameters(), lr=rate, weight_decay=decay) for m, rate, decay in groups]
        self.optimizers = [self.accelerator.prepare(o) for o in optimizers]
        self.schedules = [LambdaLR(o, self._rate_factor) for o in optimizers]
        self.step, self.waited, self._seconds_before = 0, 0, 0.0
        self._losses: list[float] = []  # since the last validation
        self.result = TrainResult(0, 0, {})
        self._best: dict[str, dict[str, Tensor]] = {}

    def fit(self, *, resume: bool = False) -> TrainResult:
        """Train to the end and leave the best model in place.

        Args:
            resume: Go on from the latest checkpoint in the folder, if there is one; the result is the same to the bit
                as without the stop.

        Raises:
            NumericsError: At the first loss that is NaN or infinite.
            TrainingInterrupted: After Ctrl-C or SIGTERM, once the step was finished and the checkpoint written.
        """
        if resume and self.checkpoints is not None:
            self._restore()
        started = time.perf_counter()
        bar = tqdm(total=self.config.steps, initial=self.step, desc="training", unit="step", disable=not self.progress)
        with GracefulStop() as stop, bar:
            while self.step < self.config.steps and self.result.stopped != "patience":
                step_losses = self._train_step()
                self.step += 1
                self._losses.append(step_losses["loss"])
                if not self.config.validate_every:
                    del self._losses[:-100]  # no validation will ever take them
                for callback in self.callbacks:
                    callback.on_step(self, self.step, step_losses)
                bar.update()
                if self.step % 20 == 0:
                    bar.set_postfix(loss=f"{sum(self._losses[-20:]) / len(self._losses[-20:]):.3f}", refresh=False)
                self.result.steps = self.step
                self.result.seconds = self._seconds_before + time.perf_counter() - started
                every = self.config.validate_every
                if every and (self.step % every == 0 or self.step == self.config.steps):
                    self._validate(bar)
                    self.result.seconds = self._seconds_before + time.perf_counter() - started
                saved = self.config.checkpoint_every and self.step % self.config.checkpoint_every == 0
                ended = self.step == self.config.steps or self.result.stopped == "patience"
                if saved or stop.asked or ended:
                    for callback in self.callbacks:
                        callback.on_checkpoint(self, self.step)
                    if self.checkpoints is not None:
                        self._save()
                if stop.asked:
                    where = "" if self.checkpoints is None else f"; the checkpoint is in {self.checkpoints.folder}"
                    raise TrainingInterrupted(f"stopped after step {self.step} of {self.config.steps}{where}")
        if self._best:
            self.model.load_state_dict(self._best["model"])
            if self.sampler is not None:
                self.sampler.load_state_dict(self._best["sampler"])
        else:
            self.result.best_step = self.step
        return self.result

    def _train_step(self) -> dict[str, float]:
        batch, side = self.batches.next(), SIDES[(self.step + 1) % 2]  # tails first
        self.model.train()
        with self.accelerator.autocast():
            parts = self._parts_of_loss(batch, side)
            total = sum(parts.values())
        value = float(total.detach())
        if not math.isfinite(value):
            raise NumericsError(
                f"the loss is {value} at step {self.step + 1}; first triple of the batch: "
                f"{[int(x[0]) for x in (batch.head, batch.relation, batch.tail)]}. "
                "Cure: lower the learning rate, or clip the gradient"
            )
        self.accelerator.backward(total)
        if self.config.clip is not None:
            parameters = [p for o in self.optimizers for g in o.param_groups for p in g["params"]]
            self.accelerator.clip_grad_norm_(parameters, self.config.clip)
        for optimizer, schedule in zip(self.optimizers, self.schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        return {"loss": value} | {name: float(part.detach()) for name, part in parts.items()}

    def _parts_of_loss(self, batch: Batch, side: Side) -> dict[str, Tensor]:
        if not self.objective.needs_negatives:
            return {"objective": self.objective(score_side(self.model, batch, side), batch.answer(side), batch.weight)}
        self.sampler.train()
        questions = self.sampler.questions(batch, side, self.facts, self.generator)
        return joined([part for part, _ in questions], [self._against_negatives(*q) for q in questions])

    def _against_negatives(self, batch: Batch, side: Side) -> dict[str, Tensor]:
        negatives = self.sampler.sample(batch, side, self.model, self.facts, self.generator, self.step)
        positive = self.model.score_triples(batch.head, batch.relation, batch.tail, side)  # [B]
        scores = score_side(self.model, batch, side, negatives.candidates)  # [B, K]
        for callback in self.callbacks:
            callback.on_negatives(self, self.step + 1, batch, side, negatives, scores.detach())
        parts = {"objective": self.objective(positive, scores, negatives.valid, batch.weight)}
        own = self.sampler.loss(negatives, scores, positive)
        if own is not None:
            parts["sampler"] = own
        self.sampler.update(negatives, scores.detach())
        return parts

    def _rate_factor(self, step: int) -> float:
        """Share of the full learning rate at a 0-based step."""
        config = self.config
        if step < config.warmup:
            return (step + 1) / (config.warmup + 1)
        done = min(1.0, (step - config.warmup) / max(1, config.steps - config.warmup))
        return {"constant": 1.0, "linear": 1.0 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}[config.schedule]

    def _validate(self, bar: tqdm) -> None:
        ranks = rank(self.model, self.validation, self.validation_filter, memory_mb=self.config.memory_mb)
        found = metrics(ranks)
        mean_loss, self._losses = sum(self._losses) / len(self._losses), []
        self.result.history.append(
            {"step": self.step, "loss": mean_loss, "seconds": self.result.seconds}
            | {f"valid_{k}": v for k, v in found.items()}
        )
        if found["mrr"] > self.result.best.get("mrr", -1.0):
            self.result.best, self.result.best_step, self.waited = found, self.step, 0
            self._best = {"model": _copy(self.model)}
            if self.sampler is not None:
                self._best["sampler"] = _copy(self.sampler)
        else:
            self.waited += 1
            if self.config.patience is not None and self.waited >= self.config.patience:
                self.result.stopped = "patience"
        if self.progress:
            bar.write(f"step {self.step}: loss {mean_loss:.4f}, validation MRR {found['mrr']:.4f}")
        for callback in self.callbacks:
            callback.on_validation(self, self.step, found)

    def _modules(self) -> dict[str, torch.nn.Module]:
        return {"model": self.model} | ({} if self.sampler is None else {"sampler": self.sampler})

    def _save(self) -> None:
        tensors, optimizer_meta = {}, []
        for name, module in self._modules().items():
            tensors |= {f"{name}.{k}": v for k, v in module.state_dict().items()}
            tensors |= {f"best.{name}.{k}": v for k, v in self._best.get(name, {}).items()}
        for i, optimizer in enumerate(self.optimizers):
            state, meta = flatten_optimizer(optimizer)
            tensors |= {f"optimizer{i}.{k}": v for k, v in state.items()}
            optimizer_meta.append(meta)
        order, place = self.batches.state()
        tensors |= {
            "random.order": order,
            "random.sampling": self.generator.get_state(),
            "random.torch": torch.get_rng_state(),
        }
        meta = {
            "step": self.step,
            "place": place,
            "waited": self.waited,
            "optimizers": optimizer_meta,
            "schedules": [s.state_dict() | {"lr_lambdas": [None]} for s in self.schedules],
            "scaler": None if self.accelerator.scaler is None else self.accelerator.scaler.state_dict(),
            "result": asdict(self.result),
            "losses": self._losses,
            "config": asdict(self.config),
        }
        self.checkpoints.save(self.step, tensors, meta)

    def _restore(self) -> None:
        found = self.checkpoints.latest()
        if found is None:
            return
        tensors, meta = found
        now = asdict(self.config)
        other = {k: (v, now.get(k)) for k, v in meta["config"].items() if now.get(k) != v and k != "keep_checkpoints"}
        if other:
            told = ", ".join(f"{k}: {was!r} then, {is_!r} now" for k, (was, is_) in other.items())
            raise DataError(
                f"the checkpoint has other settings ({told})", file=self.checkpoints.folder, cure="use the same"
            )

        def under(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        has_best = any(k.startswith("best.model.") for k in tensors)
        for name, module in self._modules().items():
            module.load_state_dict(under(f"{name}."))
            if has_best:  # a sampler without state has an empty best
                self._best[name] = {k: v.to(self.device) for k, v in under(f"best.{name}.").items()}
        for i, (optimizer, schedule) in enumerate(zip(self.optimizers, self.schedules, strict=True)):
            restore_optimizer(optimizer, under(f"optimizer{i}."), meta["optimizers"][i])
            schedule.load_state_dict(meta["schedules"][i])
        if self.accelerator.scaler is not None and meta["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(meta["scaler"])
        self.batches.restore(tensors["random.order"], meta["place"])
        self.generator.set_state(tensors["random.sampling"])
        torch.set_rng_state(tensors["random.torch"])
        self.step, self.waited, self._losses = meta["step"], meta["waited"], meta["losses"]
        self.result = TrainResult(**meta["result"])
        self._seconds_before = self.result.seconds


def _accelerator(precision: str) -> Accelerator:
    """Device and precision of the arithmetic: the GPU where CUDA finds one, the CPU otherwise."""
    try:
        # Apple's GPUs lack float64, which exact filtered sampling and ranks need
        accelerator = Accelerator(mixed_precision=precision, cpu=not torch.cuda.is_available())
    except ValueError as error:  # accelerate keeps one precision a process
        problem = f"precision {precision} after another one in the same process ({error})"
        raise DataError(problem, cure="use one precision, or start a new process") from None
    if accelerator.num_processes > 1:
        raise DataError(f"{accelerator.num_processes} processes", cure="train in one; each would do the same work")
    return accelerator


def _copy(module: torch.nn.Module) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in module.state_dict().items()}
