"""How the learning rate goes up and down."""

from __future__ import annotations

import math

from mmkg.training.config import TrainConfig


def rate_factor(config: TrainConfig, step: int) -> float:
    """Share of the full learning rate at a 0-based step; ``config`` counts steps."""
    if step < config.warmup:
        return (step + 1) / (config.warmup + 1)
    done = min(1.0, (step - config.warmup) / max(1, config.steps - config.warmup))
    return {"constant": 1.0, "linear": 1.0 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}[config.schedule]
