"""From an encoder's grid of patches to the regions of a picture."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def pool_patches(patches: Tensor, regions: tuple[int, int]) -> Tensor:
    """Average the patches of each region; where the grid does not divide evenly, neighbouring regions share patches.

    Args:
        patches: Patch features, shape ``[n, H, W, D]``.
        regions: Rows and columns of regions.

    Returns:
        Region features, row by row, shape ``[n, rows * cols, D]``, float32.
    """
    channels_first = patches.float().permute(0, 3, 1, 2)  # [n, H, W, D] -> [n, D, H, W]
    pooled = F.adaptive_avg_pool2d(channels_first, regions)  # [n, D, rows, cols]
    return pooled.flatten(2).transpose(1, 2)  # [n, D, rows, cols] -> [n, rows * cols, D]


def region_boxes(grid: tuple[int, int], regions: tuple[int, int]) -> Tensor:
    """Where the patches of each region lie on the picture.

    Args:
        grid: Rows and columns of patches, ``(H, W)``.
        regions: Rows and columns of regions.

    Returns:
        (left, top, right, bottom) in [0, 1] of each region, row by row, shape ``[rows * cols, 4]``.
    """
    tops, bottoms = _edges(grid[0], regions[0])
    lefts, rights = _edges(grid[1], regions[1])
    boxes = [(lefts[c], tops[r], rights[c], bottoms[r]) for r in range(regions[0]) for c in range(regions[1])]
    return torch.tensor(boxes, dtype=torch.float32)  # [rows * cols, 4]


def _edges(patches: int, regions: int) -> tuple[list[float], list[float]]:
    """First and last edge of each region along one side, by the rule of adaptive pooling: floor and ceiling."""
    starts = [(i * patches) // regions / patches for i in range(regions)]
    ends = [-(-(i + 1) * patches // regions) / patches for i in range(regions)]
    return starts, ends
