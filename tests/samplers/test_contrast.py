"""L_con: the published numbers, the weights, and rows with nothing to compare."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from sampler_world import relative

from mmkg.samplers.mmrns.contrast import contrastive_loss, log_weights

DATA = Path(__file__).parents[1] / "data"


def published():
    found = load_file(DATA / "losses_published_form.safetensors")
    return {k: v.double() if v.is_floating_point() else v for k, v in found.items()}


def published_total(d, drawn_weight="published", contrast="batch"):
    """The published total loss with L_con from here and L_kgc written out."""
    scores, weight = d["negative_scores"], d["subsampling_weight"]
    pool, positions = d["pool"], d["drawn_positions_in_pool"]
    valid = torch.ones_like(positions, dtype=torch.bool)
    q = log_weights(
        scores, positions, valid, len(pool), alpha=float(d["alpha"]), num_entities=80, drawn_weight=drawn_weight
    )
    known = d["known_positive_mask_over_all_entities"][:, pool]
    total = 0.0
    for m in ("image", "text", "structure"):
        similarity = d[f"similarity.{m}"]
        total += contrastive_loss(similarity, known, q, similarity, ~known, q, contrast)
    w = (float(d["alpha"]) * scores).softmax(1)
    negative = -(weight * (w * F.logsigmoid(-scores)).sum(1)).sum() / weight.sum()
    positive = -(weight * F.logsigmoid(d["positive_scores"])).sum() / weight.sum()
    assert relative(negative, d["expected.negative_sample_loss"]) < 1e-5
    assert relative(positive, d["expected.positive_sample_loss"]) < 1e-5
    return (positive + negative) / 2 + total / (3 * float(d["loss_rate"]))


def test_published_numbers():
    d = published()
    assert relative(published_total(d), d["expected.total_loss_batch_contrast_weight_over_pool"]) < 1e-5


@pytest.mark.parametrize("departure", [{"drawn_weight": "equation"}, {"contrast": "row"}])
def test_the_equation_gives_another_number(departure):
    d = published()
    assert relative(published_total(d, **departure), d["expected.total_loss_batch_contrast_weight_over_pool"]) > 1e-4


def test_reference_folder_holds_the_same_losses(shared):
    path = shared / "reference" / "losses_published_form.safetensors"
    if not path.exists():
        pytest.skip(f"no reference numbers at {path}")
    assert path.read_bytes() == (DATA / path.name).read_bytes()


def test_weights_by_the_equation():
    scores = torch.tensor([[1.0, 3.0, 9.0]], dtype=torch.float64, requires_grad=True)
    valid = torch.tensor([[True, True, False]])
    q = log_weights(scores, torch.tensor([[4, 0, 2]]), valid, 6, alpha=0.5, num_entities=100).exp()
    w = torch.tensor([0.5, 1.5]).double().softmax(0)
    expected = torch.tensor([[w[1], 0.01, 0.01, 0.01, w[0], 0.01]]).double()
    assert torch.allclose(q, expected, rtol=1e-12)
    assert not q.requires_grad  # w teaches the scorer nothing


def test_published_weights_put_the_drawn_below_the_rest():
    q = log_weights(
        torch.zeros(1, 2),
        torch.tensor([[0, 1]]),
        torch.ones(1, 2, dtype=torch.bool),
        4,
        alpha=1.0,
        num_entities=9,
        drawn_weight="published",
    )
    assert torch.allclose(q.exp(), torch.tensor([[1 / 8, 1 / 8, 1 / 4, 1 / 4]]))


def test_extreme_scores_stay_finite():
    scores = torch.tensor([[1e4, -1e4], [-1e30, 0.0]])
    q = log_weights(
        scores, torch.tensor([[0, 1], [0, 1]]), torch.ones(2, 2, dtype=torch.bool), 3, alpha=1.0, num_entities=5
    )
    assert q.isfinite().all()


@pytest.mark.parametrize("contrast", ["row", "batch"])
def test_rows_with_nothing_contribute_nothing(contrast):
    torch.manual_seed(0)
    positive = torch.randn(4, 3, requires_grad=True)
    negative = torch.randn(4, 5, requires_grad=True)
    has, q = torch.ones(4, 3, dtype=torch.bool), torch.randn(4, 5)
    against = torch.ones(4, 5, dtype=torch.bool)
    against[1], has[2] = False, False
    loss = contrastive_loss(positive, has, -1.0, negative, against, q, contrast)
    loss.backward()
    assert loss.isfinite()
    assert positive.grad.isfinite().all()
    assert negative.grad.isfinite().all()
    assert negative.grad[1].abs().sum() == 0
    assert positive.grad[2].abs().sum() == 0
    if contrast == "row":
        rows = [0, 3]
        expected = [
            -math.log((positive[b].exp().sum() * math.exp(-1) / (negative[b] + q[b]).exp().sum()).item()) for b in rows
        ]
        assert loss.item() == pytest.approx(sum(expected) / 2, rel=1e-5)
        assert positive.grad[1].abs().sum() == 0  # no negative to set against it


def test_nothing_at_all_is_zero():
    positive, negative = torch.randn(2, 1, requires_grad=True), torch.randn(2, 3, requires_grad=True)
    none = torch.zeros(2, 3, dtype=torch.bool)
    for contrast in ("row", "batch"):
        loss = contrastive_loss(positive, none[:, :1], 0.0, negative, none, torch.zeros(2, 3), contrast)
        assert loss.item() == 0
        loss.backward()
        assert negative.grad.abs().sum() == 0
