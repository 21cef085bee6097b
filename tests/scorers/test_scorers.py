"""One consistency test for all scorers, their equations in plain loops, and what the contract promises."""

import math

import pytest
import torch
from torch_geometric.nn.kge import KGEModel

from mmkg.scorers import SCORERS, ComplEx, DistMult, PairRE, RotatE, TransE

N, R, D, B, K = 37, 5, 6, 19, 11  # B is larger than the block of 8 queries


@pytest.fixture
def ids():
    g = torch.Generator().manual_seed(1)
    return tuple(torch.randint(high, (B,), generator=g) for high in (N, R, N))


def build(name, relations=R, **kwargs):
    torch.manual_seed(0)
    model = SCORERS[name](N, relations, D, **kwargs).double()
    for p in model.parameters():  # away from the origin, where several scorers would agree by accident
        torch.nn.init.normal_(p)
    return model


def all_scores(model, h, r, t, side):
    """``[B, N]`` by scoring one triple after the other."""
    triples = [(h, r, c.expand(B)) if side == "tail" else (c.expand(B), r, t) for c in torch.arange(N)]
    return torch.stack([model.score_triples(*x, side) for x in triples], dim=1)


@pytest.mark.parametrize("reciprocal", [False, True])
@pytest.mark.parametrize("name", SCORERS)
def test_all_ways_of_scoring_agree(name, reciprocal, ids):
    model, (h, r, t) = build(name, chunk_mb=1e-3, reciprocal=reciprocal), ids
    shared, own = torch.arange(3, 3 + K), torch.randint(N, (B, K), generator=torch.Generator().manual_seed(2))
    for side in ("tail", "head"):

        def score(candidates=None, side=side):
            return model.score_tails(h, r, candidates) if side == "tail" else model.score_heads(r, t, candidates)

        expected = all_scores(model, h, r, t, side)
        torch.testing.assert_close(score(), expected)
        torch.testing.assert_close(score(shared), expected[:, shared])
        torch.testing.assert_close(score(own), expected.gather(1, own))
        torch.testing.assert_close(score(model.entity(own)), expected.gather(1, own))
        torch.testing.assert_close(score(model.entity(shared)), expected[:, shared])
        torch.testing.assert_close(score(model.entity_table()), expected)
        with torch.no_grad():
            torch.testing.assert_close(score(), expected)
    torch.testing.assert_close(model(h, r, t), model.score_triples(h, r, t, "tail"))


@pytest.mark.parametrize("name", SCORERS)
def test_reciprocal_relations_ask_for_heads_by_the_formula_of_tails(name, ids):
    model, (h, r, t) = build(name, reciprocal=True), ids
    assert (model.num_relations, len(model.rel_emb.weight)) == (R, 2 * R)
    assert torch.equal(model.relation(r, "head"), model.rel_emb.weight[r + R])
    assert torch.equal(model.relation(r, "tail"), model.rel_emb.weight[r])
    twice = build(name, relations=2 * R)
    twice.load_state_dict(model.state_dict())
    torch.testing.assert_close(model.score_heads(r, t), twice.score_tails(t, r + R))
    torch.testing.assert_close(model.score_triples(h, r, t, "head"), twice(t, r + R, h))
    torch.testing.assert_close(model(h, r, t), twice(h, r, t))


@pytest.mark.parametrize("name", SCORERS)
def test_without_reciprocals_the_side_does_not_matter(name, ids):
    model = build(name)
    torch.testing.assert_close(model.score_triples(*ids, "head"), model.score_triples(*ids, "tail"))


@pytest.mark.parametrize("reciprocal", [False, True])
@pytest.mark.parametrize("name", SCORERS)
def test_gradients_agree_between_blocks_and_triples(name, reciprocal, ids):
    model, (h, r, t) = build(name, chunk_mb=1e-3, reciprocal=reciprocal), ids
    (model.score_tails(h, r).gather(1, t[:, None]) + 2 * model.score_heads(r, t).gather(1, h[:, None])).sum().backward()
    blocks = {k: p.grad.clone() for k, p in model.named_parameters()}
    model.zero_grad()
    (model(h, r, t) + 2 * model.score_triples(h, r, t, "head")).sum().backward()
    for key, p in model.named_parameters():
        torch.testing.assert_close(blocks[key], p.grad)


@pytest.mark.parametrize("name", SCORERS)
def test_modulus_is_the_absolute_value_of_each_number(name):
    model = build(name, reciprocal=True)
    for x in (model.entity(torch.arange(N)), model.relation(torch.arange(R), "head")):
        x = x.detach().clone()
        x[0] = 0
        x.requires_grad_()
        found = model.modulus(x)
        if found.shape == x.shape and name != "rotate":
            torch.testing.assert_close(found, x.abs())
        elif found.shape == x.shape:  # relations of RotatE are phases
            assert torch.equal(found, torch.ones_like(x))
            continue
        else:
            torch.testing.assert_close(found, torch.complex(*x.detach().chunk(2, dim=-1)).abs())
        found.pow(3).sum().backward()
        assert torch.isfinite(x.grad).all()
        assert not x.grad[0].any()
        assert x.grad[1:].all()


def loop_score(model, h, r, t):
    """The papers' equations in plain Python."""
    e_h, e_t, w = (x.tolist() for x in (model.node_emb.weight[h], model.node_emb.weight[t], model.rel_emb.weight[r]))
    if isinstance(model, TransE):
        return model.margin - sum(abs(a + b - c) ** model.p_norm for a, b, c in zip(e_h, w, e_t, strict=True)) ** (
            1 / model.p_norm
        )
    if isinstance(model, DistMult):
        return sum(a * b * c for a, b, c in zip(e_h, w, e_t, strict=True))
    z_h, z_t = ([complex(x[i], x[D + i]) for i in range(D)] for x in (e_h, e_t)) if len(e_h) == 2 * D else (None, None)
    if isinstance(model, ComplEx):
        return sum(z_h[i] * complex(w[i], w[D + i]) * z_t[i].conjugate() for i in range(D)).real
    if isinstance(model, RotatE):
        turn = [math.pi * x / ((model.margin + 2) / D) for x in w]
        return model.margin - sum(
            abs(z_h[i] * complex(math.cos(turn[i]), math.sin(turn[i])) - z_t[i]) for i in range(D)
        )
    assert isinstance(model, PairRE)
    n_h, n_t = (math.sqrt(sum(x * x for x in e)) for e in (e_h, e_t))
    return model.margin - sum(abs(e_h[i] / n_h * w[i] - e_t[i] / n_t * w[D + i]) for i in range(D))


@pytest.mark.parametrize(("name", "options"), [*((n, {}) for n in SCORERS), ("transe", {"p_norm": 2})])
def test_scores_follow_the_papers_equation(name, options, ids):
    model, (h, r, t) = build(name, **options), ids
    expected = [loop_score(model, *triple) for triple in zip(h.tolist(), r.tolist(), t.tolist(), strict=True)]
    assert model(h, r, t).tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", SCORERS)
def test_a_difference_of_zero_has_a_finite_gradient(name):
    model = build(name)
    same = torch.zeros(3, dtype=torch.long)
    with torch.no_grad():
        model.rel_emb.weight.zero_()  # no rotation, no translation: head and tail coincide
    model(same, same, same).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("reciprocal", [False, True])
@pytest.mark.parametrize("name", SCORERS)
def test_pyg_signature_trains_and_tests(name, reciprocal, ids):
    model, (h, r, t) = build(name, reciprocal=reciprocal).float(), ids
    assert isinstance(model, KGEModel)
    loader = model.loader(h, r, t, batch_size=7, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    torch.manual_seed(0)
    first = last = None
    for _ in range(30):
        total = 0.0
        for batch in loader:
            optimizer.zero_grad()
            loss = model.loss(*batch)
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * batch[0].numel()
        first, last = total if first is None else first, total
    assert last < 0.8 * first
    mean_rank, mrr, hits = model.test(h, r, t, batch_size=5, log=False)
    assert 1 <= mean_rank <= N
    assert 0 < mrr <= 1
    assert 0 <= hits <= 1


def test_test_gives_ties_the_mean_rank_and_refuses_nan(ids):
    model, (h, r, t) = build("distmult"), ids
    with torch.no_grad():
        model.node_emb.weight.zero_()
    assert model.test(h, r, t, batch_size=4)[0] == (N + 1) / 2
    with torch.no_grad():
        model.node_emb.weight.fill_(float("nan"))
    with pytest.raises(ArithmeticError, match="NaN"):
        model.test(h, r, t, batch_size=4)


def test_the_loss_never_draws_the_positive():
    model = DistMult(2, 1, 1)
    with torch.no_grad():
        model.node_emb.weight.copy_(torch.tensor([[1.0], [-9.0]]))
        model.rel_emb.weight.fill_(1.0)
    zero = torch.zeros(500, dtype=torch.long)
    # every corruption of (0, 0, 0) must hold entity 1 exactly once: score -9, never +1 or +81
    expected = (torch.nn.functional.softplus(torch.tensor(-1.0)) + torch.nn.functional.softplus(torch.tensor(-9.0))) / 2
    torch.testing.assert_close(model.loss(zero, zero, zero), expected)


def test_rotate_keeps_distances_and_inverts():
    model = build("rotate")
    e, r = model.entity(torch.arange(4)), model.relation(torch.arange(4), "tail")
    turned = model.query(e, r, "tail")
    torch.testing.assert_close(model.query(turned, r, "head"), e)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 1, 2), "num_nodes is 0"), ((1, 0, 2), "num_relations is 0"), ((1, 1, 0), "hidden_channels is 0")],
)
@pytest.mark.parametrize("name", SCORERS)
def test_sizes_are_checked(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        SCORERS[name](*arguments)


def test_wrong_norm_and_wrong_candidates():
    with pytest.raises(ValueError, match="p_norm is 3"):
        TransE(2, 1, 2, p_norm=3)
    model = DistMult(4, 1, 3)
    two = torch.zeros(2, dtype=torch.long)
    for shape in ((2, 5, 4), (5, 4), (3,), (1, 2, 5, 3)):
        with pytest.raises(ValueError, match="expected \\[K, d\\] or \\[B, K, d\\]"):
            model.score_tails(two, two, torch.zeros(shape))
    with pytest.raises(ValueError, match="3 rows for 2 questions"):
        model.score_tails(two, two, torch.zeros(3, 5, 3))
    with pytest.raises(ValueError, match="3 rows for 2 questions"):
        model.score_heads(two, two, torch.zeros(3, 5, dtype=torch.long))
    with pytest.raises(ValueError, match="chunk_mb is 0"):
        DistMult(4, 1, 3, chunk_mb=0)
    with pytest.raises(ValueError, match="initial_std is 0"):
        ComplEx(4, 1, 3, initial_std=0)


def test_a_standard_deviation_for_the_start():
    torch.manual_seed(0)
    model = ComplEx(400, 50, 20, initial_std=1e-3)
    for embedding in (model.node_emb, model.rel_emb):
        assert embedding.weight.detach().std().item() == pytest.approx(1e-3, rel=0.05)
