"""Explanations of negatives: networkx and plain sets as the measure, names and ids, and nothing held out by default."""

import math
import random
from itertools import pairwise

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from mmkg.analysis import Explainer, explain_negative, hard_negatives
from mmkg.datasets import WorldMoji, from_pandas, from_triples
from mmkg.errors import DataError, UnknownNameError
from mmkg.graph import Facts, mine_patterns
from mmkg.samplers import MMRNS
from mmkg.scorers import RotatE

FAMILY = [
    ("Ann", "mother of", "Bob"),
    ("Ann", "mother of", "Cid"),
    ("Bob", "lives in", "Rome"),
    ("Cid", "lives in", "Rome"),
    ("Ann", "lives in", "Rome"),
    ("Rome", "in", "Italy"),
    ("Milan", "in", "Italy"),
    ("Dan", "lives in", "Milan"),
    ("Dan", "friend of", "Cid"),
    ("Cid", "friend of", "Dan"),
    ("Eve", "lives in", "Oslo"),
]


def graph(triples, nodes, relations, held_out=()):
    rows = torch.tensor([*triples, *held_out], dtype=torch.long).reshape(-1, 3)
    data = Data(edge_index=rows[:, [0, 2]].T, edge_type=rows[:, 1], num_nodes=nodes)
    data.num_relations = relations
    data.train_mask = torch.arange(len(rows)) < len(triples)
    data.val_mask = ~data.train_mask
    data.test_mask = torch.zeros_like(data.train_mask)
    return data


worlds = st.tuples(st.integers(2, 9), st.integers(1, 3)).flatmap(
    lambda sizes: st.lists(
        st.tuples(st.integers(0, sizes[0] - 1), st.integers(0, sizes[1] - 1), st.integers(0, sizes[0] - 1)), max_size=30
    ).map(lambda triples: (triples, *sizes))
)


@given(world=worlds, ends=st.tuples(st.integers(0, 8), st.integers(0, 8)), bound=st.integers(1, 5))
@settings(max_examples=120, deadline=None)
def test_paths_and_neighbours_are_those_of_networkx(world, ends, bound):
    triples, nodes, _ = world
    given, negative = (end % nodes for end in ends)
    found = Explainer(graph(*world)).explain(given, 0, negative, max_length=bound, max_paths=1000)
    plain = nx.Graph([(h, t) for h, _, t in triples if h != t])
    plain.add_nodes_from(range(nodes))
    linked = {(h, r, t) for h, r, t in triples if h != t}
    degree = {e: sum((e == h) + (e == t) for h, _, t in linked) for e in range(nodes)}
    if nx.has_path(plain, given, negative) and nx.shortest_path_length(plain, given, negative) <= bound:
        expected = [tuple(path) for path in nx.all_shortest_paths(plain, given, negative)]
        assert found.distance == len(expected[0]) - 1
        assert found.num_paths == len(expected)
        if found.distance:
            paths = {number: path_of(rows) for number, rows in found.paths.groupby("path")}
            assert sorted(paths.values()) == sorted(expected)
            cost = [math.prod(degree[e] for e in paths[number][1:-1]) for number in sorted(paths)]
            assert cost == sorted(cost)
    else:
        assert (found.distance, found.num_paths, len(found.paths)) == (None, 0, 0)
    for row in found.paths.itertuples():  # each hop lists all links between its two entities, the right way round
        link = (row.end, row.relation, row.start) if row.reversed else (row.start, row.relation, row.end)
        assert link in linked
        hop = found.paths[(found.paths.path == row.path) & (found.paths.step == row.step)]
        assert len(hop) == sum({row.start, row.end} == {h, t} for h, _, t in linked)
    near = set(nx.common_neighbors(plain, given, negative)) if given != negative else set()
    assert set(found.neighbours.entity) == near
    assert found.neighbours.links.tolist() == sorted(degree[z] for z in found.neighbours.entity)
    expected = {(z, h, r, t) for z in near for h, r, t in linked if {h, t} in ({z, given}, {z, negative})}
    columns = ["entity", "start", "relation", "end"]
    assert {tuple(row) for row in found.neighbours[columns].values.tolist()} == expected


def path_of(rows):
    """Entities of a path."""
    hops = rows.drop_duplicates("step")
    return (*hops.start, hops.end.iloc[-1])


def test_the_most_telling_paths_come_first():
    triples = [(0, 0, z) for z in range(2, 30)] + [(z, 0, 1) for z in range(2, 30)]
    triples += [(z, 1, 30 + extra) for z in range(2, 30) for extra in range(z % 7)]
    explainer = Explainer(graph(triples, 40, 2))
    few, every = (explainer.explain(0, 0, 1, max_paths=k) for k in (4, 100))
    assert few.num_paths == every.num_paths == 28
    assert few.paths.equals(every.paths[every.paths.path < 4])
    assert [path_of(rows)[1] for _, rows in few.paths.groupby("path")] == [7, 14, 21, 28]  # each with two links


def test_k_best_paths_over_several_steps_are_those_of_networkx():
    draw = random.Random(3)
    for _ in range(20):
        layers = [[0], range(1, 7), range(7, 13), range(13, 19), [19]]
        pairs = [(a, b) for one, other in pairwise(layers) for a in one for b in other]
        triples = [(a, 0, b) if draw.random() < 0.5 else (b, 0, a) for a, b in pairs if draw.random() < 0.7]
        triples += [(draw.randrange(1, 19), 1, 20 + n) for n in range(30)]
        found = Explainer(graph(triples, 50, 2)).explain(0, 0, 19, max_paths=5)
        plain = nx.Graph([(h, t) for h, _, t in triples])
        degree = dict(nx.MultiGraph([(h, t) for h, _, t in set(triples)]).degree)
        best = sorted(math.prod(degree[e] for e in p[1:-1]) for p in nx.all_shortest_paths(plain, 0, 19))
        paths = [path_of(rows) for _, rows in found.paths.groupby("path")]
        assert found.num_paths == len(best)
        assert [math.prod(degree[e] for e in p[1:-1]) for p in paths] == best[:5]


@given(world=worlds)
@settings(max_examples=20, deadline=None)
def test_rules_are_those_whose_body_holds(world):
    triples, nodes, relations = world
    data = graph(*world)
    patterns = mine_patterns(data, min_support=1, min_confidence=0.0, min_antisymmetry=0.0)
    explainer = Explainer(data, patterns=patterns)
    links = {(h, r, t) for h, r, t in triples if h != t} | {(t, r + relations, h) for h, r, t in triples if h != t}
    every = [(a, b, c) for a in range(nodes) for b in range(relations) for c in range(nodes)]
    for h, r, t in random.Random(len(triples)).sample(every, min(len(every), 25)):
        expected = {}
        for rule in patterns.rules.itertuples():
            if rule.head != r:
                continue
            if rule.kind == "reflexive":
                times = int(h == t)
            elif rule.second < 0:
                times = int((h, rule.first, t) in links)
            else:
                between = [z for z in range(nodes) if (h, rule.first, z) in links and (z, rule.second, t) in links]
                times = len(between) if h != t else 0
            if times:
                expected[patterns.told(rule)] = (times, "against" if rule.kind == "antisymmetric" else "for")
        found = explainer.explain(h, r, t)
        assert {row.rule: (row.times, row.speaks) for row in found.rules.itertuples()} == expected
        assert found.known == ((h, r, t) in triples)
        assert found.rules.confidence.is_monotonic_decreasing


@given(
    world=worlds,
    ids=st.tuples(st.integers(0, 8), st.integers(0, 2), st.integers(0, 8)),
    side=st.sampled_from(["head", "tail"]),
)
@settings(max_examples=80, deadline=None)
def test_roles_and_shared_facts_by_plain_sets(world, ids, side):
    triples, nodes, relations = world
    negative, relation, answer = ids[0] % nodes, ids[1] % relations, ids[2] % nodes
    found = Explainer(graph(*world)).explain(0, relation, negative, side, answer=answer)
    linked = {(h, r, t) for h, r, t in triples if h != t}
    at = {"head": 0, "tail": 2}

    def has(entity, r, place):
        return sum(link[1] == r and link[at[place]] == entity for link in linked)

    fillers = {link[at[side]] for link in linked if link[1] == relation}
    expected = {}
    for r in range(relations):
        for place in at:
            if count := has(negative, r, place):
                usual = sum(bool(has(e, r, place)) for e in range(nodes)) / nodes
                typical = sum(bool(has(e, r, place)) for e in fillers) / len(fillers) if fillers else float("nan")
                expected[r, place] = (count, typical, usual, bool(has(answer, r, place)))
    columns = ["count", "typical", "usual", "answer"]
    roles = {(row.relation, row.place): [getattr(row, c) for c in columns] for row in found.roles.itertuples()}
    assert roles.keys() == expected.keys()
    for key, row in expected.items():
        assert roles[key] == pytest.approx(row, nan_ok=True)
    facts = set()
    for h, r, t in linked:
        if h == negative and (answer, r, t) in linked and answer != negative:
            facts.add((r, "head", t, sum((e, r, t) in linked for e in range(nodes))))
        if t == negative and (h, r, answer) in linked and answer != negative:
            facts.add((r, "tail", h, sum((h, r, e) in linked for e in range(nodes))))
    columns = ["relation", "place", "entity", "holders"]
    assert {tuple(row) for row in found.shared_facts[columns].values.tolist()} == facts
    assert found.shared_facts.holders.is_monotonic_increasing


@pytest.fixture
def family():
    return from_triples(FAMILY)


def test_by_name_by_id_and_in_words(family):
    names = family.entity_names
    by_name = explain_negative(family, "Bob", "friend of", "Dan", answer="Cid")
    ids = (np.int64(names.index("Bob")), family.relation_names.index("friend of"), names.index("Dan"))
    by_id = explain_negative(family, *ids, answer=torch.tensor(names.index("Cid")))
    assert by_name.text() == by_id.text()
    assert by_name.triple == tuple(map(int, ids))
    assert (by_name.given, by_name.negative, by_name.known, by_name.held_out) == (ids[0], ids[2], False, None)
    text = by_name.text(k=9, width=200)
    for told in (
        "(Bob, friend of, Dan): Dan as a negative for the tail, true answer Cid",
        "looked at train: not among its facts",
        "Shortest paths between Bob and Dan: 2 of length 3",
        "  Bob ←mother of— Ann —mother of→ Cid —friend of (+1)→ Dan",
        "  Bob —lives in→ Rome ←lives in— Cid —friend of (+1)→ Dan",
        "Neighbours that they share: 0",
        "  head of lives in (1 link): 100% of the relation's tails have it, 55.6% of all entities; the true answer too",
        "Facts that it shares with Cid: 0",
    ):
        assert told in text, told


def test_the_head_side(family):
    found = explain_negative(family, "Rome", "lives in", "Milan", side="head", answer="Bob")
    assert [family.entity_names[i] for i in (found.triple[0], found.triple[2])] == ["Milan", "Rome"]
    assert found.neighbours["name"].tolist() == ["Italy", "Italy"]
    assert found.neighbours.told.tolist() == ["(Rome, in, Italy)", "(Milan, in, Italy)"]
    assert "Milan as a negative for the head" in found.text()
    assert found.roles.typical.max() == 0  # whoever lives somewhere is no place: the negative is of the wrong kind


def test_the_network_to_draw(family):
    found = explain_negative(family, "Bob", "lives in", "Milan", answer="Rome")
    network = found.to_networkx()
    shown = {
        (network.nodes[a]["label"], edge["relation"], network.nodes[b]["label"], edge["why"])
        for a, b, edge in network.edges(data=True)
    }
    assert (
        shown
        == {
            ("Bob", "lives in", "Milan", "asked"),
            ("Bob", "lives in", "Rome", "path"),
            ("Rome", "in", "Italy", "path"),
            ("Milan", "in", "Italy", "path"),
        }
        | set()
    )
    roles = {network.nodes[n]["label"]: network.nodes[n]["role"] for n in network}
    assert roles == {"Bob": "given", "Milan": "negative", "Rome": "answer", "Italy": ""}


def test_held_out_links_are_shown_only_where_asked_for_and_marked():
    train = [("a", "r", "b"), ("b", "s", "c"), ("q", "s", "c"), *((f"x{n}", "r", f"y{n}") for n in range(8))]
    train += [(f"y{n}", "s", f"z{n}") for n in range(8)] + [(f"x{n}", "t", f"z{n}") for n in range(8)]
    held_out = [("a", "t", "c"), ("a", "r", "q"), ("y0", "r", "c"), ("c", "s", "z0"), ("b", "s", "z9")]
    rows = [(*triple, "train") for triple in train] + [(*triple, "test") for triple in held_out]
    data = from_pandas(pd.DataFrame(rows, columns=["head", "relation", "tail", "split"]))
    names = data.entity_names
    alone = graph(data_triples(data)[: len(train)], len(names), 3)
    alone.entity_names, alone.relation_names = names, data.relation_names
    for asked in (("a", "t", "c"), ("y0", "t", "z0"), ("b", "t", "z9")):
        default = explain_negative(data, *asked)
        assert default.text() == explain_negative(alone, *asked).text()
        assert (default.known, default.held_out) == (False, None)
    assert explain_negative(data, "a", "t", "c").rules.held_out.tolist() == [False]
    every = {"splits": ("train", "val", "test"), "patterns": mine_patterns(data)}
    found = explain_negative(data, "a", "t", "c", **every)
    assert (found.known, found.held_out) == (True, True)
    assert "a held-out fact, so a false negative" in found.text()
    assert found.paths[["told", "held_out"]].values.tolist() == [["(a, t, c)", True]]
    assert dict(zip(found.neighbours.told, found.neighbours.held_out, strict=True)) == {
        "(a, r, b)": False,
        "(b, s, c)": False,
        "(a, r, q)": True,
        "(q, s, c)": False,
    }
    rule = found.rules.set_index("rule").loc["r ∘ s ⇒ t"]
    assert (rule.times, rule.held_out, rule.told) == (2, False, "(a, r, b), (b, s, c)")  # by way of q it would be
    for asked, told in ((("y0", "z0"), "(y0, r, c), (c, s, z0)"), (("a", "z9"), "(a, r, b), (b, s, z9)")):
        rule = explain_negative(data, asked[0], "t", asked[1], **every).rules.set_index("rule").loc["r ∘ s ⇒ t"]
        assert (rule.held_out, rule.told) == (True, told)
    network = found.to_networkx()
    marks = {(edge["relation"], edge["why"]): edge["held_out"] for *_, edge in network.edges(data=True)}
    assert marks["t", "path"]
    assert not marks["s", "neighbour"]


def data_triples(data):
    """Triples of a graph, ids (h, r, t)."""
    return torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], dim=1).tolist()


def test_a_train_fact_is_no_negative_and_a_copy_of_it_no_other(family):
    found = explain_negative(family, "Ann", "mother of", "Bob")
    assert (found.known, found.held_out) == (True, None)
    assert "a fact, so no negative at all" in found.text()
    every = explain_negative(family, "Ann", "mother of", "Bob", splits=("train", "test"))
    assert (every.known, every.held_out) == (True, False)


def test_an_entity_and_itself(family):
    found = explain_negative(family, "Ann", "friend of", "Ann", answer="Ann")
    assert (found.distance, found.num_paths) == (0, 1)
    assert [len(found.paths), len(found.neighbours), len(found.shared_facts)] == [0, 0, 0]
    assert "of length 0" in found.text()
    loops = [(e, 0, e) for e in range(8)] + [(8, 0, 9)]
    found = Explainer(graph(loops, 10, 1)).explain(8, 0, 8)
    assert found.rules.rule.tolist() == ["relation 0(x, x)"]


def test_entities_without_links_and_relations_without_triples():
    data = graph([(0, 0, 1)], 4, 3)
    found = Explainer(data).explain(2, 2, 3, answer=0)
    assert (found.distance, len(found.rules), len(found.roles), len(found.shared_facts)) == (None, 0, 0, 0)
    assert "No short path between entity 2 and entity 3" in found.text()
    found = Explainer(data).explain(2, 2, 1)  # nothing is known to be a tail of relation 2
    assert found.roles.typical.isna().all()
    assert "unknown of the relation's tails" in found.text()
    assert Explainer(graph([], 2, 1)).explain(0, 0, 1).text()


def test_worldmoji_ottawa_is_in_canada(tmp_path):
    data = WorldMoji(tmp_path, log=False).topology
    explainer = Explainer(data)
    found = explainer.explain("Ottawa", "part_of", "Canada", answer="Ontario")
    assert not found.known
    rules = found.rules.set_index("rule")
    assert rules.loc["capital_of ⇒ part_of"].told == "(Ottawa, capital_of, Canada)"
    assert rules.loc["capital_of ⇒ part_of"].confidence == pytest.approx(165 / 174)
    assert "Ontario" in found.neighbours["name"].tolist()
    far = explainer.explain("Germany", "borders", "Portugal", answer="France")
    assert far.distance == 2
    assert {"(…, member_of, NATO)", "(…, member_of, European Union)"} <= set(far.shared_facts.told)
    undirected = nx.Graph()
    h, t = data.edge_index[:, data.train_mask].tolist()
    undirected.add_edges_from(zip(h, t, strict=True))
    paths = list(nx.all_shortest_paths(undirected, far.given, far.negative))
    assert far.num_paths == len(paths)


def test_rows_of_hard_negatives(kin):
    torch.manual_seed(0)
    model = RotatE(kin.num_nodes, 4, 6)
    sampler = MMRNS(kin.num_nodes, 12, 6, num_negatives=4, pool_size="all", attention_dim=4)
    triples = torch.stack([kin.edge_index[0], kin.edge_type, kin.edge_index[1]], dim=1)[kin.val_mask][:4]
    rows = hard_negatives(
        sampler, model, triples, Facts.from_data(kin), Facts.from_data(kin, ("train", "val", "test")), k=2
    )
    explainer = Explainer(kin)
    for _, row in rows.iterrows():
        found = explainer.explain_row(row)
        wanted = (
            (row["head"], row["relation"], row["negative"])
            if row["side"] == "tail"
            else (row["negative"], row["relation"], row["tail"])
        )
        assert found.triple == wanted
        assert found.answer == row[row["side"]]
        assert not found.known


@pytest.mark.parametrize(
    ("words", "options", "told"),
    [
        (("Bop", "lives in", "Milan"), {}, "unknown entity 'Bop'. Nearest: Bob"),
        (("Bob", "living in", "Milan"), {}, "unknown relation 'living in'. Nearest: lives in"),
        (("Bob", "lives in", 99), {}, "unknown entity '99'. Nearest: 0 to 8"),
        (("Bob", "lives in", "Milan"), {"answer": "Roma"}, "unknown entity 'Roma'. Nearest: Rome"),
        (("Bob", "lives in", "Milan"), {"side": "left"}, "side 'left'. Cure: choose head or tail"),
        (("Bob", "lives in", "Milan"), {"splits": ("valid",)}, "split 'valid'. Cure: choose out of"),
        (("Bob", "lives in", "Milan"), {"max_length": 0}, "max_length is 0. Cure: give at least 1"),
        (("Bob", "lives in", "Milan"), {"max_paths": 0}, "max_paths is 0"),
    ],
)
def test_bad_input(family, words, options, told):
    with pytest.raises((DataError, UnknownNameError)) as error:
        explain_negative(family, *words, **options)
    assert told in str(error.value)


def test_patterns_of_another_graph(family):
    with pytest.raises(DataError, match="patterns of 4 entities and 1 relations for a graph of 9 and 4"):
        Explainer(family, patterns=mine_patterns(graph([(0, 0, 1)], 4, 1)))
