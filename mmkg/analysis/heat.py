"""Weights of regions as a small see-through picture, to be laid over the picture that they are regions of."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mmkg.analysis.thumbnails import data_uri

GRID = 14
WARM = ((255, 200, 60), (214, 40, 90))
"""From little to much attention."""
DIVERGING = ((33, 102, 214), (214, 70, 20))
"""Below and above zero; apart for every common kind of colour blindness."""
STRONGEST = 0.78
"""Opacity of the greatest weight: the picture beneath stays to be seen."""


def on_grid(weights: Tensor, mask: Tensor, boxes: Tensor, size: int = GRID) -> tuple[np.ndarray, np.ndarray]:
    """Weights of regions as values of a picture's points: the mean over the regions that a point lies in.

    Args:
        weights: Shape ``[R]``.
        mask: True where a region is real, shape ``[R]``.
        boxes: (left, top, right, bottom) in [0, 1], shape ``[R, 4]``.
        size: Points along each side.

    Returns:
        Values ``[size, size]``, and whether a point lies in any region ``[size, size]``.
    """
    at = (torch.arange(size, dtype=torch.float64) + 0.5) / size  # [size]
    left, top, right, bottom = boxes.cpu().double().unbind(1)  # each [R]
    wide = (at >= left[:, None]) & (at <= right[:, None])  # [R, size]
    high = (at >= top[:, None]) & (at <= bottom[:, None])  # [R, size]
    inside = (high[:, :, None] & wide[:, None, :] & mask.cpu()[:, None, None]).double()  # [R, size, size]
    count = inside.sum(0)  # [size, size]
    value = torch.einsum("r,rhw->hw", weights.cpu().double(), inside) / count.clamp(min=1)  # [size, size]
    return value.numpy(), (count > 0).numpy()


def free_heat(weights: Tensor, mask: Tensor, boxes: Tensor, most: float) -> str:
    """A softmax over regions as warm colours: clear up to an even share, and from there on by its logarithm.

    Args:
        weights: Sum to 1 over the real regions, shape ``[R]``.
        mask: True where a region is real, shape ``[R]``.
        boxes: Places of the regions, shape ``[R, 4]``.
        most: How many times an even share is strongest; see :func:`times_even`.

    Returns:
        A ``data:`` address of a PNG.
    """
    value, inside = on_grid(weights, mask, boxes)
    times = np.maximum(value * int(mask.sum()), 1)  # 1 where attention is even, or less
    strength = np.clip(np.log(times) / np.log(max(most, 1 + 1e-9)), 0, 1) * inside  # [size, size]
    low, high = (np.array(colour, dtype=np.float64) for colour in WARM)
    colour = low + (high - low) * strength[..., None]  # [size, size, 3]
    return _png(colour, strength)


def times_even(weights: Tensor, mask: Tensor) -> float:
    """How many times an even share the greatest weight ``[R]`` of the real regions ``[R]`` is."""
    return float(weights.max()) * int(mask.sum())


def guided_heat(weights: Tensor, mask: Tensor, boxes: Tensor, scale: float) -> str:
    """Weights of either sign as two colours, clear at zero.

    Args:
        weights: Shape ``[R]``.
        mask: True where a region is real, shape ``[R]``.
        boxes: Places of the regions, shape ``[R, 4]``.
        scale: The size of weight that is strongest; above 0.

    Returns:
        A ``data:`` address of a PNG.
    """
    value, inside = on_grid(weights, mask, boxes)
    strength = np.clip(np.abs(value) / scale, 0, 1) * inside  # [size, size]
    below, above = (np.array(colour, dtype=np.float64) for colour in DIVERGING)
    colour = np.where(value[..., None] < 0, below, above)  # [size, size, 3]
    return _png(colour, strength)


def _png(colour: np.ndarray, strength: np.ndarray) -> str:
    rgba = np.concatenate([colour, 255 * STRONGEST * strength[..., None]], axis=-1)  # [size, size, 4]
    # few different opacities make a small file, and nobody sees the difference
    rgba[..., 3] = np.round(rgba[..., 3] / 12) * 12
    rgba[rgba[..., 3] == 0] = 0
    return data_uri(Image.fromarray(rgba.round().astype(np.uint8), "RGBA"))
