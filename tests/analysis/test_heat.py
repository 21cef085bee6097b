"""Weights of regions land where the regions are, in the colour of their sign."""

from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from mmkg.analysis.heat import DIVERGING, GRID, WARM, free_heat, guided_heat, on_grid, times_even
from mmkg.encoders import region_boxes


def pixels(uri):
    head, content = uri.split(",", 1)
    assert head == "data:image/png;base64"
    with Image.open(BytesIO(b64decode(content))) as picture:
        return np.asarray(picture.convert("RGBA")).astype(int)


QUARTERS = torch.tensor([[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]])
ALL = torch.ones(4, dtype=torch.bool)


def test_each_region_in_its_place():
    value, inside = on_grid(torch.tensor([1.0, 2, 3, 4]), ALL, QUARTERS, 4)
    assert value.tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert inside.all()
    mask = torch.tensor([True, True, False, True])
    assert on_grid(torch.tensor([1.0, 2, 3, 4]), mask, QUARTERS, 4)[1].sum() == 12


def test_where_regions_overlap_their_mean_counts():
    boxes = torch.tensor([[0.0, 0, 1, 1], [0, 0, 0.5, 1]])
    value, _ = on_grid(torch.tensor([1.0, 3]), torch.ones(2, dtype=torch.bool), boxes, 2)
    assert value.tolist() == [[2, 1], [2, 1]]


@pytest.mark.parametrize("grid", [(7, 7), (14, 14), (16, 16), (4, 6)])
def test_default_regions_cover_the_picture(grid):
    weights, mask = torch.arange(24.0), torch.ones(24, dtype=torch.bool)
    value, inside = on_grid(weights, mask, region_boxes(grid, (4, 6)))
    assert inside.all()
    assert value[0, 0] == 0
    assert value[-1, -1] == 23


def test_even_attention_is_clear_and_more_is_warm():
    even = pixels(free_heat(torch.full((4,), 0.25), ALL, QUARTERS, 4.0))
    assert even.shape == (GRID, GRID, 4)
    assert not even[..., 3].any()
    weights = torch.tensor([0.0, 0.1, 0.35, 0.55])
    assert times_even(weights, ALL) == pytest.approx(2.2)
    one = pixels(free_heat(weights, ALL, QUARTERS, 2.2))
    assert one[-1, -1].tolist() == [*WARM[1], 204]  # the strongest
    assert 0 < one[-1, 0, 3] < 204
    assert not one[: GRID // 2, :, 3].any()


def test_signs_have_their_colours():
    heat = pixels(guided_heat(torch.tensor([-2.0, 0.0, 1.0, 2.0]), ALL, QUARTERS, 2.0))
    assert np.allclose(heat[0, 0, :3], DIVERGING[0], atol=2)
    assert heat[0, -1, 3] == 0
    assert np.allclose(heat[-1, -1, :3], DIVERGING[1], atol=2)
    assert 0 < heat[-1, 0, 3] < heat[-1, -1, 3]
