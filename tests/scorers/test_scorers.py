"""One consistency test for all scorers against their papers' equations, and what the contract promises."""

import math

import pytest
import torch
from equations import EQUATIONS, all_scores
from torch_geometric.nn.kge import KGEModel

from mmkg.scorers import (
    SCORERS,
    AutoSF,
    ComplEx,
    DistMult,
    RotatE,
    TransE,
    TuckER,
)
from mmkg.scorers.autosf import STRUCTURES

N, R, D, B, K = 37, 5, 6, 19, 11  # B is larger than a block of 8 queries
CASES = [
    *((name, {"reciprocal": twice}) for name in SCORERS for twice in (False, True)),
    ("transe", {"p_norm": 2}),
    ("tucker", {"relation_channels": 4}),
    ("tucker", {"relation_channels": 9, "batch_norm": True, "reciprocal": True}),
    *(("autosf", {"structure": structure}) for structure in STRUCTURES.values()),
]


@pytest.fixture
def ids():
    g = torch.Generator().manual_seed(1)
    return tuple(torch.randint(high, (B,), generator=g) for high in (N, R, N))


def build(name, relations=R, size=D, **options):
    torch.manual_seed(0)
    model = SCORERS[name](N, relations, size, **options).double().eval()
    for p in (*model.parameters(), *model.buffers()):  # away from the start, where several scorers agree by accident
        if p.is_floating_point():
            torch.nn.init.normal_(p)
    for key, buffer in model.named_buffers():
        if key.endswith("running_var"):
            buffer.abs_()
    return model


def ask(model, side, h, r, t, candidates=None):
    return model.score_tails(h, r, candidates) if side == "tail" else model.score_heads(r, t, candidates)


def test_every_scorer_has_its_equation():
    assert set(EQUATIONS) == set(SCORERS)


@pytest.mark.parametrize("size", [D, 1])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_all_ways_of_scoring_follow_the_papers_equation(name, options, size, ids):
    model, (h, r, t) = build(name, size=size, chunk_mb=1e-3, **options), ids
    shared, own = torch.arange(3, 3 + K), torch.randint(N, (B, K), generator=torch.Generator().manual_seed(2))
    for side, answer in (("tail", t), ("head", h)):
        expected = torch.from_numpy(all_scores(model, name, h, r, t, side))  # [B, N]
        torch.testing.assert_close(ask(model, side, *ids), expected)
        torch.testing.assert_close(ask(model, side, *ids, shared), expected[:, shared])
        torch.testing.assert_close(ask(model, side, *ids, own), expected.gather(1, own))
        torch.testing.assert_close(ask(model, side, *ids, model.entity(own)), expected.gather(1, own))
        torch.testing.assert_close(ask(model, side, *ids, model.entity(shared)), expected[:, shared])
        torch.testing.assert_close(ask(model, side, *ids, model.entity_table()), expected)
        torch.testing.assert_close(model.score_triples(h, r, t, side), expected.gather(1, answer[:, None])[:, 0])
        one = [x[:1] for x in ids]
        torch.testing.assert_close(ask(model, side, *one), expected[:1])
        none = [x[:0] for x in ids]
        assert ask(model, side, *none).shape == (0, N)
        with torch.no_grad():
            torch.testing.assert_close(ask(model, side, *ids), expected)
    torch.testing.assert_close(model(h, r, t), model.score_triples(h, r, t, "tail"))
    if not model.reciprocal:
        torch.testing.assert_close(model(h, r, t), model.score_triples(h, r, t, "head"))


@pytest.mark.parametrize(("name", "options"), CASES)
def test_gradients_agree_between_blocks_and_triples_and_reach_everything(name, options, ids):
    model, (h, r, t) = build(name, chunk_mb=1e-3, **options), ids
    (model.score_tails(h, r).gather(1, t[:, None]) + 2 * model.score_heads(r, t).gather(1, h[:, None])).sum().backward()
    blocks = {k: p.grad.clone() for k, p in model.named_parameters()}
    model.zero_grad()
    (model(h, r, t) + 2 * model.score_triples(h, r, t, "head")).sum().backward()
    for key, p in model.named_parameters():
        torch.testing.assert_close(blocks[key], p.grad)
    model.zero_grad()
    model.score_tails(h, r).square().sum().backward()
    model.score_heads(r, t).square().sum().backward()
    used = torch.cat([r, r + R]).unique() if model.reciprocal else r.unique()
    assert model.node_emb.weight.grad.any(1).all()  # every candidate learns
    assert model.rel_emb.weight.grad[used].any(1).all()
    assert all(p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("name", SCORERS)
def test_reciprocal_relations_are_stored_behind_the_others(name, ids):
    model, (h, r, t) = build(name, reciprocal=True), ids
    assert (model.num_relations, len(model.rel_emb.weight)) == (R, 2 * R)
    assert torch.equal(model.relation(r, "head"), model.rel_emb.weight[r + R])
    assert torch.equal(model.relation(r, "tail"), model.rel_emb.weight[r])
    twice = build(name, relations=2 * R)
    twice.load_state_dict(model.state_dict())
    torch.testing.assert_close(model.score_heads(r, t), twice.score_tails(t, r + R))
    torch.testing.assert_close(model.score_triples(h, r, t, "head"), twice(t, r + R, h))


@pytest.mark.parametrize("name", SCORERS)
def test_modulus_is_the_absolute_value_of_each_number(name):
    model = build(name, reciprocal=True)
    for x in (model.entity(torch.arange(N)), model.relation(torch.arange(R), "head")):
        x = x.detach().clone()
        x[0] = 0
        x.requires_grad_()
        found, parts = model.modulus(x), {"complex": 2, "rotate": 2, "quate": 4}.get(name, 1)
        if name == "rotate" and x.shape[-1] == D:  # relations are rotations, given by their phases
            assert torch.equal(found, torch.ones_like(x))
            continue
        torch.testing.assert_close(found, x.detach().unflatten(-1, (parts, -1)).square().sum(-2).sqrt())
        found.pow(3).sum().backward()
        assert torch.isfinite(x.grad).all()
        assert not x.grad[0].any()
        assert x.grad[1:].all()


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
    model, (h, r, t) = build(name, reciprocal=reciprocal).float().train(), ids
    model.reset_parameters()
    assert isinstance(model, KGEModel)
    loader = model.loader(h, r, t, batch_size=7, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    torch.manual_seed(0)
    losses = []
    for _ in range(60):
        total = 0.0
        for batch in loader:
            optimizer.zero_grad()
            loss = model.loss(*batch)
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * batch[0].numel()
        losses.append(total)
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
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


# what papers say that their scorers can and cannot do ---------------------------------------------------------------


def test_distmult_is_symmetric_and_others_are_not(ids):
    h, r, t = ids
    apart = h != t
    for name in SCORERS:
        model = build(name)
        same = torch.isclose(model(h, r, t), model(t, r, h))[apart]
        assert same.all() if name == "distmult" else not same.all(), name


def test_rotate_models_inversion_symmetry_and_composition(ids):
    model, (h, _, t) = build("rotate"), ids
    unit = (model.margin + 2) / D  # half a turn
    with torch.no_grad():
        model.rel_emb.weight[1] = -model.rel_emb.weight[0]  # the inverse
        model.rel_emb.weight[2] = unit  # half a turn is its own inverse
        model.rel_emb.weight[4] = model.rel_emb.weight[0] + model.rel_emb.weight[3]
    zero, one, two, three, four = (torch.full_like(h, i) for i in range(5))
    torch.testing.assert_close(model(h, zero, t), model(t, one, h))
    torch.testing.assert_close(model(h, two, t), model(t, two, h))
    step = model.query(model.entity(h), model.relation(zero), "tail")
    both = model.query(step, model.relation(three), "tail")
    torch.testing.assert_close(both, model.query(model.entity(h), model.relation(four), "tail"))
    torch.testing.assert_close(model.query(step, model.relation(zero), "head"), model.entity(h))


def test_autosf_holds_complex(ids):
    terms = ((0, 0, 0, 1), (1, 0, 1, 1), (0, 1, 1, 1), (1, 1, 0, -1))  # on two of the four blocks, and on the others
    model = build("autosf", size=3, structure=terms + tuple((a + 2, b + 2, c + 2, s) for a, b, c, s in terms))
    other = build("complex", size=6)
    with torch.no_grad():
        for own, its in ((model.node_emb, other.node_emb), (model.rel_emb, other.rel_emb)):
            re, im, re2, im2 = own.weight.chunk(4, dim=1)
            its.weight.copy_(torch.cat([re, re2, im, im2], dim=1))
    torch.testing.assert_close(model(*ids), other(*ids))


def test_tucker_normalises_over_the_batch_and_drops_in_training(ids):
    torch.manual_seed(0)
    options = {"input_dropout": 0.3, "relation_dropout": 0.3, "output_dropout": 0.3}
    model, (h, r, _) = TuckER(N, R, D, batch_norm=True, reciprocal=True, **options), ids
    assert not torch.allclose(model.score_tails(h, r), model.score_tails(h, r))
    assert model.output_norm.running_mean.any()
    model.eval()
    assert torch.equal(model.score_tails(h, r), model.score_tails(h, r))
    with pytest.raises(ValueError, match="batch_norm needs reciprocal=True"):
        TuckER(N, R, D, batch_norm=True)
    with pytest.raises(ValueError, match="relation_channels is 0"):
        TuckER(N, R, D, relation_channels=0)


# bad input ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 1, 2), "num_nodes is 0"), ((1, 0, 2), "num_relations is 0"), ((1, 1, 0), "hidden_channels is 0")],
)
@pytest.mark.parametrize("name", SCORERS)
def test_sizes_are_checked(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        SCORERS[name](*arguments)


def test_wrong_options_and_wrong_candidates():
    with pytest.raises(ValueError, match="p_norm is 3"):
        TransE(2, 1, 2, p_norm=3)
    with pytest.raises(ValueError, match="chunk_mb is 0"):
        DistMult(4, 1, 3, chunk_mb=0)
    with pytest.raises(ValueError, match="initial_std is 0"):
        ComplEx(4, 1, 3, initial_std=0)
    with pytest.raises(ValueError, match="margin must be above -2"):
        RotatE(4, 1, 3, margin=-2)
    with pytest.raises(ValueError, match="expected three blocks"):
        AutoSF(4, 1, 3, structure=[(0, 0, 4, 1)])
    with pytest.raises(ValueError, match="each block of heads and of tails"):
        AutoSF(4, 1, 3, structure=[(0, 0, 0, 1)])
    model, two = DistMult(4, 1, 3), torch.zeros(2, dtype=torch.long)
    for shape in ((2, 5, 4), (5, 4), (3,), (1, 2, 5, 3)):
        with pytest.raises(ValueError, match=r"expected \[K, d\] or \[B, K, d\]"):
            model.score_tails(two, two, torch.zeros(shape))
    with pytest.raises(ValueError, match="3 rows for 2 questions"):
        model.score_tails(two, two, torch.zeros(3, 5, 3))
    with pytest.raises(ValueError, match="3 rows for 2 questions"):
        model.score_heads(two, two, torch.zeros(3, 5, dtype=torch.long))


def test_a_standard_deviation_for_the_start():
    torch.manual_seed(0)
    model = ComplEx(400, 50, 20, initial_std=1e-3)
    for embedding in (model.node_emb, model.rel_emb):
        assert embedding.weight.detach().std().item() == pytest.approx(1e-3, rel=0.05)


def test_phases_start_all_over_the_circle():
    torch.manual_seed(0)
    model = RotatE(10, 400, 20)
    phase = model.phase(model.relation(torch.arange(400)).detach())
    assert -math.pi <= phase.min() < -3.1
    assert 3.1 < phase.max() <= math.pi
