"""What a training run came to."""

from __future__ import annotations

from dataclasses import dataclass, field


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
        steps_per_epoch: Steps of one pass over the train triples.
    """

    steps: int
    best_step: int
    best: dict[str, float]
    history: list[dict] = field(default_factory=list)
    seconds: float = 0.0
    stopped: str = "steps"
    steps_per_epoch: int = 0
