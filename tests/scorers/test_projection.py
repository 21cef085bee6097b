"""The projection: ridge as by its normal equations, and a left-out error that is that of refits."""

import pytest
import torch

from mmkg.scorers import projection
from mmkg.scorers.projection import fit_projection, side_by_side

G = torch.Generator().manual_seed(0)
N, D, WIDTH = 14, 3, 5
VECTORS = {"text": torch.randn(N, WIDTH, generator=G), "image": torch.randn(N, 2, generator=G)}
PRESENT = {"text": torch.ones(N, dtype=torch.bool), "image": torch.arange(N) % 3 > 0}
STRUCTURE = torch.randn(N, D, generator=G)


def solved(x, y, penalty):
    """Ridge with an unpenalised intercept, by the normal equations."""
    xc, yc = x - x.mean(0), y - y.mean(0)
    unit = torch.linalg.eigvalsh(xc.T @ xc).mean()
    weight = torch.linalg.solve(xc.T @ xc + penalty * unit * torch.eye(x.shape[1]).double(), xc.T @ yc)
    return weight, y.mean(0) - x.mean(0) @ weight


def test_it_is_the_ridge_with_the_smallest_left_out_error(monkeypatch):
    x, y = side_by_side(VECTORS, PRESENT), STRUCTURE.double()
    found = fit_projection(VECTORS, PRESENT, STRUCTURE)
    weight, bias = solved(x, y, found.penalty)
    torch.testing.assert_close(found.weight, weight)
    torch.testing.assert_close(found.bias, bias)
    explained = {}
    for penalty in projection.PENALTIES:
        monkeypatch.setattr(projection, "PENALTIES", (penalty,))
        explained[penalty] = fit_projection(VECTORS, PRESENT, STRUCTURE).explained
    assert max(explained, key=explained.get) == found.penalty
    assert explained[found.penalty] == found.explained


def test_the_left_out_error_is_that_of_refits(monkeypatch):
    monkeypatch.setattr(projection, "PENALTIES", (1.0,))
    x, y = side_by_side(VECTORS, PRESENT), STRUCTURE.double()
    xc = x - x.mean(0)
    unit = torch.linalg.eigvalsh(xc.T @ xc).mean()
    error = spread = 0.0
    for out in range(N):
        keep = torch.arange(N) != out
        a, b = x[keep] - x[keep].mean(0), y[keep] - y[keep].mean(0)
        weight = torch.linalg.solve(a.T @ a + unit * torch.eye(x.shape[1]).double(), a.T @ b)
        error += float((y[out] - y[keep].mean(0) - (x[out] - x[keep].mean(0)) @ weight).square().sum())
        spread += float((y[out] - y[keep].mean(0)).square().sum())
    # the variance of an entity left out is against the mean of the others, squared
    total = float(((y - y.mean(0)) * N / (N - 1)).square().sum())
    assert spread == pytest.approx(total)
    assert fit_projection(VECTORS, PRESENT, STRUCTURE).explained == pytest.approx(1 - error / spread, abs=1e-6)


def test_a_linear_truth_is_found():
    weight = torch.randn(WIDTH, D, generator=G)
    text, there = torch.randn(200, WIDTH, generator=G), torch.ones(200, dtype=torch.bool)
    found = fit_projection({"text": text}, {"text": there}, text @ weight + 1)
    assert found.explained > 0.999
    new = torch.randn(4, WIDTH, generator=G)
    got = found({"text": new}, {"text": torch.ones(4, dtype=torch.bool)})
    torch.testing.assert_close(got, new @ weight + 1, atol=1e-2, rtol=1e-2)


def test_a_missing_modality_counts_as_missing_and_not_as_zeros():
    x = side_by_side({"a": torch.full((2, 1), torch.pi)}, {"a": torch.tensor([True, False])})
    assert x.tolist() == [[pytest.approx(torch.pi), 1], [0, 0]]


def test_one_entity_is_too_few():
    one = {"text": torch.ones(1, 2)}, {"text": torch.ones(1, dtype=torch.bool)}
    with pytest.raises(ValueError, match="two or more"):
        fit_projection(*one, torch.ones(1, 3))
