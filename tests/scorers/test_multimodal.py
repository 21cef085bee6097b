"""Fused entities: as computed by hand, missing modalities included; everything else goes on as before."""

import numpy as np
import pytest
import torch

from mmkg.evaluation import rank
from mmkg.graph import Facts
from mmkg.samplers import UniformSampler
from mmkg.scorers import FUSIONS, SCORERS, ComplEx, DistMult, fuse, pooling
from mmkg.training import OneVsAll
from mmkg.types import Batch, Features

N, R, D = 23, 3, 4
ROUNDED = {"rtol": 1e-5, "atol": 1e-5}  # means are taken in float32


@pytest.fixture(autouse=True)
def small_reads(monkeypatch):
    monkeypatch.setattr(pooling, "ENTITIES_AT_ONCE", 5)  # fewer than there are entities


def features(rows=3, width=5, missing=0.3, seed=0):
    """Features with padded rows, missing entities, and one that is listed but has no real row."""
    g = torch.Generator().manual_seed(seed)
    present = torch.rand(N, generator=g) >= missing
    present[0], present[1] = True, False
    row = torch.where(present, present.cumsum(0) - 1, -1)
    mask = torch.rand(int(present.sum()), rows, generator=g) < 0.7
    mask[:, 0] = True
    mask[0] = False  # of entity 0
    values = torch.randn(len(mask), rows, width, generator=g)
    values[~mask] = float("nan")  # padding may hold anything
    return Features(values, mask, row)


def model_of(name="complex", fusion="linear", randomise=True, **options):
    torch.manual_seed(0)
    both = {"text": features(), "image": features(rows=2, width=7, missing=0.6, seed=1)}
    model = fuse(SCORERS[name](N, R, D), both, fusion=fusion, **options).double()
    if randomise:
        with torch.no_grad():
            for parameter in model.node_emb.parameters():
                parameter.normal_()
    return model, both


def by_hand(model, both, fusion, attention):
    """Fused embeddings ``[N, d]``, entity by entity in numpy."""
    table = model.node_emb
    parameters = {k: v.detach().numpy() for k, v in table.named_parameters()}
    rows = []
    for e in range(N):
        s = parameters["weight"][e]
        parts, total = [s], s.copy()
        for m, f in both.items():
            there = int(f.row[e]) >= 0 and bool(f.mask[f.row[e]].any())
            if there:
                x = f.values[f.row[e]][f.mask[f.row[e]]].double().numpy()  # [r, D]
                weight = np.ones(len(x))
                if attention:
                    weight = np.exp(x @ parameters[f"pooling.{m}.weight"])
                x = (weight[:, None] * x).sum(0) / weight.sum()
            map_weight = parameters[f"fusion.maps.{m}.weight"]
            if fusion == "gated" and there:
                parts.append(map_weight @ x + parameters[f"fusion.maps.{m}.bias"])
            elif fusion != "gated" and there:
                total += map_weight @ x
            elif fusion == "back_fill":
                total += parameters[f"fusion.fill.{m}.weight"] @ s + parameters[f"fusion.fill.{m}.bias"]
        if fusion == "gated":
            gate = np.exp([np.tanh(p) @ parameters["fusion.gate"] for p in parts])
            total = sum(g * p for g, p in zip(gate / gate.sum(), parts, strict=True))
        rows.append(total)
    return torch.from_numpy(np.array(rows))


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_fused_embeddings_are_those_computed_by_hand(fusion, attention):
    model, both = model_of(fusion=fusion, attention=attention)
    expected = by_hand(model, both, fusion, attention)
    torch.testing.assert_close(model.entity_table().detach(), expected, **ROUNDED)
    ids = torch.tensor([[3, 3, 0], [22, 1, 3]])
    torch.testing.assert_close(model.entity(ids).detach(), expected[ids], **ROUNDED)
    assert model.entity(ids[:0]).shape == (0, 3, 2 * D)


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_parameter_learns(fusion, attention):
    model, _ = model_of(fusion=fusion, attention=attention)
    h, r, t = torch.tensor([0, 1, 5]), torch.tensor([0, 1, 2]), torch.tensor([3, 4, 6])
    OneVsAll()(model.score_tails(h, r), t).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    fresh, _ = model_of(fusion=fusion, attention=attention, randomise=False)  # from the start that a user gets, too
    OneVsAll()(fresh.score_tails(h, r), t).backward()
    assert all(layer.weight.grad.any() for layer in fresh.node_emb.fusion.maps.values())


@pytest.mark.parametrize("name", SCORERS)
def test_all_ways_of_scoring_see_fused_entities(name):
    model, _ = model_of(name)
    plain = SCORERS[name](N, R, D).double()
    with torch.no_grad():
        plain.load_state_dict({k: v for k, v in model.state_dict().items() if k in plain.state_dict()})
        plain.node_emb.weight.copy_(model.entity_table())
    plain.eval(), model.eval()
    h, r, t = torch.tensor([0, 1, 5, 9]), torch.tensor([0, 1, 2, 0]), torch.tensor([3, 4, 6, 9])
    own = torch.randint(N, (4, 6))
    torch.testing.assert_close(model(h, r, t), plain(h, r, t))
    torch.testing.assert_close(model.score_tails(h, r), plain.score_tails(h, r))
    torch.testing.assert_close(model.score_heads(r, t, own), plain.score_heads(r, t, own))
    torch.testing.assert_close(model.score_tails(h, r, own[0]), plain.score_tails(h, r, own[0]))
    triples = torch.stack([h, r, t], 1)
    facts = Facts(h, r, t, N, R)
    assert torch.equal(rank(model, triples, facts).optimistic, rank(plain, triples, facts).optimistic)


def test_the_table_is_fused_once_for_a_step_and_once_for_an_evaluation(monkeypatch):
    model, _ = model_of()
    sizes = []
    forward = type(model.node_emb.fusion).forward

    def counted(self, structure, *rest):
        sizes.append(len(structure))
        return forward(self, structure, *rest)

    monkeypatch.setattr(type(model.node_emb.fusion), "forward", counted)
    h, r, t = torch.tensor([0, 1, 5, 0]), torch.tensor([0, 1, 2, 2]), torch.tensor([3, 4, 6, 8])
    model.score_tails(h, r)
    assert sizes == [N]
    sizes.clear()
    rank(model, torch.stack([h, r, t], 1), Facts(h, r, t, N, R), memory_mb=1e-4)  # one question at a time
    assert sizes.count(N) == 1


def test_a_sampler_works_on_fused_entities():
    model, _ = model_of("rotate")
    h, r, t = torch.tensor([0, 1]), torch.tensor([0, 1]), torch.tensor([3, 4])
    drawn = UniformSampler(N, 5).sample(Batch(h, r, t), "tail", model, Facts(h, r, t, N, R))
    model.score_tails(h, r, drawn.candidates).sum().backward()
    assert model.node_emb.fusion.maps["text"].weight.grad.any()


@pytest.mark.parametrize("fusion", ["linear", "gated"])
def test_what_is_missing_says_nothing(fusion):
    model, both = model_of(fusion=fusion)
    before = model.entity_table().detach()
    with torch.no_grad():
        for layer in model.node_emb.fusion.maps.values():
            layer.weight.mul_(3)
    moved = (model.entity_table() != before).any(1)
    has = torch.stack([(f.row >= 0) & (torch.arange(N) > 0) for f in both.values()]).any(0)  # entity 0: no real row
    assert torch.equal(moved, has)
    torch.testing.assert_close(before[~has], model.node_emb.weight.detach()[~has])


def test_a_linear_map_starts_at_nothing():
    torch.manual_seed(0)
    model = ComplEx(N, R, D)
    table = model.node_emb.weight.detach().clone()
    for fusion in ("linear", "back_fill"):
        assert torch.equal(fuse(model, {"text": features()}, fusion=fusion).entity_table().detach(), table)


def test_names_and_descriptions_added_to_complex_in_one_line():
    names, descriptions = features(rows=1, missing=0), features(rows=4)
    model = fuse(ComplEx(N, R, D, reciprocal=True), {"name": names, "description": descriptions})
    assert type(model) is ComplEx
    assert [layer.in_features for layer in model.node_emb.fusion.maps.values()] == [5, 5]


@pytest.mark.parametrize("options", [{}, {"scale": "channels"}, {"scale": "length"}, {"attention": True}])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_saved_state_holds_no_features_and_restores_everything(fusion, options):
    model, _ = model_of(fusion=fusion, **options)
    state = model.state_dict()
    assert "node_emb.weight" in state  # where a warm start looks for it
    assert not [k for k, v in state.items() if "pooling" in k and v.dim() > 1]
    other, _ = model_of(fusion=fusion, **options)
    other.load_state_dict(state)
    torch.testing.assert_close(other.entity_table(), model.entity_table())


@pytest.mark.parametrize("options", [{}, {"scale": "channels"}, {"scale": "length"}, {"attention": True}])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_an_unseen_entity_is_encoded_as_a_seen_one(fusion, options):
    model, both = model_of(fusion=fusion, **options)
    ids = torch.arange(N)
    given = {m: f.gather(ids) for m, f in both.items()}
    found = model.node_emb.encode(given, model.node_emb.weight)
    torch.testing.assert_close(found, model.entity_table(), **ROUNDED)
    alone = model.node_emb.encode({"image": given["image"]})
    assert alone.shape == (N, 2 * D)
    assert torch.isfinite(alone).all()
    mean = model.node_emb.weight.mean(0).expand(N, -1)
    torch.testing.assert_close(model.node_emb.encode({"image": given["image"]}, mean), alone)
    scores = model.score_tails(ids[:2], ids[:2] % R, found[None].expand(2, -1, -1))
    torch.testing.assert_close(scores, model.score_tails(ids[:2], ids[:2] % R), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match=r"modalities \['sound'\]: this model knows text, image"):
        model.node_emb.encode({"sound": given["image"]})
    with pytest.raises(ValueError, match="this model knows"):
        model.node_emb.encode({})


def test_standardised_channels_and_dead_ones():
    f = features(missing=0.2)
    f.values[:, :, 2] = 3.25  # a channel that never changes
    table = fuse(DistMult(N, R, D), {"text": f}, scale="channels").node_emb.pooling["text"]
    seen = table.pooled[table.present]
    torch.testing.assert_close(seen.mean(0), torch.zeros(5), atol=1e-6, rtol=0)
    deviation = seen.std(0, correction=0)
    torch.testing.assert_close(deviation, torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0]))
    assert not table.pooled[~table.present].any()


def test_length_keeps_directions_and_makes_lengths_about_one():
    f = features(missing=0.2)
    plain, scaled = (
        fuse(DistMult(N, R, D), {"text": f}, scale=scale).node_emb.pooling["text"] for scale in (None, "length")
    )
    assert scaled.pooled[scaled.present].square().sum(1).mean().item() == pytest.approx(1.0, rel=1e-5)
    ratio = plain.pooled[plain.present] / scaled.pooled[plain.present]
    torch.testing.assert_close(ratio, ratio[:1, :1].expand_as(ratio))  # one number for all


def test_features_from_disk_in_half_precision(tmp_path):
    f = features(missing=0.2)
    np.save(tmp_path / "x.npy", f.values.numpy().astype(np.float16))
    mapped = Features(np.load(tmp_path / "x.npy", mmap_mode="r"), f.mask, f.row)
    here = Features(f.values.half(), f.mask, f.row)
    for options in ({}, {"attention": True}):
        one, other = (fuse(DistMult(N, R, D), {"text": x}, **options) for x in (mapped, here))
        other.load_state_dict(one.state_dict())
        assert torch.equal(one.entity_table(), other.entity_table())


def test_no_entity_has_the_modality():
    f = Features(torch.zeros(0, 2, 5), torch.zeros(0, 2, dtype=torch.bool), torch.full((N,), -1))
    for fusion in FUSIONS:
        for options in ({}, {"attention": True}, {"scale": "channels"}, {"scale": "length"}):
            table = fuse(DistMult(N, R, D), {"text": f}, fusion=fusion, **options).entity_table()
            assert torch.isfinite(table).all()


def test_wrong_options():
    with pytest.raises(ValueError, match="no features"):
        fuse(DistMult(N, R, D), {})
    with pytest.raises(TypeError, match=r"text features are a NoneType: give dataset.features\('text'\)"):
        fuse(DistMult(N, R, D), {"text": None})
    with pytest.raises(ValueError, match="fusion 'sum': choose one of linear"):
        fuse(DistMult(N, R, D), {"text": features()}, fusion="sum")
    with pytest.raises(ValueError, match="text features of 23 entities, expected 24"):
        fuse(DistMult(N + 1, R, D), {"text": features()})
    with pytest.raises(ValueError, match="scale 'width': choose one of None, channels, length"):
        fuse(DistMult(N, R, D), {"text": features()}, scale="width")
    with pytest.raises(ValueError, match="is for means"):
        fuse(DistMult(N, R, D), {"text": features()}, attention=True, scale="channels")
