"""Entities held out whole: nothing of them stays in the graph, and nobody else becomes unseen."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmkg.datasets import from_triples, hold_out
from mmkg.errors import DataError
from mmkg.types import Features

TRIPLES = st.lists(st.tuples(st.integers(0, 14), st.integers(0, 2), st.integers(0, 14)), min_size=20, max_size=120)


def graph(rows, held_out=0):
    named = [(f"e{h}", f"r{r}", f"e{t}") for h, r, t in rows]
    cut = len(named) - held_out
    return from_triples(named[:cut], named[cut : cut + held_out // 2], named[cut + held_out // 2 :])


def by_name(split, data, triples):
    names = [data.entity_names[i] for i in split.order.tolist()]
    return {(names[h], data.relation_names[r], names[t]) for h, r, t in triples.tolist()}


def train_of(data):
    rows = torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], 1)[data.train_mask]
    return {(data.entity_names[h], data.relation_names[r], data.entity_names[t]) for h, r, t in rows.tolist()}


@settings(max_examples=100, deadline=None)
@given(TRIPLES, st.integers(0, 3), st.integers(0, 2))
def test_guarantees(rows, seed, most):
    data = graph(rows, held_out=6)
    try:
        split = hold_out(data, 0.4, seed, max_support=most)
    except DataError:  # nobody has triples enough: a test of its own says what is told
        return
    known = set(split.known.entity_names)
    unseen = {data.entity_names[i] for i in split.order[split.num_known :].tolist()}
    assert known | unseen == set(data.entity_names)
    assert not known & unseen
    train, seen = train_of(data), {x for h, _, t in train_of(split.known) for x in (h, t)}
    assert not seen & unseen  # whole
    assert seen == known & {x for h, _, t in train for x in (h, t)}  # nobody else became unseen
    assert {r for _, r, _ in train_of(split.known)} == {r for _, r, _ in train}
    support, queries = by_name(split, data, split.support), by_name(split, data, split.queries)
    assert not support & queries
    assert support | queries == {x for x in train if (x[0] in unseen) + (x[2] in unseen) == 1}
    assert len(support) == len(unseen) * most
    asked = split.queries[:, [0, 2]].max(1).values  # the unseen one has the larger id
    assert set(asked.tolist()) == set(split.unseen().tolist())  # each is asked about
    assert len(split.questions("val")) + len(split.questions("test")) == len(split.queries)
    assert len(split.unseen("val")) + len(split.unseen("test")) == len(unseen)
    every = {(f"e{h}", f"r{r}", f"e{t}") for h, r, t in rows}
    assert by_name(split, data, split.filter) == every
    touched = {x for x in every if x[0] in unseen or x[2] in unseen}
    assert split.set_aside == len(touched) - len(support) - len(queries)


@settings(max_examples=30, deadline=None)
@given(TRIPLES, st.randoms())
def test_the_order_of_rows_does_not_matter(rows, random):
    def chosen(order):
        data = graph(rows)
        data.edge_index, data.edge_type = data.edge_index[:, order], data.edge_type[order]
        try:
            split = hold_out(data, 0.3, 1, max_support=1)
        except DataError:
            return None
        return by_name(split, data, split.support), by_name(split, data, split.queries), split.order.tolist()

    order = list(range(len(rows)))
    random.shuffle(order)
    assert chosen(torch.arange(len(rows))) == chosen(torch.tensor(order))


def dense():
    return graph([(h, r, t) for h in range(12) for r in range(2) for t in range(12) if (h + 2 * t + r) % 3 == 0])


def test_fewer_shots_are_the_first_of_more():
    split = hold_out(dense(), 0.3, 0, max_support=5)
    five, one = split.supports(5), split.supports(1)
    assert len(split.supports(0)) == 0
    assert len(one) == len(split.unseen())
    assert {tuple(x) for x in one.tolist()} < {tuple(x) for x in five.tolist()}
    parts = [split.supports(5, part) for part in ("val", "test")]
    assert sorted(torch.cat(parts).tolist()) == sorted(five.tolist())


def test_seeds_choose_others():
    data = dense()
    orders = {tuple(hold_out(data, 0.3, seed, max_support=1).order.tolist()) for seed in range(5)}
    assert len(orders) == 5


def test_features_follow_the_new_ids():
    data = dense()
    n = data.num_nodes
    features = Features(
        torch.arange(n, dtype=torch.float32).reshape(n, 1, 1), torch.ones(n, 1, dtype=torch.bool), torch.arange(n)
    )
    split = hold_out(data, 0.3, 0, max_support=1)
    moved = split.features(features)
    assert moved.gather(torch.arange(n))[0].flatten().long().tolist() == split.order.tolist()
    own = split.features(features, known_only=True)
    assert (
        own.gather(torch.arange(split.num_known))[0].flatten().long().tolist()
        == split.order[: split.num_known].tolist()
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [({"fraction": 0}, "fraction 0"), ({"validation": 1}, "validation 1"), ({"max_support": -1}, "at least 0")],
)
def test_numbers_out_of_range(options, told):
    with pytest.raises(DataError, match=told):
        hold_out(dense(), **options)


def test_a_graph_too_thin_says_what_to_do():
    with pytest.raises(DataError, match="set max_support lower"):
        hold_out(graph([(i, 0, i + 1) for i in range(8)]), 0.5)


def test_a_fraction_of_nobody_says_so():
    with pytest.raises(DataError, match=r"fraction 0.1 of 3 entities is none. Cure: give a larger fraction"):
        hold_out(graph([(0, 0, 1), (1, 0, 2)]), 0.1)


def test_an_unknown_part():
    with pytest.raises(DataError, match="choose one of val, test"):
        hold_out(dense(), 0.3).questions("train")
