"""The whole state of a trainer in one checkpoint, and back, so that going on is the same to the bit."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mmkg.errors import DataError
from mmkg.training.checkpoint import flatten_optimizer, restore_optimizer
from mmkg.training.identity import check_identity, save_names
from mmkg.training.result import TrainResult

if TYPE_CHECKING:
    from mmkg.training.trainer import Trainer

FREE = ("keep_checkpoints", "memory_mb")
"""Settings that may change on the way: no number depends on them."""


def save(trainer: Trainer) -> None:
    """Write a trainer's state as the checkpoint of its step; of several processes all call it and the first writes."""
    tensors, optimizer_meta = {}, []
    for name, module in trainer.modules.items():
        tensors |= {f"{name}.{k}": v for k, v in module.state_dict().items()}
        tensors |= {f"best.{name}.{k}": v for k, v in trainer.best.get(name, {}).items()}
    for i, optimizer in enumerate(trainer.optimizers):
        state, meta = flatten_optimizer(optimizer)
        tensors |= {f"optimizer{i}.{k}": v for k, v in state.items()}
        optimizer_meta.append(meta)
    random, place = trainer.questions.state()
    tensors |= {f"random.{k}": v for k, v in random.items()}
    tensors |= {
        "random.torch": torch.get_rng_state(),
    }
    for number, state in enumerate(trainer.processes.gather(trainer.generator.get_state())):
        tensors[_sampling(number)] = state
    if trainer.device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(trainer.device)
    if not trainer.processes.first:
        return
    scaler = trainer.accelerator.scaler
    meta = {
        "step": trainer.step,
        "place": place,
        "waited": trainer.waited,
        "optimizers": optimizer_meta,
        "schedules": [s.state_dict() | {"lr_lambdas": [None]} for s in trainer.schedules],
        "scaler": None if scaler is None else scaler.state_dict(),
        "result": asdict(trainer.result),
        "losses": trainer.losses,
        "config": asdict(trainer.config),
        "identity": trainer.identity,
        "portions": {"parts": trainer.gradients.parts, "chunk": getattr(trainer.sampler, "chunk_size", None)},
    }
    save_names(trainer.checkpoints.folder, trainer.names)
    trainer.checkpoints.save(trainer.step, tensors, meta)


def _sampling(number: int) -> str:
    """Name of a process's source of randomness."""
    return "random.sampling" if number == 0 else f"random.sampling.{number}"


def restore(trainer: Trainer) -> None:
    """Give a new trainer the state of the latest whole checkpoint in its folder, if there is one.

    Raises:
        DataError: If that was made with other settings, or of another dataset, vocabulary, scorer or sampler; what
            differs is told.
    """
    found = trainer.checkpoints.latest()
    if found is None:
        return
    tensors, meta = found
    check_identity(trainer.checkpoints.folder, meta.get("identity"), trainer.identity, trainer.names)
    now = asdict(trainer.config)
    other = {k: (v, now.get(k)) for k, v in meta["config"].items() if now.get(k) != v and k not in FREE}
    if other:
        told = ", ".join(f"{k}: {was!r} then, {is_!r} now" for k, (was, is_) in other.items())
        problem = f"the checkpoint has other settings ({told})"
        raise DataError(problem, file=trainer.checkpoints.folder, cure="use the same")

    def under(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    has_best = any(k.startswith("best.model.") for k in tensors)
    for name, module in trainer.modules.items():
        module.load_state_dict(under(f"{name}."))
        if has_best:  # a sampler without state has an empty best
            trainer.best[name] = {k: v.to(trainer.device) for k, v in under(f"best.{name}.").items()}
    for i, (optimizer, schedule) in enumerate(zip(trainer.optimizers, trainer.schedules, strict=True)):
        restore_optimizer(optimizer, under(f"optimizer{i}."), meta["optimizers"][i])
        schedule.load_state_dict(meta["schedules"][i])
    if trainer.accelerator.scaler is not None and meta["scaler"] is not None:
        trainer.accelerator.scaler.load_state_dict(meta["scaler"])
    trainer.questions.restore(under("random."), meta["place"])
    own = _sampling(trainer.processes.number)
    if own in tensors:  # else there were fewer processes then; those of now that draw alike draw as the first
        trainer.generator.set_state(tensors[own])
    elif trainer.sampler is None or trainer.sampler.draws_for is not None:
        trainer.generator.set_state(tensors[_sampling(0)])
    portions = meta.get("portions", {})
    trainer.gradients.parts = portions.get("parts", 1)
    if portions.get("chunk") is not None and hasattr(trainer.sampler, "chunk_size"):
        trainer.sampler.chunk_size = portions["chunk"]
    torch.set_rng_state(tensors["random.torch"])
    if trainer.device.type == "cuda" and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"], trainer.device)
    trainer.step, trainer.waited, trainer.losses = meta["step"], meta["waited"], meta["losses"]
    trainer.result = TrainResult(**({"steps_per_epoch": trainer.result.steps_per_epoch} | meta["result"]))
