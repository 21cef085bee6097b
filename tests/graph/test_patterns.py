"""Relation patterns: planted ones, the definitions by plain sets, bounded memory, the real benchmarks' known ones."""

import importlib.util
import random
import tracemalloc
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from mmkg import datasets
from mmkg.errors import DataError
from mmkg.evaluation import breakdown
from mmkg.graph import mine_patterns
from mmkg.graph.pattern_table import COLUMNS, KINDS
from mmkg.types import Ranks

ANY = {"min_support": 1, "min_confidence": 0.0, "min_antisymmetry": 0.0}


@pytest.fixture(scope="module")
def oracle():
    path = Path(__file__).parents[2] / "benchmarks" / "straightforward_patterns.py"
    spec = importlib.util.spec_from_file_location("straightforward_patterns", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def graph(train, held_out=(), num_nodes=None, num_relations=None):
    """A graph of some triples (h, r, t); those held out go to val and test in turn."""
    rows = torch.tensor([*train, *held_out], dtype=torch.long).reshape(-1, 3)
    ids = rows[:, [0, 2]]
    data = Data(edge_index=ids.T, edge_type=rows[:, 1])
    data.num_nodes = int(ids.max()) + 1 if num_nodes is None else num_nodes
    data.num_relations = int(rows[:, 1].max()) + 1 if num_relations is None else num_relations
    place = torch.arange(len(rows)) - len(train)
    data.train_mask, data.val_mask, data.test_mask = place < 0, (place >= 0) & (place % 2 == 0), place % 2 == 1
    data.test_mask &= place >= 0
    return data


def by_key(found):
    """Rules by (kind, first, second, head): (support, body, known, PCA confidence, head coverage)."""
    return {
        (row.kind, row.first, row.second, row.head): (row.support, row.body, row.known, row.pca, row.head_coverage)
        for row in found.rules.itertuples()
    }


def links_of(rule, x, z, y, num_relations):
    """Triples of a rule's body between some entities."""
    steps = [(x, rule.first, y)] if z < 0 else [(x, rule.first, z), (z, rule.second, y)]
    return {(a, s, b) if s < num_relations else (b, s - num_relations, a) for a, s, b in steps}


class Plant:
    """Triples by name, with fresh entities for each pattern, so that none is there by chance."""

    def __init__(self):
        self.triples, self.fresh = [], 0

    def new(self, count):
        self.fresh += count
        return [f"e{n}" for n in range(self.fresh - count, self.fresh)]

    def add(self, relation, pairs):
        pairs = list(pairs)
        self.triples += [(h, relation, t) for h, t in pairs]
        return pairs


def planted():
    """A graph with every pattern, each with gaps."""
    plant = Plant()
    both = plant.add("meets", zip(plant.new(10), plant.new(10), strict=True))
    plant.add("meets", [(y, x) for x, y in both] + list(zip(plant.new(5), plant.new(5), strict=True)))
    parents = plant.add("parent", zip(plant.new(20), plant.new(20), strict=True))
    plant.add("child", [(y, x) for x, y in parents[:15]] + list(zip(plant.new(3), plant.new(3), strict=True)))
    capitals = plant.add("capital_of", zip(plant.new(10), plant.new(10), strict=True))
    plant.add("located_in", capitals[:8] + list(zip(plant.new(92), plant.new(92), strict=True)))
    lands, cities, people = plant.new(5), plant.new(10), plant.new(40)
    plant.add("city_of", [(city, lands[n // 2]) for n, city in enumerate(cities)])
    plant.add("born_in", [(person, cities[n // 4]) for n, person in enumerate(people)])
    for n, person in enumerate(
        people
    ):  # of the four in a city three are natives; of ten foreigners six tell their land
        land = n // 8 if n % 4 else (n // 8 + 1) % 5
        plant.add("nationality", [(person, lands[land])] if n % 4 or n < 24 else [])
    authors, books, houses = plant.new(20), plant.new(40), plant.new(5)
    plant.add("book_of", [(book, authors[n // 2]) for n, book in enumerate(books)])
    plant.add("published_by", [(book, houses[(n + n // 10) % 5]) for n, book in enumerate(books)])
    plant.add("works_with", [(authors[n // 2], houses[(n + n // 10) % 5]) for n in range(36)])
    chains = list(zip(plant.new(10), plant.new(10), plant.new(10), strict=True))
    plant.add("within", [(a, b) for a, b, _ in chains] + [(b, c) for _, b, c in chains])
    plant.add("within", [(a, c) for a, _, c in chains[:8]])
    selves = plant.new(10)
    plant.add("respects", [(e, e) for e in selves[:8]] + [(selves[8], selves[9])])
    copies = plant.triples[::7]
    triples = plant.triples + copies
    random.Random(0).shuffle(triples)
    return datasets.from_triples(triples)


PLANTED = {  # support, body, pairs that PCA counts, head coverage
    "meets⁻¹ ⇒ meets": (20, 25, 20, 20 / 25),
    "parent⁻¹ ⇒ child": (15, 20, 15, 15 / 18),
    "child⁻¹ ⇒ parent": (15, 18, 15, 15 / 20),
    "capital_of ⇒ located_in": (8, 10, 8, 8 / 100),
    "within ∘ within ⇒ within": (8, 10, 10, 8 / 28),
    "born_in ∘ city_of ⇒ nationality": (30, 40, 36, 30 / 36),
    "book_of⁻¹ ∘ published_by ⇒ works_with": (36, 40, 36, 1.0),
    "respects(x, x)": (8, 10, 9, 8 / 9),
}
ONE_WAY = ["parent", "child", "capital_of", "located_in", "city_of", "born_in", "nationality"]
ONE_WAY += ["book_of", "published_by", "works_with", "within"]


def test_every_planted_pattern_is_found_exactly_and_no_other():
    found = mine_patterns(planted(), min_confidence=0.7)
    table = found.table()
    rules = table[table.kind != "antisymmetric"]
    measures = zip(found.rules.known[rules.index], rules.itertuples(), strict=True)
    assert {row.rule: (row.support, row.body, known, row.head_coverage) for known, row in measures} == PLANTED
    assert (rules.confidence == rules.support / rules.body).all()
    assert (rules.pca == rules.support / found.rules.known[rules.index]).all()
    assert not table.redundant.any()
    against = found["antisymmetric"]
    assert sorted(against["head"]) == sorted(ONE_WAY)
    assert (against.confidence == 1).all()
    # an antisymmetric relation of which no tail is ever a head cannot be told from one with gaps
    assert against.set_index("head").pca.dropna().to_dict() == {"within": 1.0}
    assert against.head_coverage.isna().all()


def test_kinds_and_examples_of_the_planted():
    data = planted()
    found = mine_patterns(data, min_confidence=0.7)
    facts = {(h, r, t) for (h, t), r in zip(data.edge_index.T.tolist(), data.edge_type.tolist(), strict=True)}
    for rule in found.rules.itertuples():
        many = found.examples(rule.Index, k=4)
        assert many.iloc[0, :3].tolist() == [rule.x, rule.z, rule.y]
        assert len(many) == min(4, rule.support)
        for x, z, y in many[["x", "z", "y"]].values.tolist():
            body = links_of(rule, x, z, y, data.num_relations)
            assert (x, rule.head, y) in facts
            assert facts.isdisjoint(body) if rule.kind == "antisymmetric" else facts >= body
    assert found["composition"].second.tolist() == ["published_by", "city_of"]
    assert found["inverse"].second.tolist() == ["", ""]
    capital = found["implies"].example.iloc[0]
    assert [", capital_of, " in capital.split(" ⇒ ")[0], ", located_in, " in capital.split(" ⇒ ")[1]] == [True, True]


def test_thresholds_are_arguments():
    data = planted()
    kept = set(mine_patterns(data, min_confidence=0.7, min_support=15).table().rule)
    assert {r for r, row in PLANTED.items() if row[0] >= 15} == {r for r in kept if " not " not in r}
    kept = set(mine_patterns(data, min_confidence=0.7, min_pca=0.9).table().rule)
    assert {r for r, row in PLANTED.items() if row[0] / row[2] >= 0.9} == {r for r in kept if " not " not in r}
    kept = set(mine_patterns(data, min_confidence=0.7, min_head_coverage=0.5).table().rule)
    assert {r for r, row in PLANTED.items() if row[3] >= 0.5} == {r for r in kept if " not " not in r}
    assert "antisymmetric" not in set(
        mine_patterns(graph([(0, 0, 1), (1, 0, 0)]), **ANY | {"min_antisymmetry": 0.1}).rules.kind
    )
    single = mine_patterns(data, paths=False)
    assert not single.rules.kind.isin(["composition", "transitive"]).any()
    assert {"symmetric", "inverse", "implies", "reflexive"} <= set(single.rules.kind)


small_graphs = st.integers(1, 4).flatmap(
    lambda relations: st.integers(1, 7).flatmap(
        lambda nodes: st.lists(
            st.tuples(st.integers(0, nodes - 1), st.integers(0, relations - 1), st.integers(0, nodes - 1)), max_size=40
        ).map(lambda triples: (triples, nodes, relations))
    )
)
thresholds = st.fixed_dictionaries(
    {
        "min_support": st.integers(1, 3),
        "min_confidence": st.sampled_from([0.0, 0.07, 0.3, 0.5, 0.7, 1.0]),
        "min_pca": st.sampled_from([0.0, 0.5, 1.0]),
        "min_head_coverage": st.sampled_from([0.0, 0.3]),
        "min_antisymmetry": st.sampled_from([0.0, 0.5, 1.0]),
    }
)


@given(world=small_graphs, at=thresholds, memory=st.sampled_from([1e-5, 1e-3, 256]))
@settings(max_examples=300, deadline=None)
def test_every_measure_is_that_of_plain_sets(oracle, world, at, memory):
    triples, nodes, relations = world
    found = mine_patterns(graph(triples, num_nodes=nodes, num_relations=relations), memory_mb=memory, **at)
    expected = oracle.mine(triples, relations, **at)
    rules = by_key(found)
    assert rules.keys() == expected.keys()
    for key, row in expected.items():
        assert rules[key] == pytest.approx([np.nan if v is None else v for v in row], abs=1e-12, nan_ok=True)
    assert list(found.rules.columns) == list(COLUMNS)
    facts = set(triples)
    for rule in found.rules.itertuples():  # the example that comes with a rule holds
        body = links_of(rule, rule.x, rule.z, rule.y, relations)
        assert (rule.x, rule.head, rule.y) in facts
        assert facts.isdisjoint(body) if rule.kind == "antisymmetric" else facts >= body
        assert len({rule.x, rule.z, rule.y}) == (1 if rule.kind == "reflexive" else 3) or rule.z == -1


@given(seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_larger_graphs_in_small_parts(oracle, seed):
    draw = random.Random(seed)
    triples = [(int(40 * draw.random() ** 3), draw.randrange(5), int(40 * draw.random() ** 2)) for _ in range(400)]
    for confidence in (0.0, 0.25):
        at = {"min_support": 2, "min_confidence": confidence}
        expected = oracle.mine(triples, 5, **at)
        for memory in (0.005, 256):
            found = by_key(mine_patterns(graph(triples, num_nodes=40, num_relations=5), memory_mb=memory, **at))
            assert found.keys() == expected.keys()
            assert all(found[key][:3] == expected[key][:3] for key in expected)


def test_a_hub_is_multiplied_out_in_parts_or_not_at_all():
    tails = 3000  # the hub's relation turned round and back makes nine million pairs, over 500 MB at once
    triples = [(0, 0, t) for t in range(1, tails + 1)] + [(1, 1, t) for t in range(2, 22)]
    data = graph(triples)
    rules = {}
    for confidence, limit in ((0.0, 60), (0.6, 12)):
        tracemalloc.start()
        found = mine_patterns(data, min_support=1, min_confidence=confidence, memory_mb=16)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        assert peak < limit, f"{peak:.0f} MB at confidence {confidence}"
        rules[confidence] = by_key(found)
    key = ("composition", 2, 0, 1)  # both are tails of entity 0, so the one is related to the other by 1
    assert rules[0.0][key][:2] == (20, tails * (tails - 1))
    assert key not in rules[0.6]


@pytest.mark.parametrize(("members", "related"), [(3, 6), (7, 27), (13, 110)])
def test_the_bounds_leave_out_nothing_that_reaches_a_threshold(members, related):
    # the members of a group, related to one another: no relation is larger than the support, and where all are related
    # the body is as small as its bound; 27 / 42 * 42 is more than 27 in floating point
    pairs = [(x, y) for x in range(1, members + 1) for y in range(1, members + 1) if x != y]
    triples = [(0, 0, x) for x in range(1, members + 1)] + [(x, 1, y) for x, y in pairs[:related]]
    found = by_key(mine_patterns(graph(triples), min_confidence=related / len(pairs)))
    assert found["composition", 2, 0, 1][:2] == (related, len(pairs))


def test_loops_and_the_way_back_are_no_composition():
    # r leads from 0 to 1 and back by r⁻¹ to 0: that 0 is 0 is nothing that r composed with r⁻¹ explains
    loops = [(e, 1, e) for e in range(6)]
    found = mine_patterns(graph([(e, 0, e + 6) for e in range(6)] + loops), **ANY)
    assert set(found.rules.kind) == {"reflexive", "antisymmetric"}
    # a loop is no step of a path either: (0, r, 0), (0, s, 1) do not compose
    found = mine_patterns(graph([(0, 0, 0), (0, 1, 1)]), **ANY)
    assert set(found.rules.kind) == {"reflexive", "antisymmetric"}


def test_what_symmetric_and_inverse_relations_say_twice_is_marked():
    people = range(0, 40, 4)
    near = [(p, p + 1) for p in people]
    twice = [(x, 0, y) for x, y in near] + [(y, 0, x) for x, y in near]  # near: symmetric
    one_way = [(y, 1, y + 1) for _, y in near]  # leads_to
    reverse = [(z, 2, y) for y, _, z in one_way]  # comes_from: its inverse
    third = [(x, 3, x + 2) for x, _ in near]  # near ∘ leads_to
    implied = [(x, 4, y) for x, y in near] + [(y, 4, x) for x, y in near]  # a copy of near
    data = graph(twice + one_way + reverse + third + implied)
    data.relation_names = ["near", "leads_to", "comes_from", "beyond", "beside"]
    found = mine_patterns(data)
    again = found.table().set_index("rule").redundant
    assert not again["near⁻¹ ⇒ near"]
    assert not again["near ⇒ beside"]
    assert again["near⁻¹ ⇒ beside"]
    assert not again["comes_from⁻¹ ⇒ leads_to"]
    assert not again["leads_to⁻¹ ⇒ comes_from"]
    variants = [
        f"{a}{way} ∘ {b} ⇒ beyond"
        for a in ("near", "beside")
        for way in ("", "⁻¹")
        for b in ("leads_to", "comes_from⁻¹")
    ]
    assert again[variants].sum() == 7
    assert len(found.table("composition", redundant=False)) == 3  # the triangle read from each of its corners


def test_a_symmetric_relation_implies_one_that_is_not_both_ways():
    near = [(x, 0, x + 1) for x in range(0, 20, 2)] + [(x + 1, 0, x) for x in range(0, 20, 2)]
    linked = [(x, 1, y) for x, _, y in near] + [(x, 1, x + 100) for x in range(30)]
    table = mine_patterns(graph(near + linked), paths=False).table("inverse")
    assert table[["rule", "redundant"]].values.tolist() == [["relation 0⁻¹ ⇒ relation 1", True]]


def test_a_relation_that_is_symmetric_and_transitive():
    # three groups of four, all related to all within each: every way of composing says the same as the transitive one
    triples = [(4 * g + a, 0, 4 * g + b) for g in range(3) for a in range(4) for b in range(4) if a != b]
    found = mine_patterns(graph(triples))
    table = found.table()
    assert table[~table.redundant].rule.tolist() == [
        "relation 0⁻¹ ⇒ relation 0",
        "relation 0 ∘ relation 0 ⇒ relation 0",
    ]
    assert table[table.redundant].kind.tolist() == ["composition"] * 3
    assert found["transitive"].support.tolist() == [36]
    assert found.pattern_of_relation().tolist() == ["symmetric"]


def test_pca_asks_for_the_side_that_says_more():
    # works_at: 6 people at 2 firms, so a person tells of the firm; employs, turned round, so the person is the tail
    works, lives = [(p, 0, 6 + p % 2) for p in range(6)], [(p, 2, 8) for p in range(8, 9)]
    employs = [(6 + p % 2, 1, p) for p in range(4)]
    found = mine_patterns(graph(works + employs + lives), **ANY).rules.set_index(["kind", "first", "head"])
    rule = found.loc[("inverse", 3, 1)]  # works_at⁻¹ ⇒ employs: persons 4 and 5 are employed by nobody that we know of
    assert (rule.known_side, rule.support, rule.body, rule.known) == ("tail", 4, 6, 4)
    rule = found.loc[("inverse", 4, 0)]
    assert (rule.known_side, rule.support, rule.body, rule.known) == ("head", 4, 4, 4)


def test_held_out_triples_are_not_looked_at_unless_asked_for():
    data = planted()
    triples = torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], dim=1).tolist()
    backwards = [(t, r, h) for h, r, t in triples if r != 0]
    one, other = graph(triples), graph(triples, held_out=backwards)
    alone, beside = mine_patterns(one), mine_patterns(other)
    assert alone.rules.equals(beside.rules)
    every = mine_patterns(other, splits=("train", "val", "test"))
    symmetric = set(every.rules["head"][every.rules.kind == "symmetric"])
    assert symmetric == {r for r, name in enumerate(data.relation_names) if r and name != "respects"}  # a single link
    assert every.rules.drop(columns="redundant").equals(
        mine_patterns(graph(triples + backwards)).rules.drop(columns="redundant")
    )
    assert "looked at: train, val, test" in every.page()


def test_labels_and_groups():
    data = planted()
    found = mine_patterns(data, min_confidence=0.7)
    names = data.relation_names
    main = dict(zip(names, found.pattern_of_relation(), strict=True))
    expected = {"meets": "symmetric", "parent": "inverse", "child": "inverse", "located_in": "implies"}
    expected |= {"within": "transitive", "nationality": "composition", "works_with": "composition"}
    expected |= {"respects": "reflexive"}
    assert {name: main[name] for name in expected} == expected
    assert {main[name] for name in names if name not in expected} == {"antisymmetric"}
    labels = found.labels()
    assert list(labels.columns) == list(KINDS)
    assert labels.loc[names.index("within"), ["transitive", "antisymmetric"]].all()
    asked = torch.tensor([names.index(n) for n in ("meets", "within", "meets", "born_in")])
    one = torch.ones(4, dtype=torch.long)
    ranks = Ranks(one, one, 9 * one, one, torch.arange(4))
    table = breakdown(ranks, found.groups(asked)).set_index(["grouping", "label"])["count"]
    assert table["pattern"].to_dict() == {"antisymmetric": 1, "symmetric": 2, "transitive": 1}
    assert table["antisymmetric"].to_dict() == {"no": 2, "yes": 2}


def test_the_network_of_relations(tmp_path):
    data = planted()
    found = mine_patterns(data, min_confidence=0.7)
    network = found.pattern_graph()
    assert list(network.nodes) == data.relation_names
    edges = {(a, b): (e["kinds"], e["weight"]) for a, b, e in network.edges(data=True)}
    assert edges == {
        ("parent", "child"): ("inverse", 0.75),
        ("child", "parent"): ("inverse", 15 / 18),
        ("capital_of", "located_in"): ("implies", 0.8),
        ("born_in", "nationality"): ("composes", 0.75),
        ("city_of", "nationality"): ("composes", 0.75),
        ("book_of", "works_with"): ("composes", 0.9),
        ("published_by", "works_with"): ("composes", 0.9),
    }
    assert network.nodes["meets"]["symmetric"] == 0.8
    assert network.nodes["within"]["transitive"] == 0.8
    assert network.edges["city_of", "nationality"]["with"] == "born_in ∘ city_of ⇒ nationality"
    assert list(nx.ancestors(network, "located_in")) == ["capital_of"]
    nx.write_graphml(network, tmp_path / "relations.graphml")
    assert nx.read_graphml(tmp_path / "relations.graphml").edges["parent", "child"]["weight"] == 0.75
    del data.relation_labels
    data.relation_names = ["same"] * len(data.relation_names)
    with pytest.raises(DataError, match="two relations have the same name"):
        mine_patterns(data).pattern_graph()


def test_the_page():
    page = mine_patterns(planted(), min_confidence=0.7).page(width=80, k=1)
    assert page.startswith("440 entities, 13 relations; triples: train 471, val 0, test 0; looked at: train")
    for told in ("Symmetric relations: 1", "Inverse relations: 2", "Compositions: 2", "Reflexive relations: 1"):
        assert told in page
    assert "  meets⁻¹ ⇒ meets: 20 of 25 pairs (80.0%); PCA 100.0%; 80.0% of the head" in page
    assert "born_in ∘ city_of" not in page  # one rule of each kind: the best supported
    assert max(map(len, page.splitlines())) <= 80


@pytest.mark.parametrize(
    "data",
    [
        graph([], num_nodes=0, num_relations=0),
        graph([], num_nodes=5, num_relations=0),
        graph([], num_nodes=5, num_relations=3),
    ],
    ids=["nothing", "no relations", "no triples"],
)
def test_an_empty_graph(data):
    found = mine_patterns(data, **ANY)
    assert len(found) == 0
    assert list(found.table().columns)[:2] == ["kind", "rule"]
    assert found.labels().shape == (data.num_relations, len(KINDS))
    assert found.pattern_of_relation().tolist() == ["none"] * data.num_relations
    assert found.pattern_graph().number_of_nodes() == data.num_relations
    assert "Compositions: 0" in found.page()


def test_a_relation_with_a_single_triple_and_one_with_none():
    found = mine_patterns(graph([(0, 0, 1), (2, 1, 2)], num_relations=3), min_support=1)
    assert found.table().rule.tolist() == ["relation 1(x, x)", "relation 0⁻¹ ⇒ not relation 0"]
    assert len(mine_patterns(graph([(0, 0, 1)]))) == 0  # by default, a single triple is no pattern


def test_a_hundred_thousand_entities():
    draw = np.random.default_rng(0)
    n = 100_000
    people = draw.permutation(n)
    ring = np.stack([people, np.zeros(n, dtype=int), np.roll(people, 1)], 1)
    back = ring[: n // 2, [2, 1, 0]] + [0, 1, 0]
    hub = np.stack([draw.integers(0, n, 30_000), np.full(30_000, 2), draw.integers(0, 3, 30_000)], 1)
    found = mine_patterns(graph(np.concatenate([ring, back, hub]).tolist(), num_nodes=n))
    assert found["inverse"].rule.tolist() == ["relation 1⁻¹ ⇒ relation 0"]
    assert not len(found["composition"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"min_support": 0}, "min_support is 0. Cure: give at least 1"),
        ({"min_confidence": 1.5}, "min_confidence is 1.5. Cure: give a share from 0 to 1"),
        ({"min_pca": float("nan")}, "min_pca is nan"),
        ({"min_head_coverage": -1}, "min_head_coverage is -1"),
        ({"splits": ("train", "valid")}, "split 'valid'. Cure: choose out of train, val, test"),
        ({"splits": ()}, "no split to look at"),
        ({"memory_mb": 0}, "memory_mb is 0"),
    ],
)
def test_bad_arguments(options, told):
    with pytest.raises(DataError, match=told):
        mine_patterns(graph([(0, 0, 1)]), **options)


def test_bad_graphs():
    data = graph([(0, 0, 1)])
    del data.val_mask
    with pytest.raises(DataError, match="the graph has no val_mask"):
        mine_patterns(data)
    with pytest.raises(DataError, match="relation ids run from 3 to 3, expected 0 to 1"):
        mine_patterns(graph([(0, 3, 1)], num_relations=2))
    found = mine_patterns(graph([(0, 0, 1)]))
    with pytest.raises(DataError, match=r"kind 'inverted'\. Cure: choose one of symmetric, inverse"):
        found["inverted"]
    with pytest.raises(DataError, match=r"no rule 7\. Cure: give one of the 0 in the index of rules"):
        found.examples(7)


def real(shared, kind, folder, tmp_path, monkeypatch):
    if not (shared / "data" / folder / "raw").is_dir():
        pytest.skip(f"{shared}/data/{folder}/raw is not there")
    monkeypatch.setenv("MMKG_RAW", str(shared / "data"))
    return kind(tmp_path, log=False).topology


def test_wn18_relations_are_what_wordnet_says(shared, tmp_path, monkeypatch):
    found = mine_patterns(real(shared, datasets.WN18, "WN18", tmp_path, monkeypatch))
    assert {"_similar_to", "_verb_group", "_derivationally_related_form"} <= set(found["symmetric"]["head"])
    pairs = set(zip(found["inverse"]["first"], found["inverse"]["head"], strict=True))
    for one, other in (("_hypernym", "_hyponym"), ("_member_holonym", "_member_meronym"), ("_part_of", "_has_part")):
        assert {(f"{one}⁻¹", other), (f"{other}⁻¹", one)} <= pairs
    assert {"_hypernym", "_hyponym"} <= set(found["antisymmetric"]["head"])
    measured = found["inverse"].set_index("rule").loc["_hypernym⁻¹ ⇒ _hyponym"]
    assert (measured.support, measured.body) == (32537, 34796)


def test_fb15k_inverse_families(shared, tmp_path, monkeypatch):
    found = mine_patterns(real(shared, datasets.FB15K, "FB15K", tmp_path, monkeypatch), paths=False)
    pairs = set(zip(found["inverse"]["first"], found["inverse"]["head"], strict=True))
    for one, other in (
        ("/people/person/profession", "/people/profession/people_with_this_profession"),
        ("/location/location/contains", "/location/location/containedby"),
        ("/film/film/directed_by", "/film/director/film"),
        ("/film/actor/film./film/performance/film", "/film/film/starring./film/performance/actor"),
        ("/people/person/place_of_birth", "/location/location/people_born_here"),
    ):
        assert {(f"{one}⁻¹", other), (f"{other}⁻¹", one)} <= pairs, one
    symmetric = set(found["symmetric"]["head"])
    assert "/people/person/spouse_s./people/marriage/spouse" in symmetric
    assert "/location/location/adjoin_s./location/adjoining_relationship/adjoins" in symmetric
    assert len(pairs) > 1000
