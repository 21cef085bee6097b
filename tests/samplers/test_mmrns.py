"""The MMRNS sampler as a whole: what it may draw, what teaches it, and what each option changes."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from sampler_world import Toy, make_features, make_world, relative, seeded
from torch_geometric.data import Data

from mmkg.graph.facts import Facts
from mmkg.samplers import MMRNS, PUBLISHED
from mmkg.types import Batch, Features


def build(world, **options):
    model, _, _, image, text = world
    defaults = {"num_negatives": 5, "pool_size": 20, "attention_dim": 8}
    torch.manual_seed(11)
    n, d, d_r = model.e.num_embeddings, model.e.embedding_dim, model.r.embedding_dim
    return MMRNS(n, d, d_r, image, text, **{**defaults, **options}).to(model.e.weight.dtype)


def run(sampler, world, side="tail", seed=0, step=0):
    model, facts, batch, *_ = world
    return sampler.sample(batch, side, model, facts, seeded(seed), step)


def scores_of(negatives, world, side="tail"):
    return (negatives.embeddings * world[0].entity(world[2].anchor(side))[:, None]).sum(-1)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(4, 14),
    st.integers(1, 80),
    st.sampled_from(["head", "tail"]),
    st.booleans(),
    st.sampled_from(["fresh", "shared"]),
)
def test_never_a_known_answer(seed, entities, triples, side, whole, relaxation):
    world = make_world(entities=entities, relations=2, triples=triples, batch=6, seed=seed)
    model, facts, batch, *_ = world
    sampler = build(world, num_negatives=4, pool_size="all" if whole else 5, relaxation=relaxation)
    negatives = run(sampler, world, side, seed, step=7)
    assert negatives.ids.shape == negatives.valid.shape == (len(batch), 4)
    assert ((negatives.ids >= 0) & (negatives.ids < entities)).all()
    assert not facts.mask(batch, side, negatives.ids)[negatives.valid].any()
    free = (~facts.mask(batch, side, negatives.cache.pool)).sum(1)
    assert torch.equal(negatives.valid.sum(1), free.clamp(max=4))
    for ids, valid in zip(negatives.ids, negatives.valid, strict=True):
        assert len(set(ids[valid].tolist())) == int(valid.sum())
        assert not valid[int(valid.sum()) :].any()  # valid draws come first
    scores = scores_of(negatives, world, side)
    (scores[negatives.valid].sum() + sampler.loss(negatives, scores, scores[:, 0])).backward()
    for parameter in [*sampler.parameters(), *model.parameters()]:
        assert parameter.grad is None or parameter.grad.isfinite().all()


@pytest.mark.parametrize("relaxation", ["fresh", "shared"])
def test_every_candidate_known(relaxation):
    everything = torch.cartesian_prod(torch.arange(6), torch.arange(1), torch.arange(6)).T
    facts = Facts(*everything, 6, 1)
    torch.manual_seed(0)
    batch = Batch(*everything[:, :4])
    world = (Toy(6, 1, 4, 4), facts, batch, make_features(6, 3, 5), make_features(6, 2, 5))
    sampler = build(world, num_negatives=3, pool_size="all", relaxation=relaxation)
    negatives = run(sampler, world)
    assert not negatives.valid.any()
    scores = scores_of(negatives, world)
    loss = sampler.loss(negatives, scores, scores[:, 0])
    assert loss.item() == 0
    (loss + scores.sum()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in sampler.parameters())
    assert world[0].e.weight.grad.isfinite().all()


@pytest.mark.parametrize("side", ["head", "tail"])
def test_same_seed_same_ids(side):
    world = make_world()
    sampler = build(world)
    state = torch.get_rng_state()
    draws = [run(sampler, world, side, seed) for seed in (3, 3, 4)]
    assert torch.equal(draws[0].ids, draws[1].ids)
    assert torch.equal(draws[0].log_prob, draws[1].log_prob)
    assert not torch.equal(draws[0].ids, draws[2].ids)
    assert torch.equal(torch.get_rng_state(), state)  # a given generator is the only source of chance


@pytest.mark.parametrize("side", ["head", "tail"])
def test_held_out_triples_change_nothing(side):
    world = make_world(triples=200)
    h, r, t = (torch.randint(n, (200,), generator=seeded(1)) for n in (40, 4, 40))
    train = torch.arange(200) < 150
    found = []
    for shift in (0, 1):
        tail = torch.where(train, t, (t + shift) % 40)  # other held-out triples
        data = Data(edge_index=torch.stack([h, tail]), edge_type=r, num_nodes=40, num_relations=4)
        data.train_mask, data.val_mask, data.test_mask = train, ~train, ~train
        batch = Batch(h[:9], r[:9], t[:9])
        found.append(run(build(world), (world[0], Facts.from_data(data), batch), side))
    assert torch.equal(found[0].ids, found[1].ids)
    assert torch.equal(found[0].cache.known, found[1].cache.known)


def test_chunks_change_nothing_but_memory():
    world = make_world(entities=70, triples=300, batch=30)
    results = []
    for chunk_size in (None, 1, 9, 64, 1000):
        sampler = build(world, pool_size=65, chunk_size=chunk_size)
        negatives = run(sampler, world, step=5)
        scores = scores_of(negatives, world)
        (scores.sum() + sampler.loss(negatives, scores, scores[:, 0])).backward()
        results.append((negatives.ids, [p.grad for p in sampler.parameters()]))
    for ids, gradients in results[1:]:
        assert torch.equal(ids, results[0][0])
        assert all(relative(a, b) < 1e-9 for a, b in zip(gradients, results[0][1], strict=True))


def test_features_on_disk(tmp_path):
    world = make_world(entities=70, triples=300, batch=30)
    expected = run(build(world, pool_size=65), world)
    on_disk = []
    for name, features in zip(("image", "text"), world[3:], strict=True):
        np.save(tmp_path / f"{name}.npy", features.values.numpy())
        on_disk.append(Features(np.load(tmp_path / f"{name}.npy", mmap_mode="r"), features.mask, features.row))
    sampler = build((*world[:3], *on_disk), pool_size=65, chunk_size=16)
    assert torch.equal(run(sampler, world).ids, expected.ids)
    # features are no part of the state; what is learned is, and no tensor twice
    save_file(sampler.state_dict(), tmp_path / "state.safetensors")
    assert (tmp_path / "state.safetensors").stat().st_size < 50_000
    other = copy.deepcopy(sampler)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    other.load_state_dict(load_file(tmp_path / "state.safetensors"))
    assert torch.equal(run(other, world, step=9).log_prob, run(sampler, world, step=9).log_prob)


def test_contrast_and_gumbel_each_teach_kca():
    world = make_world()

    def learned(use_contrast, gumbel_gradient):
        sampler = build(world, use_contrast=use_contrast, gumbel_gradient=gumbel_gradient)
        world[0].zero_grad()
        negatives = run(sampler, world)
        scores = scores_of(negatives, world)
        loss = sampler.loss(negatives, scores, scores[:, 0])
        assert (loss is None) == (not use_contrast)
        (scores.sum() + (0.0 if loss is None else loss)).backward()
        return {n: 0.0 if p.grad is None else float(p.grad.abs().sum()) for n, p in sampler.named_parameters()}

    assert set(learned(False, "none").values()) == {0.0}
    for how in ((True, "none"), (False, "descend"), (False, "reverse")):
        assert all(value > 0 for value in learned(*how).values()), how


def test_contrast_reaches_the_embeddings():
    world = make_world()
    sampler = build(world)
    negatives = run(sampler, world)
    sampler.loss(negatives, torch.zeros(negatives.ids.shape), torch.zeros(13)).backward()
    assert world[0].e.weight.grad.abs().sum() > 0
    assert world[0].r.weight.grad.abs().sum() > 0


def test_contrast_pulls_known_answers_closer():
    world = make_world(triples=400, batch=30)
    sampler = build(world, pool_size="all", beta=1.0, gumbel_gradient="none")
    optimizer = torch.optim.Adam(sampler.parameters(), lr=0.01)
    gaps = []
    for _ in range(30):
        negatives = run(sampler, world)
        seen = negatives.cache
        away = ~seen.known & seen.shared["text"]
        others = seen.answer_shared["text"][:, 1:]
        gap = seen.answer_similarities["text"][:, 1:][others].mean() - seen.similarities["text"][away].mean()
        gaps.append(gap.item())
        optimizer.zero_grad()
        sampler.loss(negatives, torch.zeros(negatives.ids.shape), torch.zeros(30)).backward()
        optimizer.step()
    assert gaps[-1] > gaps[0] + 0.05


@pytest.mark.parametrize("relaxation", ["fresh", "shared"])
@pytest.mark.parametrize("options", [{"epsilon": 0.01, "epsilon_schedule": False}, {"epsilon": 0.001}, {"alpha": 1e4}])
def test_cold_settings_stay_finite(options, relaxation):
    world = make_world()
    model = world[0]
    sampler = build((model.float(), *world[1:]), relaxation=relaxation, **options)
    with torch.no_grad():
        model.e.weight.mul_(30)
    negatives = run(sampler, world, step=1000)
    scores = scores_of(negatives, world)
    (scores.sum() + sampler.loss(negatives, scores, scores[:, 0])).backward()
    assert negatives.log_prob.isfinite().all()
    for parameter in [*sampler.parameters(), *model.parameters()]:
        assert parameter.grad.isfinite().all()


def test_ties_everywhere():
    # entities that are all alike: p is uniform, and draws are still different from one another
    world = make_world(no_image=1.0, no_text=1.0)
    with torch.no_grad():
        world[0].e.weight.copy_(world[0].e.weight[0].expand(40, -1))
    sampler = build(world, epsilon=0.01)
    negatives = run(sampler, world)
    assert torch.allclose(negatives.cache.log_p.exp(), torch.full((13, 20), 1 / 20).double())
    assert all(len(set(ids)) == 5 for ids in negatives.ids.tolist())


def test_lower_temperature_draws_harder_negatives():
    world = make_world(no_image=1.0, no_text=1.0, entities=60)

    def hardness(epsilon, step):
        sampler = build(world, epsilon=epsilon, pool_size=50)
        return sampler.describe(run(sampler, world, step=step)).structure.mean()

    assert hardness(0.1, 0) > hardness(10.0, 0) + 0.1
    assert hardness(0.5, 100_000) > hardness(0.5, 0) + 0.05  # ε falls with the steps


def test_mixed_precision_draws_the_same():
    world = make_world()
    model = world[0].float()
    sampler = build(world)
    expected = run(sampler, world, step=50)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        negatives = run(sampler, world, step=50)
        scores = scores_of(negatives, world)
        loss = sampler.loss(negatives, scores, scores[:, 0])
    assert torch.equal(negatives.ids, expected.ids)
    (loss + scores.sum()).backward()
    assert all(p.grad.isfinite().all() for p in [*sampler.parameters(), *model.parameters()])


@pytest.mark.parametrize(
    ("option", "without"),
    [
        ("use_image", ("kca.image.", "kca.image_in.", "kca.null_text")),
        ("use_text", ("kca.text.", "kca.text_in.", "kca.null_image")),
        ("use_structure", ("gate.",)),
        ("use_guide", ("kca.image.guide_in.", "kca.text.guide_in.")),
        ("use_free", ()),
        ("use_contrast", ()),
    ],
)
def test_each_switch_removes_what_it_names(option, without):
    world = make_world()
    full, less = build(world), build(world, **{option: False})
    names = {n for n, _ in full.views.named_parameters()}
    left = {n for n, _ in less.views.named_parameters()}
    if option in ("use_image", "use_text"):  # null rows guide in place of the modality, as in a graph without it
        assert not any(n.startswith(without[:2]) for n in left)
    else:
        assert left == {n for n in names if not n.startswith(without or ("-",))}
    removed = {"use_image": "image", "use_text": "text", "use_structure": "structure"}.get(option)
    assert set(full.views.names) - set(less.views.names) == ({removed} if removed else set())
    less.load_state_dict(full.state_dict() | less.state_dict(), strict=False)
    for name in left & names:  # the same weights, so that the switch alone makes the difference
        theirs = full.views.get_parameter(name)
        if theirs.shape == less.views.get_parameter(name).shape:
            less.views.get_parameter(name).data.copy_(theirs.data)
    one, other = run(full, world), run(less, world)
    if option == "use_contrast":
        assert torch.equal(one.ids, other.ids)
        assert less.loss(other, torch.zeros(13, 5), torch.zeros(13)) is None
    else:
        assert relative(other.cache.log_p, one.cache.log_p) > 1e-4


def test_the_relation_matters_unless_it_is_switched_off():
    world = make_world(no_image=0.0, no_text=0.0)
    model, facts, batch, *_ = world
    other = (model, facts, Batch(batch.head, (batch.relation + 1) % 4, batch.tail))
    for use_guide in (True, False):
        sampler = build(world, use_guide=use_guide, pool_size="all")
        one, two = (run(sampler, w).cache.similarities for w in (world, other))
        for name in ("image", "text"):
            assert torch.allclose(one[name], two[name]) == (not use_guide)
        assert not torch.allclose(one["structure"], two["structure"])


def test_missing_rules():
    world = make_world(no_image=0.8)
    found = {rule: run(build(world, missing=rule, pool_size="all"), world) for rule in ("corrected", "naive", "zero")}
    pictured = found["corrected"].cache.shared["image"]
    mass = {rule: (n.cache.log_p.exp() * pictured).sum(1)[pictured.any(1)].mean() for rule, n in found.items()}
    assert mass["naive"] > 1.5 * mass["corrected"]
    assert found["zero"].cache.shared["image"].all()


def test_explanation():
    world = make_world(no_text=0.5)
    model, facts, batch, _, text = world
    sampler = build(world, epsilon=0.5)
    for pool in (None, torch.arange(5, 30)):
        candidates = torch.arange(40) if pool is None else pool
        explanation = sampler.explain(batch, "tail", model, facts, step=3, k=12, pool=pool)
        seen = sampler.see(sampler.plan(batch, "tail", facts, pool=candidates), model, step=3)
        p = seen.log_p.exp() * ~seen.known
        p = p / p.sum(1, keepdim=True)
        expected = p.topk(12, dim=1)
        assert torch.equal(explanation.ids, candidates[expected.indices])
        assert torch.allclose(explanation.probability, expected.values)
        assert not facts.mask(batch, "tail", explanation.ids).any()
        has = text.present[explanation.ids] & text.present[batch.tail][:, None]
        assert torch.equal(explanation.text.isnan(), ~has)
        assert not explanation.structure.isnan().any()
        assert not explanation.probability.requires_grad
    with pytest.raises(ValueError, match="k is 41"):
        sampler.explain(batch, "tail", model, facts, k=41)


def test_explanation_where_little_is_left():
    everything = torch.cartesian_prod(torch.arange(6), torch.arange(1), torch.arange(4)).T  # answers 4 and 5 are free
    world = (Toy(6, 1, 4, 4), Facts(*everything, 6, 1), Batch(*everything[:, :4]), None, None)
    explanation = build(world, num_negatives=2, pool_size="all").explain(world[2], "tail", *world[:2], k=3)
    assert set(explanation.ids[:, :2].flatten().tolist()) == {4, 5}
    assert (explanation.probability[:, 2] == 0).all()
    assert torch.allclose(explanation.probability.sum(1), torch.ones(4).double())
    assert explanation.structure[:, 2].isnan().all()
    assert explanation.image.isnan().all()


def test_description_of_a_draw():
    world = make_world()
    sampler = build(world)
    negatives = run(sampler, world)
    described = sampler.describe(negatives)
    assert torch.equal(described.ids, negatives.ids)
    # the first draw's conditional probability is its probability
    assert torch.allclose(described.probability[:, 0].log(), negatives.log_prob[:, 0])


def test_the_model_is_not_owned_twice():
    world = make_world()
    sampler = build(world)
    before = {n for n, _ in sampler.named_parameters()}
    run(sampler, world)
    assert {n for n, _ in sampler.named_parameters()} == before
    assert not any(m is world[0] for m in sampler.modules())


def test_sampling_without_gradient():
    world = make_world()
    sampler = build(world, chunk_size=6)
    with torch.no_grad():
        negatives = run(sampler, world)
    assert not negatives.embeddings.requires_grad
    assert torch.equal(negatives.ids, run(sampler, world).ids)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_negatives": 41}, "41 negatives"),
        ({"num_negatives": 21}, "21 negatives from a pool of 20"),
        ({"num_negatives": 0}, "num_negatives is 0"),
        ({"pool_size": 0}, "pool_size is 0"),
        ({"epsilon": 0.0}, "epsilon is 0"),
        ({"epsilon": float("nan")}, "epsilon is nan"),
        ({"tau": -1.0}, "tau is -1"),
        ({"chunk_size": 0}, "chunk_size is 0"),
        ({"max_positives": -1}, "max_positives is -1"),
        ({"gate_layers": 3}, "gate_layers is 3"),
        ({"relaxation": "soft"}, "relaxation is 'soft', choose from fresh, shared"),
        ({"gumbel_gradient": "up"}, "gumbel_gradient is 'up'"),
        ({"contrast": "column"}, "contrast is 'column'"),
        ({"contrast_positives": "all"}, "contrast_positives is 'all'"),
        ({"drawn_weight": "none"}, "drawn_weight is 'none'"),
        ({"missing": "drop"}, "missing is 'drop'"),
        ({"use_image": False, "use_text": False, "use_structure": False}, "no modality is left"),
        ({"use_guide": False, "use_free": False}, "both off"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        build(make_world(), **options)


def test_features_of_another_graph():
    world = make_world()
    with pytest.raises(ValueError, match="text features of 39 entities, expected 40"):
        build((*world[:4], make_features(39, 2, 3)))


def test_wrong_calls():
    world = make_world()
    model, facts, batch, *_ = world
    sampler = build(world)
    with pytest.raises(ValueError, match="side 'both'"):
        sampler.sample(batch, "both", model, facts)
    with pytest.raises(ValueError, match="facts of 41 entities"):
        sampler.sample(batch, "tail", model, Facts(batch.head, batch.relation, batch.tail, 41, 4))
    with pytest.raises(ValueError, match="model's entities are 5 wide, the sampler expects 6"):
        sampler.sample(batch, "tail", Toy(40, 4, 5, 6), facts)
    with pytest.raises(ValueError, match="model's relations are 7 wide, the sampler expects 6"):
        sampler.sample(batch, "tail", Toy(40, 4, 6, 7), facts)


def test_published_options_are_options():
    world = make_world()
    sampler = build(world, **PUBLISHED)
    negatives = run(sampler, world)
    scores = scores_of(negatives, world)
    assert sampler.loss(negatives, scores, scores[:, 0]).isfinite()
