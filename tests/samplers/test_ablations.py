"""Each ablation switch changes what it names and nothing else."""

import pytest
import torch
from sampler_world import make_world, seeded

from mmkg.samplers import MMRNS
from mmkg.samplers.mmrns.distribution import temperature


def build(world, **options):
    """A sampler whose parameters have the same values whatever the switches."""
    model, facts, _, image, text = world
    image, text = options.pop("image", image), options.pop("text", text)
    defaults = {"num_negatives": 5, "pool_size": 20, "attention_dim": 4, "epsilon": 0.3}
    widths = model.e.embedding_dim, model.r.embedding_dim
    sampler = MMRNS(facts.num_nodes, *widths, image, text, **defaults | options).double()
    for name, parameter in sampler.named_parameters():
        generator = seeded(sum(map(ord, name)))
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / 2)
    return sampler


def look(sampler, world, step=0):
    """What a step saw and drew, its loss, and the gradients of the loss and of the draw apart."""
    model, facts, batch, *_ = world
    negatives = sampler.sample(batch, "tail", model, facts, seeded(7), step)
    scores = negatives.embeddings.square().sum(-1)  # [B, K]
    loss = sampler.loss(negatives, scores, scores[:, 0])
    wanted = dict(sampler.named_parameters()) | {"entities": model.e.weight}

    def slopes(of):
        if of is None:
            return {name: torch.zeros_like(p) for name, p in wanted.items()}
        found = torch.autograd.grad(of, list(wanted.values()), retain_graph=True, allow_unused=True)
        return {n: torch.zeros_like(p) if g is None else g for (n, p), g in zip(wanted.items(), found, strict=True)}

    return negatives, loss, slopes(loss), slopes(scores.sum())


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture
def world():
    return make_world(seed=3)


def test_without_structure_pictures_and_texts_compare_as_before(world):
    full, _, _, _ = look(build(world), world)
    less, _, _, _ = look(build(world, use_structure=False), world)
    assert set(full.cache.similarities) - set(less.cache.similarities) == {"structure"}
    for name in ("image", "text"):
        assert torch.equal(full.cache.similarities[name], less.cache.similarities[name])
        assert torch.equal(full.cache.answer_similarities[name], less.cache.answer_similarities[name])
    assert not torch.allclose(full.cache.log_p, less.cache.log_p)


@pytest.mark.parametrize("modality", ["image", "text"])
def test_without_a_modality_the_graph_is_one_that_lacks_it(world, modality):
    full, _, _, _ = look(build(world), world)
    less, loss, _, _ = look(build(world, **{f"use_{modality}": False}), world)
    bare, bare_loss, _, _ = look(build(world, **{modality: None}), world)
    assert set(full.cache.similarities) - set(less.cache.similarities) == {modality}
    assert torch.equal(full.cache.similarities["structure"], less.cache.similarities["structure"])
    assert same(less.cache.similarities, bare.cache.similarities)
    assert torch.equal(less.ids, bare.ids)
    assert torch.equal(loss, bare_loss)


@pytest.mark.parametrize("half", ["guide", "free"])
def test_without_a_half_of_kca_structure_stays(world, half):
    full, _, _, _ = look(build(world), world)
    less, _, _, _ = look(build(world, **{f"use_{half}": False}), world)
    assert full.cache.similarities.keys() == less.cache.similarities.keys()
    assert torch.equal(full.cache.similarities["structure"], less.cache.similarities["structure"])
    for name in ("image", "text"):
        assert not torch.allclose(full.cache.similarities[name], less.cache.similarities[name])
        assert torch.equal(full.cache.shared[name], less.cache.shared[name])


def test_the_two_halves_of_kca_add_up(world):
    # each half alone, without the bias that both would add, is what the other switch leaves
    _, _, batch, *_ = world
    model, facts, *_ = world
    views = {}
    for name, options in {"both": {}, "free": {"use_guide": False}, "guide": {"use_free": False}}.items():
        sampler = build(world, **options)
        plan = sampler.plan(batch, "tail", facts, seeded(7))
        stored = (sampler.views.stored(m, plan.pool) for m in ("image", "text"))
        found = sampler.views.kca.pool(sampler.views.kca.encode(*stored), model.relation(plan.relations, "tail"))
        biases = {m: getattr(sampler.views.kca, m).project.bias for m in found}
        views[name] = {m: v - biases[m] for m, v in found.items()}  # [P, U, a] or [P, 1, a]
    for m in ("image", "text"):
        assert torch.allclose(views["both"][m], views["free"][m] + views["guide"][m])


def test_without_the_contrast_draws_and_their_gradient_stay(world):
    full, loss, taught, drawn = look(build(world), world)
    less, none, untaught, same_drawn = look(build(world, use_contrast=False), world)
    assert loss is not None
    assert none is None
    assert any(slope.any() for slope in taught.values())
    assert not any(slope.any() for slope in untaught.values())
    assert torch.equal(full.ids, less.ids)
    # with fewer pairs to compute, products sum in another order
    assert torch.allclose(full.cache.log_p, less.cache.log_p, rtol=1e-12)
    assert torch.allclose(full.log_prob, less.log_prob, rtol=1e-12)
    for name, slope in drawn.items():
        assert torch.allclose(slope, same_drawn[name], rtol=1e-9, atol=1e-13), name


@pytest.mark.parametrize("relaxation", ["fresh", "shared"])
def test_the_gumbel_gradient_changes_the_draws_gradient_alone(world, relaxation):
    options = ("descend", "reverse", "none")
    found = {o: look(build(world, gumbel_gradient=o, relaxation=relaxation), world) for o in options}
    down = found["descend"]
    for option in ("reverse", "none"):
        other = found[option]
        assert torch.equal(down[0].ids, other[0].ids)
        assert torch.equal(down[0].embeddings, other[0].embeddings)
        assert torch.equal(down[1], other[1])
        assert same(down[2], other[2])
    for name in down[3].keys() - {"entities"}:
        assert down[3][name].any(), name
        assert torch.allclose(found["reverse"][3][name], -down[3][name], rtol=1e-9, atol=1e-15)
        assert not found["none"][3][name].any()
    # into the drawn embeddings themselves the gradient flows under all three, the same
    middle = (down[3]["entities"] + found["reverse"][3]["entities"]) / 2
    assert torch.allclose(middle, found["none"][3]["entities"])
    assert middle.any()


def test_the_schedule_changes_the_temperature_alone(world):
    for step in (0, 100):
        falls, _, _, _ = look(build(world), world, step)
        stays, _, _, _ = look(build(world, epsilon_schedule=False), world, step)
        there, _, _, _ = look(build(world, epsilon=temperature(0.3, step), epsilon_schedule=False), world, step)
        assert same(falls.cache.similarities, stays.cache.similarities)
        assert torch.equal(falls.cache.log_p, there.cache.log_p)
        assert torch.equal(falls.cache.log_p, stays.cache.log_p) == (step == 0)
