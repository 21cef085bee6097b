"""Regularisers against their equations in numpy, on every scorer they are for."""

import numpy as np
import pytest
import torch

from mmkg.scorers import SCORERS, BilinearScorer
from mmkg.training import DURA, L2, N3, REGULARISERS

COMPLEX = {"complex": 2, "rotate": 2, "quate": 4}  # how many reals make a number of an entity


def embeddings(name, reciprocal=False, batch=5):
    torch.manual_seed(3)
    model = SCORERS[name](7, 3, 8, reciprocal=reciprocal)
    head, relation, tail = (torch.randint(0, n, (batch,)) for n in (7, 3, 7))
    return model, model.entity(head), model.relation(relation, "tail"), model.entity(tail), (head, relation, tail)


def sizes(values, parts):
    squares = (values**2).reshape(len(values), parts, -1).sum(1)
    return np.sqrt(squares)


@pytest.mark.parametrize("name", SCORERS)
@pytest.mark.parametrize(("regulariser", "power"), [(N3(), 3), (L2(), 2)])
def test_norms_on_every_scorer(name, regulariser, power):
    model, h, r, t, _ = embeddings(name)
    found = regulariser(model, h, r, t, "tail")
    found.backward()
    assert torch.isfinite(model.node_emb.weight.grad).all()
    parts = COMPLEX.get(name, 1)
    arrays = [x.detach().double().numpy() for x in (h, r, t)]
    if name in COMPLEX and arrays[1].shape[1] % parts == 0:
        expected = sum((sizes(x, parts) ** power).sum() for x in arrays) / 5
        # RotatE's relations are angles: real numbers, though its entities are complex
        if name == "rotate":
            expected = sum((sizes(arrays[i], p) ** power).sum() for i, p in ((0, 2), (2, 2))) / 5
            expected += float(model.modulus(r).double().pow(power).sum().detach()) / 5
    else:
        expected = sum((np.abs(x) ** power).sum() for x in arrays) / 5
    assert float(found.detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", [n for n, kind in SCORERS.items() if issubclass(kind, BilinearScorer)])
@pytest.mark.parametrize("reciprocal", [False, True])
def test_dura_is_what_a_distance_has_beside_the_score(name, reciprocal):
    model, h, r, t, ids = embeddings(name, reciprocal)
    # -||q - t||^2 = 2 s - (||q||^2 + ||t||^2), so that the penalty is 2 s + ||q - t||^2
    query = model.query(h, r, "tail")
    if query.shape != t.shape:  # CP keeps two vectors an entity
        pytest.skip("the score of CP reads half of an entity's numbers")
    own = 2 * (query * t).sum() + (query - t).square().sum()
    found = DURA()(model, h, r, t, "tail")
    assert float(found.detach()) == pytest.approx(float(own.detach()) / 5, rel=1e-5)
    if not reciprocal:
        r_head = model.relation(ids[1], "head")
        both = found + DURA()(model, t, r_head, h, "head")
        back = model.query(t, r_head, "head")
        squares = sum(float(x.detach().square().sum()) for x in (query, t, back, h))
        assert float(both.detach()) == pytest.approx(squares / 5, rel=1e-5)


def test_dura_of_complex_in_numpy():
    model, h, r, t, _ = embeddings("complex")
    h, r, t = (x.detach().double().numpy() for x in (h, r, t))
    complexes = [x[:, :8] + 1j * x[:, 8:] for x in (h, r, t)]
    expected = (np.abs(complexes[0] * complexes[1]) ** 2).sum() + (np.abs(complexes[2]) ** 2).sum()
    found = DURA()(model, *(torch.tensor(x) for x in (h, r, t)), "tail")
    assert float(found) == pytest.approx(expected / 5, rel=1e-6)


@pytest.mark.parametrize("name", ["transe", "rotate", "mure"])
def test_dura_is_refused_where_there_is_no_dual(name):
    model, h, r, t, _ = embeddings(name)
    with pytest.raises(ValueError, match="DURA is for bilinear scorers"):
        DURA()(model, h, r, t, "tail")


@pytest.mark.parametrize("name", REGULARISERS)
def test_zero_embeddings_have_finite_gradients(name):
    model, h, r, t, _ = embeddings("complex")
    zeros = [torch.zeros_like(x, requires_grad=True) for x in (h, r, t)]
    REGULARISERS[name]()(model, *zeros, "tail").backward()
    assert all(torch.equal(x.grad, torch.zeros_like(x)) for x in zeros)
