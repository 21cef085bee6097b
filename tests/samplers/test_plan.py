"""A step is planned from ids alone; what follows has fixed shapes, asks the device for nothing, and compiles whole."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sampler_world import Toy, make_world, seeded
from torch._dynamo.testing import CompileCounter

from mmkg.samplers import KBGAN, MMRNS
from mmkg.samplers.mmrns.plan import padded_size
from mmkg.types import SIDES, Batch

CASES = [
    {},
    {"pool": "typed"},
    {"relaxation": "shared"},
    {"gate_layers": 2},
    {"contrast_positives": "pool", "contrast": "batch"},
    {"chunk_size": 7},
    {"missing": "zero"},
    {"tau": 0.5},
]


def build(world, **options):
    model, facts, _, image, text = world
    torch.manual_seed(11)
    defaults = {"num_negatives": 5, "pool_size": 20, "attention_dim": 4}
    widths = model.e.embedding_dim, model.r.embedding_dim
    return MMRNS(facts.num_nodes, *widths, image, text, **defaults | options).to(model.e.weight.dtype)


def whole_step(sampler, plan, model):
    """Ids and loss of a step."""
    negatives = sampler.sample(None, plan.side, model, None, plan=plan)
    scores = negatives.embeddings.sum(-1)  # [B, K]
    return negatives.ids, sampler.loss(negatives, scores, scores[:, 0]) + scores.sum()


def gradients(sampler, model, plan):
    """Ids, loss and gradients of a step under one seed."""
    sampler.zero_grad(), model.zero_grad()
    torch.manual_seed(5)
    ids, loss = whole_step(sampler, plan, model)
    loss.backward()
    return ids, loss.detach(), [p.grad.clone() for p in (*sampler.parameters(), *model.parameters())]


@pytest.mark.parametrize("options", CASES, ids=str)
@pytest.mark.parametrize("side", SIDES)
def test_nothing_of_a_step_is_asked_of_the_device(options, side):
    # tensors on "meta" have no values: whoever wants one, or a length that follows from them, gets an error; and so
    # does whoever mixes them with tensors of the host
    world = make_world()
    model, facts, batch, *_ = world
    sampler = build(world, **options)
    plan = sampler.plan(batch, side, facts).to("meta")
    sampler, model = sampler.to("meta"), Toy(40, 4, 6, 6).to("meta")
    assert all(f.values.is_meta for f in sampler.views.features.values())
    ids, loss = whole_step(sampler, plan, model)
    loss.backward()
    assert ids.shape == (13, 5)
    assert all(p.grad is not None and p.grad.is_meta for p in (*sampler.parameters(), *model.parameters()))


def test_a_plan_is_what_the_step_would_have_made():
    world = make_world()
    model, facts, batch, *_ = world
    sampler = build(world)
    whole = sampler.sample(batch, "tail", model, facts, seeded(3))
    generator = seeded(3)
    plan = sampler.plan(batch, "tail", facts, generator)
    assert torch.equal(sampler.sample(batch, "tail", model, facts, generator, plan=plan).ids, whole.ids)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), relations=st.sampled_from([1, 3, 12]), rows=st.sampled_from([1, 13, 40]))
def test_filling_up_changes_no_result(seed, relations, rows):
    world = make_world(relations=relations, triples=300, batch=rows, seed=seed)
    model, facts, batch, *_ = world
    found = []
    for static in (False, True):
        sampler = build(world, static_shapes=static)
        found.append(gradients(sampler, model, sampler.plan(batch, "tail", facts, seeded(seed))))
    (ids, loss, slopes), (other_ids, other_loss, other_slopes) = found
    assert torch.equal(ids, other_ids)
    assert torch.allclose(loss, other_loss, rtol=1e-12)
    for one, two in zip(slopes, other_slopes, strict=True):
        assert torch.allclose(one, two, rtol=1e-9, atol=1e-12)
    # a pool of the relations' own grows by entities that nobody may draw
    own = [build(world, pool="typed", static_shapes=s).plan(batch, "tail", facts, seeded(seed)) for s in (False, True)]
    assert own[1].pool.numel() in (facts.num_nodes, padded_size(own[0].pool.numel()))
    assert torch.equal(own[0].own.sum(1), own[1].own.sum(1))


@given(st.integers(1, 10**6))
def test_padded_sizes_are_few_and_not_much_larger(count):
    size = padded_size(count)
    assert count <= size <= max(count + 1, 1.5 * count)
    assert padded_size(size) == size
    assert bin(size).count("1") <= 2


def test_shapes_repeat_from_step_to_step_and_nothing_breaks_the_graph():
    world = make_world(entities=60, relations=12, triples=900, batch=40)
    model, facts, *_ = world

    def compiled_shapes(static):
        torch._dynamo.reset()
        sampler, counter = build(world, static_shapes=static), CompileCounter()
        step = torch.compile(
            lambda plan: whole_step(sampler, plan, model)[1], fullgraph=True, backend=counter, dynamic=False
        )
        for seed in range(3):
            g = seeded(seed)
            h, r, t = (torch.randint(n, (40,), generator=g) for n in (60, 12, 60))
            step(sampler.plan(Batch(h, r, t), "tail", facts, g))
        return counter.frame_count

    assert compiled_shapes(True) < compiled_shapes(False) == 3


@pytest.mark.parametrize("options", [{}, {"pool": "typed", "relaxation": "shared", "gate_layers": 2}], ids=str)
def test_compiled_without_a_break_it_gives_the_same(options):
    world = make_world()
    model, facts, batch, *_ = world
    sampler = build(world, **options)
    plan = sampler.plan(batch, "tail", facts, seeded(3))
    ids, loss, slopes = gradients(sampler, model, plan)
    torch._dynamo.reset()
    sampler.zero_grad(), model.zero_grad()
    step = torch.compile(lambda: whole_step(sampler, plan, model), fullgraph=True, backend="aot_eager")
    torch.manual_seed(5)
    compiled_ids, compiled_loss = step()
    compiled_loss.backward()
    assert torch.equal(compiled_ids, ids)
    assert torch.allclose(compiled_loss, loss, rtol=1e-10)
    for parameter, slope in zip((*sampler.parameters(), *model.parameters()), slopes, strict=True):
        assert torch.allclose(parameter.grad, slope, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("options", [None, {}, {"pool": "typed", "static_shapes": True}], ids=["kbgan", "", "typed"])
@pytest.mark.parametrize("side", SIDES)
def test_rows_get_what_they_get_in_the_whole_batch(options, side):
    world = make_world()
    model, facts, batch, *_ = world
    n, relations = facts.num_nodes, facts.num_relations
    sampler = KBGAN(n, 5, relations, candidates=8, dim=4).double() if options is None else build(world, **options)
    generators = [seeded(3) for _ in range(4)]
    whole = sampler.sample(batch, side, model, facts, generators[0])
    for generator, rows in zip(generators[1:], (slice(0, 1), slice(1, 9), slice(9, 13)), strict=True):
        mine = sampler.sample(batch, side, model, facts, generator, rows=rows)
        assert torch.equal(mine.ids, whole.ids[rows])
        assert torch.equal(mine.valid, whole.valid[rows])
        torch.testing.assert_close(mine.log_prob, whole.log_prob[rows])
        assert torch.equal(generator.get_state(), generators[0].get_state())
