"""The whole factored step against the straightforward form: values, draws and every gradient, in float64."""

import pytest
import torch
from sampler_world import Toy, make_features, make_world, relative, seeded

from mmkg.samplers import MMRNS, PUBLISHED
from mmkg.types import Batch

EXACT = 1e-10


def both(oracle, sampler, model, facts, batch, side, number=3):
    """(total, ids, valid, gradients) of ours and of the oracle."""
    results = []
    parameters = [*sampler.named_parameters(), *model.named_parameters()]
    for form in ("ours", "oracle"):
        sampler.zero_grad()
        model.zero_grad()
        generator = seeded(5)
        if form == "ours":
            negatives = sampler.sample(batch, side, model, facts, generator, number)
            scores = oracle.transe(batch, side, model, negatives.embeddings)
            total = oracle.objective(scores, negatives.valid)
            extra = sampler.loss(negatives, scores, torch.zeros(len(batch)))
            total = total if extra is None else total + extra
            ids, valid = negatives.ids, negatives.valid
        else:
            total, ids, valid = oracle.step(sampler, batch, side, model, facts, oracle.transe, generator, number)
        total.backward()
        gradients = {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in parameters}
        results.append((total.detach(), ids, valid, gradients))
    return results


def check(oracle, sampler, world, side="tail", number=3):
    model, facts, batch = world
    ours, expected = both(oracle, sampler.double(), model, facts, batch, side, number)
    assert relative(ours[0], expected[0]) < EXACT
    assert torch.equal(ours[2], expected[2])
    assert torch.equal(ours[1][ours[2]], expected[1][ours[2]])
    largest = max(float(g.abs().max()) for g in expected[3].values())
    assert largest > 0
    for name, gradient in expected[3].items():
        assert float((ours[3][name] - gradient).abs().max()) <= EXACT * max(
            float(gradient.abs().max()), 1e-3 * largest
        ), name
    return ours


def build(world, **options):
    model, _, _, image, text = world
    defaults = {"num_negatives": 5, "pool_size": 23, "attention_dim": 9, "gate_dim": 11, "beta": 1.0}
    n, d, d_r = model.e.num_embeddings, model.e.embedding_dim, model.r.embedding_dim
    return MMRNS(n, d, d_r, image, text, **{**defaults, **options})


@pytest.mark.parametrize("side", ["tail", "head"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"relaxation": "shared"},
        {"relaxation": "shared", "tau": 0.4, "num_negatives": 9},
        {"tau": 2.5},
        {"gumbel_gradient": "reverse"},
        {"gumbel_gradient": "none"},
        {"gate_layers": 2},
        {"missing": "naive"},
        {"missing": "zero"},
        {"contrast": "batch"},
        {"contrast_positives": "pool", "drawn_weight": "published"},
        {"detach_norms": True},
        {"positive_image_norm": False},
        PUBLISHED,
        {"max_positives": 0},
        {"max_positives": 2},
        {"chunk_size": 4},
        {"chunk_size": 22},
        {"pool_size": "all", "chunk_size": 7},
        {"use_image": False},
        {"use_text": False},
        {"use_structure": False},
        {"use_image": False, "use_text": False},
        {"use_guide": False},
        {"use_free": False},
        {"use_contrast": False},
        {"epsilon": 0.05, "epsilon_schedule": False},
    ],
    ids=lambda o: ",".join(f"{k}={v}" for k, v in o.items()) or "defaults",
)
def test_options(oracle, options, side):
    world = make_world()
    check(oracle, build(world, **options), world[:3], side)


@pytest.mark.parametrize(("regions", "sentences"), [(1, 1), (1, 4), (6, 1), (2, 7), (24, 4)])
def test_shapes_of_features(oracle, regions, sentences):
    world = make_world(regions=regions, sentences=sentences, seed=2)
    check(oracle, build(world), world[:3])


@pytest.mark.parametrize(("no_image", "no_text"), [(0.0, 0.0), (0.9, 0.0), (0.0, 0.9), (1.0, 0.3), (1.0, 1.0)])
def test_missing_modalities(oracle, no_image, no_text):
    world = make_world(no_image=no_image, no_text=no_text, seed=3)
    check(oracle, build(world), world[:3])


@pytest.mark.parametrize(("image", "text"), [(True, False), (False, True)])
def test_graphs_of_one_modality(oracle, image, text):
    model, facts, batch, images, texts = make_world(seed=4)
    world = (model, facts, batch, images if image else None, texts if text else None)
    check(oracle, build(world), world[:3])


@pytest.mark.parametrize("kind", ["one relation", "all different", "skewed", "one row"])
def test_relations_of_the_batch(oracle, kind):
    rows = 1 if kind == "one row" else 12
    model, facts, batch, image, text = make_world(relations=12, batch=rows, seed=6)
    relation = {
        "one relation": torch.full((rows,), 5),
        "all different": torch.arange(rows),
        "skewed": torch.tensor([3] * 9 + [1, 7, 3])[:rows],
        "one row": batch.relation,
    }[kind]
    batch = Batch(batch.head, relation, batch.tail)
    world = (model, facts, batch, image, text)
    check(oracle, build(world), world[:3])


def test_row_masks_hide_what_padding_holds(oracle):
    # padded rows may hold anything: only the mask says what is real
    world = make_world(seed=7)
    sampler = build(world).double()
    before = check(oracle, sampler, world[:3])
    for features in world[3:]:
        features.values[~features.mask] = 1e3
    after = check(oracle, sampler, world[:3])
    assert torch.equal(before[0], after[0])


def test_present_without_a_real_row_is_missing(oracle):
    world = make_world(seed=8)
    world[3].mask[:6] = False
    sampler = build(world)
    check(oracle, sampler, world[:3])
    emptied = torch.isin(world[3].row, torch.arange(6))
    assert not sampler.views.present("image", emptied.nonzero()[:, 0]).any()


def test_relation_and_entity_of_different_width(oracle):
    torch.manual_seed(9)
    world = make_world(seed=9)
    model = Toy(40, 4, 6, 5)
    sampler = MMRNS(40, 6, 5, *world[3:], num_negatives=4, pool_size=20, attention_dim=7).double()
    negatives = sampler.sample(world[2], "tail", model, world[1], seeded())
    assert negatives.embeddings.shape == (13, 4, 6)


def test_a_batch_of_many_regions_in_single_precision(oracle):
    # float32, as in training: agreement to rounding
    torch.manual_seed(10)
    model, facts, batch, _, _ = make_world(entities=60, seed=10)
    image, text = make_features(60, 24, 32), make_features(60, 4, 16)
    model = model.float()
    sampler = MMRNS(60, 6, 6, image, text, num_negatives=5, pool_size=40)
    ours, expected = both(oracle, sampler, model, facts, batch, "tail")
    assert relative(ours[0], expected[0]) < 1e-5
    for name, gradient in expected[3].items():
        assert relative(ours[3][name], gradient) < 2e-3 or float(gradient.abs().max()) < 1e-6, name


@pytest.mark.parametrize("numbers", [1, 100, 1000])
@pytest.mark.parametrize(
    "options", [{}, {"use_free": False}, {"gate_layers": 2}, {"missing": "zero", "detach_norms": True}]
)
def test_parts_of_any_size(oracle, monkeypatch, numbers, options):
    monkeypatch.setattr("mmkg.samplers.mmrns.parts.CACHE_NUMBERS", numbers)
    for relations in (1, 4, 13):  # blocks of one relation, of some and of many
        world = make_world(relations=relations)
        check(oracle, build(world, **options), world[:3])
