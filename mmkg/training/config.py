"""Settings of a training run."""

from __future__ import annotations

from dataclasses import dataclass

SCHEDULES = ("constant", "linear", "cosine")
PRECISIONS = ("no", "bf16", "fp16")


@dataclass(frozen=True)
class TrainConfig:
    """How long and how a model is trained.

    Args:
        steps: Optimisation steps.
        batch_size: Positive triples a step.
        learning_rate: Adam's rate for the scorer.
        sampler_learning_rate: Adam's rate for a sampler that learns.
        schedule: Of both rates after the warm-up: "constant", or down to zero by "linear" or "cosine".
        warmup: Steps over which the rates rise linearly.
        subsampling: Weigh triples by ``1 / sqrt(count(h, r) + count(r, t))``, so that frequent questions count less.
        weight_decay: L2 penalty of the scorer, as Adam's own option applies it.
        clip: Largest norm of the gradient; None for no limit.
        validate_every: Steps between two looks at the validation split; 0 for none.
        patience: Validations without a better MRR after which training stops; None for never.
        checkpoint_every: Steps between two checkpoints; 0 for one at the end only.
        keep_checkpoints: How many of the latest checkpoints stay.
        precision: Of matrix products, by autocast: "no" (float32), "bf16" or "fp16". Parameters, distances, losses and
            MMRNS's similarities stay in float32.
        memory_mb: Memory for the scores of one block in validation, in MiB.
        seed: Of batches and negatives; the model's own initialisation is the caller's.
    """

    steps: int = 2000
    batch_size: int = 256
    learning_rate: float = 1e-3
    sampler_learning_rate: float = 1e-4
    schedule: str = "linear"
    warmup: int = 0
    subsampling: bool = True
    weight_decay: float = 0.0
    clip: float | None = None
    validate_every: int = 500
    patience: int | None = None
    checkpoint_every: int = 500
    keep_checkpoints: int = 2
    precision: str = "no"
    memory_mb: float = 256.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "keep_checkpoints"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 1")
        for name in ("learning_rate", "sampler_learning_rate", "memory_mb"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, must be above 0")
        for name in ("warmup", "validate_every", "checkpoint_every", "weight_decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, must not be negative")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip is {self.clip}, must be above 0")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule {self.schedule!r}: choose one of {', '.join(SCHEDULES)}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision {self.precision!r}: choose one of {', '.join(PRECISIONS)}")
        if self.patience is not None and (self.patience < 1 or not self.validate_every):
            raise ValueError(f"patience is {self.patience}: it must be at least 1 and needs validate_every")
