"""What the rooms hand each other: features are zero where nothing is, whatever stands there."""

import numpy as np
import pytest
import torch

from mmkg.datasets.feature_files import dense
from mmkg.types import Features

MASK = torch.tensor([[True, False], [True, True]])
ROW = torch.tensor([1, -1, 0, 1])


def padded(with_what: float, kind: torch.dtype, *, mapped: bool) -> Features:
    values = torch.tensor([[[1.0, 2.0], [0.0, 0.0]], [[5.0, 6.0], [7.0, 8.0]]], dtype=kind)
    values[~MASK] = with_what
    return Features(values.numpy() if mapped else values, MASK, ROW)


@pytest.mark.parametrize("with_what", [0.0, 9.0, float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("mapped", [False, True])
def test_padding_and_absence_are_zero(with_what, kind, mapped):
    features = padded(with_what, kind, mapped=mapped)
    expected = torch.tensor(
        [[[5.0, 6.0], [7.0, 8.0]], [[0.0, 0.0], [0.0, 0.0]], [[1.0, 2.0], [0.0, 0.0]], [[5.0, 6.0], [7.0, 8.0]]]
    )
    there = torch.tensor([[True, True], [False, False], [True, False], [True, True]])
    values, mask = features.gather(torch.arange(4))
    assert values.dtype == torch.float32
    assert torch.equal(values, expected)
    assert torch.equal(mask, there)
    values, mask = dense(features)
    assert torch.equal(values.float(), expected)
    assert torch.equal(mask, there)


def test_what_is_stored_stays_as_it_is():
    features = padded(float("nan"), torch.float32, mapped=True)
    before = features.values.copy()
    features.gather(torch.arange(4))
    np.testing.assert_array_equal(features.values, before)


def test_a_value_that_is_no_number_is_not_hidden():
    features = Features(
        torch.tensor([[[float("nan"), 2.0], [3.0, 4.0]]]), torch.tensor([[True, False]]), torch.tensor([0])
    )
    values, _ = features.gather(torch.tensor([0]))
    assert values.isnan().tolist() == [[[True, False], [False, False]]]
