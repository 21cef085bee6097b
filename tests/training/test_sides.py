"""Losses of parts of a batch are the loss of the whole."""

import pytest
import torch

from mmkg.training import SelfAdversarial
from mmkg.training.sides import joined
from mmkg.types import Batch


@pytest.mark.parametrize("weighted", [True, False])
def test_parts_join_to_the_loss_of_the_whole(weighted):
    torch.manual_seed(0)
    positive, negative, valid = torch.randn(9), torch.randn(9, 4), torch.rand(9, 4) < 0.8
    weight = torch.rand(9) if weighted else None
    ids = torch.arange(9)
    batch, objective, heads = Batch(ids, ids, ids, weight), SelfAdversarial(), ids % 3 == 0
    parts = [batch.select(heads), batch.select(~heads)]
    losses = [
        {"objective": objective(positive[keep], negative[keep], valid[keep], part.weight)}
        for keep, part in zip((heads, ~heads), parts, strict=True)
    ]
    whole = objective(positive, negative, valid, weight)
    assert torch.allclose(joined(parts, losses)["objective"], whole)


def test_a_loss_that_a_part_lacks_counts_nothing_there():
    ids = torch.arange(8)
    parts = [Batch(ids[:2], ids[:2], ids[:2]), Batch(ids[2:], ids[2:], ids[2:])]
    one = torch.tensor(1.0)
    found = joined(parts, [{"objective": one, "sampler": one}, {"objective": 3 * one}])
    assert found["objective"] == pytest.approx(2.5)
    assert found["sampler"] == pytest.approx(0.25)
