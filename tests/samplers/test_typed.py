"""Pools of the entities that the graph shows at a side of a relation, and memory as a setting."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sampler_world import make_world, relative, seeded

from mmkg.graph.facts import Facts
from mmkg.samplers import MMRNS
from mmkg.samplers.mmrns import memory
from mmkg.samplers.mmrns.distribution import log_mixture
from mmkg.samplers.mmrns.pool import members, typed_pool
from mmkg.types import SIDES, Batch


def build(world, **options):
    model, _, _, image, text = world
    torch.manual_seed(11)
    n, d, d_r = model.e.num_embeddings, model.e.embedding_dim, model.r.embedding_dim
    defaults = {"num_negatives": 5, "pool": "typed", "pool_size": 20, "attention_dim": 8}
    return MMRNS(n, d, d_r, image, text, **{**defaults, **options}).double()


def types(facts, batch, side):
    """For each relation the set of entities at that side, from the triples themselves."""
    ids = torch.arange(facts.num_nodes)
    found = {}
    for relation in batch.relation.unique().tolist():
        every = torch.full_like(ids, relation)
        pairs = (facts.known_heads if side == "head" else facts.known_tails)(
            *((every, ids) if side == "head" else (ids, every))
        )
        found[relation] = set(pairs[1].tolist())
    return found


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(3, 25),
    st.integers(1, 60),
    st.sampled_from(SIDES),
    st.sampled_from([1, 3, "all"]),
    st.sampled_from(["fresh", "shared"]),
)
def test_draws_are_of_the_relations_own(seed, entities, triples, side, size, relaxation):
    world = make_world(entities=entities, relations=3, triples=triples, batch=7, seed=seed)
    model, facts, batch, *_ = world
    sampler = build(world, num_negatives=3 if size == 3 else 1, pool_size=size, relaxation=relaxation)
    negatives = sampler.sample(batch, side, model, facts, seeded(seed))
    own = types(facts, batch, side)
    known = facts.mask(batch, side)
    for row, relation in enumerate(batch.relation.tolist()):
        drawn = negatives.ids[row][negatives.valid[row]].tolist()
        assert set(drawn) <= own[relation]
        assert len(set(drawn)) == len(drawn)
        assert not known[row, drawn].any()
        left = [e for e in own[relation] if not known[row, e]]
        if size == "all":
            assert len(drawn) == min(sampler.num_negatives, len(left))
    scores = (negatives.embeddings * model.entity(batch.anchor(side))[:, None]).sum(-1)
    (scores[negatives.valid].sum() + sampler.loss(negatives, scores, scores[:, 0])).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in [*sampler.parameters(), *model.parameters()])


def test_more_negatives_than_the_graph_shows():
    h, r, t = torch.tensor([0, 1, 2, 3]), torch.zeros(4, dtype=torch.long), torch.tensor([4, 4, 5, 5])
    world = make_world(entities=12, relations=1, triples=4, batch=4)
    world = (world[0], Facts(h, r, t, 12, 1), Batch(h, r, t), *world[3:])
    negatives = build(world, num_negatives=6).sample(world[2], "tail", *world[:2], seeded())
    assert negatives.valid.sum(1).tolist() == [1, 1, 1, 1]  # of two tails one is the answer
    assert negatives.ids[:, 0].tolist() == [5, 5, 4, 4]


def test_everything_seen_everywhere_is_the_pool_of_all():
    world = make_world(entities=30, relations=2, triples=6000)
    typed, whole = build(world, pool_size="all"), build(world, pool="random", pool_size="all")
    for side in SIDES:
        one, other = (s.sample(world[2], side, *world[:2], seeded()) for s in (typed, whole))
        assert torch.equal(one.ids, other.ids)
        assert torch.equal(one.cache.log_p, other.cache.log_p)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["corrected", "naive"]), st.floats(0.05, 3.0))
def test_a_rows_own_candidates_are_as_if_there_were_no_others(seed, rule, epsilon):
    generator = seeded(seed)
    sims = {m: torch.rand(4, 9, generator=generator).double() for m in "abc"}
    shared = {m: torch.rand(4, 9, generator=generator) < 0.6 for m in "abc"}
    inside = torch.rand(4, 9, generator=generator) < 0.5
    inside[0] = False
    log_p = log_mixture(sims, shared, epsilon, rule, inside)
    assert log_p[0].isfinite().all()
    for row in range(1, 4):
        own = inside[row]
        if own.any():
            alone = log_mixture(
                *({m: x[row : row + 1, own] for m, x in d.items()} for d in (sims, shared)), epsilon, rule
            )
            assert torch.allclose(log_p[row, own], alone[0])
            assert (log_p[row, ~own] == -torch.inf).all()


def test_the_size_caps_each_relation_and_everyone_gets_in():
    world = make_world(entities=40, relations=3, triples=150)
    relations, facts = torch.arange(3), world[1]
    counts = torch.zeros(3, 40)
    for seed in range(300):
        pool, member = typed_pool(relations, "tail", facts, 5, 1, seeded(seed))
        assert (member.sum(1) <= 5).all()
        assert torch.equal(pool, pool.unique())
        assert (member <= members(relations, "tail", facts, pool)).all()
        counts[:, pool] += member
    for relation in range(3):
        seen = facts.seen(torch.tensor([relation]), "tail")[1]
        rate = counts[relation, seen] / 300
        assert (rate - 5 / len(seen)).abs().max() < 0.13  # four standard deviations
        assert counts[relation].sum() == counts[relation, seen].sum()


@pytest.mark.parametrize("side", SIDES)
def test_the_most_probable_are_of_the_relations_own(side):
    world = make_world()
    model, facts, batch, *_ = world
    found = build(world).explain(batch, side, model, facts, k=8)
    own = types(facts, batch, side)
    for row, relation in enumerate(batch.relation.tolist()):
        assert set(found.ids[row][found.probability[row] > 0].tolist()) <= own[relation]
        assert found.probability[row].sum() <= 1 + 1e-9


@pytest.mark.parametrize("budget", [0.001, 1e6, "auto"])
def test_memory_changes_no_number_but_by_rounding(budget):
    world = make_world(entities=200)
    plain, sized = (build(world, pool="random", pool_size="all", memory_mb=m) for m in (None, budget))
    for parameter, same in zip(plain.parameters(), sized.parameters(), strict=True):
        same.data.copy_(parameter.data)
    results = []
    for sampler in (plain, sized):
        world[0].zero_grad()
        negatives = sampler.sample(world[2], "tail", *world[:2], seeded())
        scores = (negatives.embeddings * world[0].entity(world[2].head)[:, None]).sum(-1)
        (scores.sum() + sampler.loss(negatives, scores, scores[:, 0])).backward()
        gradients = torch.cat([p.grad.flatten() for p in [*sampler.parameters(), *world[0].parameters()]])
        results.append((negatives.ids, negatives.cache.log_p, gradients))
    assert torch.equal(results[0][0], results[1][0])
    assert relative(results[1][1], results[0][1]) < 1e-12
    assert relative(results[1][2], results[0][2]) < 1e-10


def test_chunks_follow_from_memory(monkeypatch):
    cpu = torch.device("cpu")
    assert memory.affordable(1.0, 1024, cpu) == 1024
    assert memory.affordable(0.001, 1024, cpu) == memory.LEAST
    monkeypatch.setattr(memory, "free_bytes", lambda device: 2**21)
    assert memory.affordable("auto", 1024, cpu) == 1024
    world = make_world()
    with pytest.raises(ValueError, match="both given"):
        build(world, chunk_size=5, memory_mb=1.0)
    with pytest.raises(ValueError, match="memory_mb"):
        build(world, memory_mb=0.0)
    with pytest.raises(ValueError, match="pool is 'near'"):
        build(world, pool="near")
