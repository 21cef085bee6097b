"""The experiment on the straight-through gradient: right where tangents are, and opposed where they mislead."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "experiments" / "results" / "straight_through" / "worldmoji.json"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    import straight_through

    return straight_through


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_exact_gradient_is_that_of_an_expectation(script):
    z, loss = torch.randn(7, generator=seeded(1)).double(), torch.rand(7, generator=seeded(2)).double()
    p = z.softmax(0)
    torch.testing.assert_close(script.exact_gradient(z, loss), p * (loss - (p * loss).sum()))


def test_where_scores_are_linear_descending_makes_easier(script):
    # far above 0 softplus is linear as well: the tangent is the loss itself, and the two gradients are one
    pool, query = torch.randn(30, 8, generator=seeded(1)), torch.randn(8, generator=seeded(2))
    z = torch.randn(30, generator=seeded(3))
    score = lambda e: e @ query + 60.0  # noqa: E731
    exact = script.exact_gradient(z, F.softplus(score(pool)))
    found = script.straight_through_gradient(z, pool, score, 20_000, seeded(4))
    assert script.cosine(exact, found) > 0.98


def test_where_scores_are_distances_the_tangent_misleads(script):
    # candidates on a sphere on which the query lies as well, at all distances from it up to the other side
    angle = torch.linspace(0.5, 3.0, 40)[:, None]
    across = F.normalize(torch.randn(40, 50, generator=seeded(1)), dim=1)
    pool = 10 * torch.cat([angle.cos(), angle.sin() * across], dim=1)
    query = torch.zeros(51).index_fill(0, torch.tensor([0]), 10.0)
    score = lambda e: 6.0 - (query - e).norm(dim=-1)  # noqa: E731
    z = torch.zeros(40)
    exact = script.exact_gradient(z, F.softplus(score(pool)))
    found = script.straight_through_gradient(z, pool, score, 20_000, seeded(4))
    assert script.cosine(exact, found) < -0.5  # descending prefers the near ones, which the loss would have it leave


def test_what_was_recorded_is_whole(script):
    found = json.loads(RESULT.read_text(encoding="utf-8"))
    assert {"settings", "rows", "device", "versions", "command", "date"} == set(found)
    assert len(found["rows"]) == 5 * len(found["settings"]["seeds"])
    for row in found["rows"]:
        for kind in script.LOGITS:
            assert -1 <= row[kind]["mean_cosine"] <= 1
            assert 0 <= row[kind]["opposed"] <= 1
