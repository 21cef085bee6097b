"""Pooling patches into regions, against a direct loop; boxes against the patches that they cover."""

import math

import pytest
import torch

from mmkg.encoders import pool_patches, region_boxes

GRIDS = [(14, 14), (7, 7), (16, 16), (3, 5), (1, 1), (37, 37)]


def bounds(i: int, patches: int, regions: int) -> tuple[int, int]:
    return math.floor(i * patches / regions), math.ceil((i + 1) * patches / regions)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("regions", [(4, 6), (2, 2), (1, 1), (7, 7)])
def test_pooling_is_the_mean_over_each_box(grid, regions):
    patches = torch.randn(3, *grid, 5, generator=torch.Generator().manual_seed(0))
    pooled, boxes = pool_patches(patches, regions), region_boxes(grid, regions)
    assert pooled.shape == (3, regions[0] * regions[1], 5)
    assert boxes.shape == (regions[0] * regions[1], 4)
    for r in range(regions[0]):
        for c in range(regions[1]):
            top, bottom = bounds(r, grid[0], regions[0])
            left, right = bounds(c, grid[1], regions[1])
            direct = torch.stack([patches[:, y, x] for y in range(top, bottom) for x in range(left, right)]).mean(0)
            torch.testing.assert_close(pooled[:, r * regions[1] + c], direct)
            extent = torch.tensor([left / grid[1], top / grid[0], right / grid[1], bottom / grid[0]])
            torch.testing.assert_close(boxes[r * regions[1] + c], extent)


@pytest.mark.parametrize("grid", GRIDS)
def test_boxes_cover_the_picture_and_stay_in_it(grid):
    boxes = region_boxes(grid, (4, 6))
    assert (boxes >= 0).all()
    assert (boxes <= 1).all()
    assert (boxes[:, 2] > boxes[:, 0]).all()
    assert (boxes[:, 3] > boxes[:, 1]).all()
    for x in torch.linspace(0.01, 0.99, 23):
        for y in torch.linspace(0.01, 0.99, 23):
            inside = (boxes[:, 0] <= x) & (x <= boxes[:, 2]) & (boxes[:, 1] <= y) & (y <= boxes[:, 3])
            assert inside.any()


def test_half_precision_patches_are_pooled_in_float32():
    assert pool_patches(torch.ones(1, 7, 7, 2, dtype=torch.float16), (4, 6)).dtype == torch.float32
