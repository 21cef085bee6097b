"""Cosines by blocks of one relation each."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmkg.samplers.mmrns.similarity import Grouping


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=25), st.integers(0, 100))
def test_equals_row_by_row(relations, seed):
    torch.manual_seed(seed)
    used, at = torch.tensor(relations).unique(return_inverse=True)
    positive = torch.randn(len(at), 4).double()
    candidates = torch.randn(7, len(used), 4).double()
    grouping = Grouping(at, len(used))
    assert grouping.further_relation.numel() <= len(used) / 4
    assert grouping.width * (len(used) + grouping.further_relation.numel()) <= 10 * (len(at) + len(used))
    found = grouping.similarities(positive, candidates)
    expected = torch.nn.functional.cosine_similarity(positive[:, None], candidates[:, at].transpose(0, 1), dim=-1)
    assert torch.allclose(found, expected, atol=1e-9)
    # candidates that do not depend on the relation
    same = grouping.similarities(positive, candidates[:, :1])
    expected = torch.nn.functional.cosine_similarity(positive[:, None], candidates[None, :, 0], dim=-1)
    assert torch.allclose(same, expected, atol=1e-9)


def test_skewed_relations_get_further_blocks():
    at = torch.tensor([0] * 60 + list(range(1, 40)))
    grouping = Grouping(at, 40)
    assert grouping.further_relation.tolist() == [0] * 4  # 12 places a block
    positive, candidates = torch.randn(99, 3).double(), torch.randn(5, 40, 3).double()
    expected = torch.nn.functional.cosine_similarity(positive[:, None], candidates[:, at].transpose(0, 1), dim=-1)
    assert torch.allclose(grouping.similarities(positive, candidates), expected, atol=1e-9)


@pytest.mark.parametrize("detach", [False, True])
def test_zero_vectors(detach):
    positive = torch.zeros(2, 3, requires_grad=True)
    candidates = torch.zeros(4, 1, 3, requires_grad=True)
    found = Grouping(torch.zeros(2, dtype=torch.long), 1).similarities(positive, candidates, detach)
    found.sum().backward()
    assert (found == 0).all()
    assert positive.grad.isfinite().all()
    assert candidates.grad.isfinite().all()


def test_detached_norms_leave_the_value():
    positive, candidates = torch.randn(3, 4, requires_grad=True), torch.randn(5, 3, 4)
    grouping = Grouping(torch.arange(3), 3)
    plain, detached = (grouping.similarities(positive, candidates, d) for d in (False, True))
    assert torch.equal(plain, detached)
    slopes = [torch.autograd.grad(x.sum(), positive)[0] for x in (plain, detached)]
    assert not torch.allclose(*slopes)
    # with its norm, a cosine does not change along the vector itself
    assert torch.allclose((slopes[0] * positive).sum(1), torch.zeros(3), atol=1e-5)
