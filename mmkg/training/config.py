"""Settings of a training run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mmkg.training.optimizers import OPTIMIZERS
from mmkg.training.regularisers import REGULARISERS

SCHEDULES = ("constant", "linear", "cosine")
PRECISIONS = ("no", "bf16", "fp16")


@dataclass(frozen=True)
class TrainConfig:
    """How long and how a model is trained.

    Args:
        steps: Optimisation steps; not read where ``epochs`` is given.
        epochs: Passes over the train triples; ``warmup``, ``validate_every`` and ``checkpoint_every`` then count epochs
            as well. None to count steps.
        batch_size: Positive triples a step.
        both_sides: Whether each step asks each triple for its tail and for its head, and sums the two losses; else the
            sides take turns.
        together: With ``both_sides``: most triples of one question that stay together when triples are shuffled. A full
            softmax scores a question once however many triples of a batch ask it, so that a number such as 8 may halve
            the work; each side then has an order of its own.
        optimizer: Of the scorer, a name out of :data:`mmkg.training.OPTIMIZERS`. A sampler that learns has Adam.
        learning_rate: Of the scorer.
        sampler_learning_rate: Adam's rate for a sampler that learns.
        schedule: Of both rates after the warm-up: "constant", or down to zero by "linear" or "cosine".
        warmup: Steps over which the rates rise linearly.
        subsampling: Weigh triples by ``1 / sqrt(count(h, r) + count(r, t))``, so that frequent questions count less.
        weight_decay: L2 penalty of the scorer, as the optimiser's own option applies it.
        regulariser: Penalty of each batch's embeddings, a name out of :data:`mmkg.training.REGULARISERS`, or None.
        regulariser_weight: Its weight beside the objective.
        relation_weight: Weight of relation prediction as an auxiliary task; 0 for none.
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
    epochs: int | None = None
    batch_size: int = 256
    both_sides: bool = False
    together: int = 1
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    sampler_learning_rate: float = 1e-4
    schedule: str = "linear"
    warmup: int = 0
    subsampling: bool = True
    weight_decay: float = 0.0
    regulariser: str | None = None
    regulariser_weight: float = 0.0
    relation_weight: float = 0.0
    clip: float | None = None
    validate_every: int = 500
    patience: int | None = None
    checkpoint_every: int = 500
    keep_checkpoints: int = 2
    precision: str = "no"
    memory_mb: float = 256.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "keep_checkpoints", "together"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 1")
        if self.epochs is not None and self.epochs < 1:
            raise ValueError(f"epochs is {self.epochs}, must be at least 1")
        for name in ("learning_rate", "sampler_learning_rate", "memory_mb"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, must be above 0")
        not_negative = "warmup validate_every checkpoint_every weight_decay regulariser_weight relation_weight"
        for name in not_negative.split():
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, must not be negative")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip is {self.clip}, must be above 0")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule {self.schedule!r}: choose one of {', '.join(SCHEDULES)}")
        if self.together > 1 and not self.both_sides:
            raise ValueError(f"together is {self.together}, which needs both_sides")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer {self.optimizer!r}: choose one of {', '.join(OPTIMIZERS)}")
        if self.regulariser is not None and self.regulariser not in REGULARISERS:
            raise ValueError(f"regulariser {self.regulariser!r}: choose one of {', '.join(REGULARISERS)}")
        if (self.regulariser is None) != (self.regulariser_weight == 0):
            told = f"regulariser {self.regulariser!r} with weight {self.regulariser_weight}"
            raise ValueError(f"{told}: give both, the weight above 0, or none")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision {self.precision!r}: choose one of {', '.join(PRECISIONS)}")
        if self.patience is not None and (self.patience < 1 or not self.validate_every):
            raise ValueError(f"patience is {self.patience}: it must be at least 1 and needs validate_every")

    def in_steps(self, steps_per_epoch: int) -> TrainConfig:
        """The same settings with everything that counts epochs counted in steps."""
        if self.epochs is None:
            return self
        counts = {
            name: getattr(self, name) * steps_per_epoch for name in ("warmup", "validate_every", "checkpoint_every")
        }
        return replace(self, epochs=None, steps=self.epochs * steps_per_epoch, **counts)
