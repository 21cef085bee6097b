"""Features that hold less than they seem to: controls that tell what a gain is due to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mmkg.training import stream
from mmkg.types import Features

ROWS_AT_ONCE = 512  # entities whose rows are widened at a time


def shuffled(features: Features, seed: int) -> Features:
    """The same rows dealt out anew among the entities that have one: a control in which pictures mean nothing."""
    holders = features.present.nonzero().flatten()  # [M']
    order = torch.randperm(len(holders), generator=torch.Generator().manual_seed(stream(seed, "shuffle")))
    row = features.row.clone()
    row[holders] = features.row[holders[order]]
    return dataclasses.replace(features, row=row, provenance={**features.provenance, "shuffled": seed})


def random(features: Features, seed: int) -> Features:
    """Normal noise with each channel's mean and spread, as large as the real features, the same in every step.

    Each entity keeps its own noise: what is left is that entities can be told apart.
    """
    mean, spread = channels(features)  # [D], [D]
    generator = torch.Generator().manual_seed(stream(seed, "random features"))
    values = torch.empty(features.shape, dtype=torch.float16)  # [M, R, D]
    for start in range(0, len(values), ROWS_AT_ONCE):
        part = values[start : start + ROWS_AT_ONCE]
        part.copy_(torch.randn(part.shape, generator=generator) * spread + mean)
    return _made(features, values, features.mask, features.row, {"control": "random", "control_seed": seed})


def zero(features: Features, seed: int) -> Features:
    """One row of zeros for every entity: not even who has the modality is left, only the sampler's parameters."""
    return _constant(features, 0.0, torch.zeros_like(features.row), "zero")


def presence(features: Features, seed: int) -> Features:
    """The same row of ones for each entity that has the modality, and none for the others: only that is left."""
    return _constant(features, 1.0, torch.where(features.present, 0, -1), "presence")


def _constant(features: Features, value: float, row: Tensor, name: str) -> Features:
    values = torch.full((1, *features.shape[1:]), value, dtype=torch.float16)  # [1, R, D]
    mask = torch.ones(1, features.shape[1], dtype=torch.bool)  # [1, R]
    return _made(features, values, mask, row, {"control": name})


def _made(features: Features, values: Tensor, mask: Tensor, row: Tensor, told: dict) -> Features:
    # boxes are places on a real picture, of which these features say nothing
    return Features(values, mask, row, None, {**features.provenance, **told})


def channels(features: Features) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel over rows that are real, ``[D]`` and ``[D]`` in float32."""
    count, total, squares = 0, *torch.zeros(2, features.shape[2], dtype=torch.float64).unbind(0)  # [D], [D]
    for start in range(0, features.shape[0], ROWS_AT_ONCE):
        part = features.values[start : start + ROWS_AT_ONCE]
        part = part if isinstance(part, Tensor) else torch.from_numpy(np.array(part))
        rows = part.double()[features.mask[start : start + ROWS_AT_ONCE]]  # [n, D]
        count, total, squares = count + len(rows), total + rows.sum(0), squares + rows.square().sum(0)
    mean = total / max(1, count)
    return mean.float(), (squares / max(1, count) - mean.square()).clamp(min=0).sqrt().float()


MAKE: dict[str, Callable[[Features, int], Features]] = {
    "shuffled": shuffled,
    "random": random,
    "zero": zero,
    "presence": presence,
}
"""What stands in for real features, by the name that :class:`~mmkg.run.SamplerConfig` knows it under."""


def controlled(features: Features, control: str, seed: int) -> Features:
    """The features, or what a control puts in their place.

    Args:
        features: Real features.
        control: "real", or a name out of ``MAKE``.
        seed: Of a control that draws.
    """
    return features if control == "real" else MAKE[control](features, seed)
