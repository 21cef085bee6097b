"""Negatives from the neighbourhood, against networkx and against enumeration."""

import networkx as nx
import pytest
import torch
from sampler_world import counts_p_value, law_p_value, make_world, seeded

from mmkg.graph.facts import Facts
from mmkg.samplers import SANS
from mmkg.samplers.neighbourhoods import Neighbourhoods
from mmkg.types import SIDES, Batch


def sparse_world(seed=0):
    """25 entities, few enough triples for neighbourhoods to differ, and a loop."""
    _, facts, batch, *_ = make_world(entities=25, triples=22, seed=seed)
    h, r, t = facts.triples()
    loop = torch.tensor([3])
    facts = Facts(torch.cat([h, loop]), torch.cat([r, loop]), torch.cat([t, loop]), 25, 4)
    h, r, t = facts.triples()
    graph = nx.Graph()
    graph.add_nodes_from(range(25))
    graph.add_edges_from(zip(h.tolist(), t.tolist(), strict=True))
    return facts, batch, graph


@pytest.mark.parametrize("hops", [1, 2, 3])
@pytest.mark.parametrize("keep_mb", [0.0, 1.0])
def test_neighbourhoods_are_those_of_networkx(hops, keep_mb, monkeypatch):
    monkeypatch.setattr("mmkg.samplers.neighbourhoods.COLUMNS", 4)
    facts, _, graph = sparse_world()
    near = Neighbourhoods(facts, hops, keep_mb)
    assert (near.kept is None) == (keep_mb == 0)
    for anchors in (torch.tensor([5, 3, 0]), torch.arange(25), torch.tensor([3])):
        found = near.within(anchors)
        for row, anchor in enumerate(anchors.tolist()):
            distance = nx.single_source_shortest_path_length(graph, anchor, cutoff=hops)
            assert found[row].nonzero().flatten().tolist() == sorted(set(distance) - {anchor})


@pytest.mark.parametrize("side", SIDES)
def test_law_of_whole_neighbourhoods(side):
    facts, batch, graph = sparse_world()
    sampler = SANS(25, 10_000, fallback="none")
    drawn = sampler.sample(batch, side, None, facts, seeded(1))
    known, seen = facts.mask(batch, side), set()
    for row, anchor in enumerate(batch.anchor(side).tolist()):
        near = set(nx.single_source_shortest_path_length(graph, anchor, cutoff=2)) - {anchor}
        weight = torch.zeros(25)
        weight[list(near)] = 1
        weight[known[row]] = 0
        seen.add(min(2, int(weight.sum())))
        assert bool(drawn.valid[row].all()) == bool(drawn.valid[row].any()) == bool(weight.any())
        if weight.sum() > 1:
            assert law_p_value(drawn.ids[row], weight) > 0.001  # of about ten rows
        if weight.any():
            assert (weight[drawn.ids[row]] == 1).all()
            assert drawn.log_prob[row].exp().allclose(1 / weight.sum())
    assert 2 in seen


def law_of_two_steps(graph, anchor, known):
    """Probability of each entity, and of none (last), under one walk of two steps and a draw from what it met."""
    law = torch.zeros(26)
    for first in graph.neighbors(anchor):
        for second in graph.neighbors(first):
            chance = 1 / (graph.degree(anchor) * graph.degree(first))
            met = {first, second} - {anchor} - known
            for entity in met:
                law[entity] += chance / len(met)
            if not met:
                law[25] += chance
    return law


@pytest.mark.parametrize("side", SIDES)
def test_law_of_random_walks(side):
    facts, batch, graph = sparse_world(1)
    graph.remove_edges_from(list(nx.selfloop_edges(graph)))
    sampler, generator = SANS(25, 1, hops=2, walks=1, fallback="none"), seeded(3)
    found, rows = torch.zeros(len(batch), 26), torch.arange(len(batch))
    for _ in range(1500):
        drawn = sampler.sample(batch, side, None, facts, generator)
        found[rows, torch.where(drawn.valid, drawn.ids, 25)[:, 0]] += 1
    mask = facts.mask(batch, side)
    law = torch.stack(
        [
            law_of_two_steps(graph, anchor, set(mask[row].nonzero().flatten().tolist()))
            for row, anchor in enumerate(batch.anchor(side).tolist())
        ]
    )
    assert counts_p_value(found, law) > 0.01


def test_many_walks_meet_the_whole_neighbourhood():
    facts, *_ = sparse_world()
    near = Neighbourhoods(facts, 2)
    place, ids = near.walked(torch.arange(25), 3000, seeded())
    assert torch.equal(torch.stack([place, ids], 1), near.within(torch.arange(25)).nonzero())


def test_fallback_and_no_edges():
    loop, zero = torch.tensor([1]), torch.tensor([0])
    facts, batch = Facts(loop, zero, loop, 5, 1), Batch(loop, zero, loop)
    for walks in (None, 4):
        alone = SANS(5, 4000, walks=walks, fallback="none").sample(batch, "tail", None, facts, seeded())
        assert not alone.valid.any()
        others = SANS(5, 4000, walks=walks).sample(batch, "tail", None, facts, seeded())
        assert others.valid.all()
        assert law_p_value(others.ids, torch.tensor([1, 0, 1, 1, 1])) > 0.01


def test_bad_arguments():
    for options in ({"hops": 0}, {"walks": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            SANS(5, 2, **options)
    assert "hops=2, walks=9" in repr(SANS(5, 2, walks=9))
