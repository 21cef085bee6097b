"""Kernels with a gradient written out: equal to their plain twins, gradients too, whatever the parts."""

import pytest
import torch

from mmkg.samplers.mmrns import parts as sizes
from mmkg.samplers.mmrns import plain
from mmkg.samplers.mmrns.gated import GatedDots
from mmkg.samplers.mmrns.guided import GuidedProjection
from mmkg.samplers.mmrns.norm_scale import NormScale
from mmkg.samplers.mmrns.similarity import DotsAndNorms
from mmkg.samplers.mmrns.stored import Projected
from mmkg.types import Features

SHAPES = [(1, 1, 1, 1), (5, 3, 4, 2), (7, 1, 3, 5), (3, 4, 1, 3), (9, 5, 2, 1)]  # P, U, J, O


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def cases(p, u, j, o):
    """(name, kernel, plain twin, arguments)."""
    torch.manual_seed(p + 10 * u + 100 * j)
    a = 3
    centred = random(p, j, a).detach()
    gram = (centred @ centred.transpose(1, 2) / a).requires_grad_()
    mask = torch.rand(p, o) > 0.3
    guide = torch.rand(u, j, o, dtype=torch.float64).requires_grad_()
    scale = (torch.rand(p, u, o, dtype=torch.float64) + 0.1).requires_grad_()
    yield "scale", NormScale, plain.norm_scale, (random(p, j, o), gram, guide, mask, 1e-5)
    given = (random(p, j, a), random(p, j, o), random(a, o, a), scale, guide, random(p, a))
    yield "guided", GuidedProjection, plain.guided_projection, given
    further = torch.randint(u, (2,))
    yield "dots", DotsAndNorms, plain.dots_and_norms, (random(u + 2, 2, a), random(p, u, a), further)
    none = further[:0]
    yield "dots, no further block", DotsAndNorms, plain.dots_and_norms, (random(u, 2, a), random(p, u, a), none)
    given = (random(u + 2, 2, a), random(p, a), random(p, a), random(u, a), further)
    yield "gated", GatedDots, plain.gated_dots, given
    row = torch.where(torch.rand(p + 2) > 0.3, torch.arange(p + 2), -1)
    features = Features(random(p + 2, j, 4).detach(), torch.rand(p + 2, j) > 0.2, row)
    yield "projected", Projected, plain.projected, (random(a, 4), random(a), features, torch.randint(p + 2, (p,)))


def together(out):
    """All results of a kernel as one, each weighed by other numbers."""
    several = out if isinstance(out, tuple) else (out,)
    return sum((x * torch.linspace(-1, 2, x.numel(), dtype=x.dtype).view(x.shape)).sum() for x in several)


@pytest.mark.parametrize("numbers", [1, 40, 2**19])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_kernels_equal_their_plain_twins(shape, numbers, monkeypatch):
    monkeypatch.setattr(sizes, "CACHE_NUMBERS", numbers)
    for name, kernel, twin, given in cases(*shape):
        wanted = [x for x in given if isinstance(x, torch.Tensor) and x.requires_grad]
        found, expected = together(kernel.apply(*given)), together(twin(*given))
        assert torch.allclose(found, expected, rtol=1e-5 if name == "projected" else 1e-10), name
        for one, two in zip(torch.autograd.grad(found, wanted), torch.autograd.grad(expected, wanted), strict=True):
            assert torch.allclose(one, two, rtol=1e-8, atol=1e-10), name


@pytest.mark.parametrize("shape", SHAPES[:4], ids=str)
def test_gradients_are_those_of_differences(shape, monkeypatch):
    monkeypatch.setattr(sizes, "CACHE_NUMBERS", 40)
    for name, kernel, _, given in cases(*shape):
        if name == "scale":  # as a function of any gram, also such as no rows have, it is not symmetric
            centred = random(shape[0], shape[2], 3)

            def of_rows(affinity, rows, guide, mask=given[3]):
                return NormScale.apply(affinity, rows @ rows.transpose(1, 2) / 3, guide, mask, 1e-2)

            assert torch.autograd.gradcheck(of_rows, (given[0], centred, given[2])), name
        else:
            assert torch.autograd.gradcheck(kernel.apply, given), name


def test_masked_rows_and_closed_guides_give_no_nan():
    guide = torch.tensor([[[0.0], [1.0]]], dtype=torch.float64, requires_grad=True)  # [1, 2, 1]
    scale = torch.zeros(3, 1, 1, dtype=torch.float64, requires_grad=True)  # no row of the other modality
    given = (random(3, 2, 4), random(3, 2, 1), random(4, 1, 4), scale, guide, random(3, 4))
    GuidedProjection.apply(*given).sum().backward()
    assert all(x.grad.isfinite().all() for x in given)
