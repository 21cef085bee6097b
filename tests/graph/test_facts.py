"""Facts against plain Python sets."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from mmkg.graph import Facts
from mmkg.types import Batch

N, R = 9, 3
triples = st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, R - 1), st.integers(0, N - 1)), max_size=60)


def columns(rows):
    return tuple(torch.tensor([x[i] for x in rows], dtype=torch.long) for i in range(3))


def answers(rows, query, side):
    """Known answers by a plain loop."""
    h, r, t = query
    if side == "tail":
        return {x[2] for x in rows if x[:2] == (h, r)}
    return {x[0] for x in rows if x[1:] == (r, t)}


@settings(max_examples=60, deadline=None)
@given(triples, triples, st.sampled_from(["head", "tail"]))
def test_masks_pairs_and_counts_match_sets(known, asked, side):
    facts, batch = Facts(*columns(known), N, R), Batch(*columns(asked))
    expected = [answers(known, q, side) for q in asked]
    mask = facts.mask(batch, side)
    assert mask.shape == (len(asked), N)
    assert [set(row.nonzero().flatten().tolist()) for row in mask] == expected
    assert facts.count(batch, side).tolist() == [len(x) for x in expected]
    rows, ids = facts.known(batch, side)
    assert list(zip(rows.tolist(), ids.tolist(), strict=True)) == [
        (b, e) for b, x in enumerate(expected) for e in sorted(x)
    ]
    shared = torch.tensor([4, 0, 4, 7])
    assert torch.equal(facts.mask(batch, side, shared), mask[:, shared])
    own = torch.arange(len(asked) * 5).reshape(len(asked), 5) % N
    assert torch.equal(facts.mask(batch, side, own), mask.gather(1, own))
    assert facts.contains(*columns(asked)).tolist() == [q in known for q in asked]
    assert len(facts) == len(set(known))


@settings(max_examples=60, deadline=None)
@given(triples, triples, st.sampled_from(["head", "tail"]))
def test_unknown_enumerates_exactly_the_rest(known, asked, side):
    facts, batch = Facts(*columns(known), N, R), Batch(*columns(asked))
    orders = torch.arange(N).expand(len(asked), N)
    found = facts.unknown(batch, side, orders)
    for b, query in enumerate(asked):
        rest = sorted(set(range(N)) - answers(known, query, side))
        assert found[b, : len(rest)].tolist() == rest


def test_known_tails_and_heads_by_name():
    facts = Facts(*columns([(0, 1, 2), (0, 1, 5), (3, 1, 2)]), N, R)
    rows, ids = facts.known_tails(torch.tensor([3, 0]), torch.tensor([1, 1]))
    assert (rows.tolist(), ids.tolist()) == ([0, 1, 1], [2, 2, 5])
    rows, ids = facts.known_heads(torch.tensor([1]), torch.tensor([2]))
    assert (rows.tolist(), ids.tolist()) == ([0, 0], [0, 3])


def graph():
    edge_index, edge_type = torch.tensor([[0, 1, 2, 3], [4, 5, 6, 7]]), torch.tensor([0, 1, 2, 0])
    data = Data(edge_index=edge_index, edge_type=edge_type, num_nodes=N)
    data.num_relations = R
    for i, split in enumerate(("train", "val", "test")):
        data[f"{split}_mask"] = torch.tensor([i == 0, i == 0, i == 1, i == 2])
    return data


def test_training_facts_do_not_see_held_out_triples():
    data = graph()
    data.extra_filter = torch.tensor([[8], [0], [8]])
    train, every = Facts.from_data(data), Facts.from_data(data, ("train", "val", "test"))
    assert (len(train), len(every)) == (2, 5)
    assert not train.contains(torch.tensor([2, 3, 8]), torch.tensor([2, 0, 0]), torch.tensor([6, 7, 8])).any()
    assert every.contains(torch.tensor([2, 3, 8]), torch.tensor([2, 0, 0]), torch.tensor([6, 7, 8])).all()


def test_to_the_same_device_is_free():
    facts = Facts(*columns([(0, 1, 2)]), N, R)
    assert facts.to("cpu") is facts
    assert facts.to("meta").device.type == "meta"


@pytest.mark.parametrize(
    ("head", "relation", "tail", "message"),
    [
        ([0], [0], [N], f"tail ids run from {N} to {N}, expected 0 to {N - 1}"),
        ([-1], [0], [0], "head ids run from -1"),
        ([0], [R], [0], "relation ids run"),
        ([0, 1], [0], [0], "all must be"),
    ],
)
def test_ids_out_of_range(head, relation, tail, message):
    with pytest.raises(ValueError, match=message):
        Facts(torch.tensor(head), torch.tensor(relation), torch.tensor(tail), N, R)


def test_keys_beyond_63_bits_are_refused():
    one = torch.zeros(1, dtype=torch.long)
    with pytest.raises(ValueError, match="63 bits"):
        Facts(one, one, one, 2**31, 2**10)


@settings(max_examples=40, deadline=None)
@given(triples, st.lists(st.integers(0, R - 1), max_size=5), st.sampled_from(["head", "tail"]))
def test_entities_seen_at_a_side_of_a_relation(known, asked, side):
    facts = Facts(*columns(known), N, R)
    end = 0 if side == "head" else 2
    expected = [(at, e) for at, r in enumerate(asked) for e in sorted({x[end] for x in known if x[1] == r})]
    for these in (facts, facts.to("cpu")):
        rows, ids = these.seen(torch.tensor(asked, dtype=torch.long), side)
        assert list(zip(rows.tolist(), ids.tolist(), strict=True)) == expected


def test_triples_come_back_from_the_facts():
    h, r, t = torch.tensor([2, 0, 2, 0]), torch.tensor([1, 0, 0, 0]), torch.tensor([1, 3, 2, 3])
    assert torch.stack(Facts(h, r, t, 4, 2).triples(), 1).tolist() == [[0, 0, 3], [2, 0, 2], [2, 1, 1]]
    empty = torch.zeros(0, dtype=torch.long)
    assert [x.numel() for x in Facts(empty, empty, empty, 4, 0).triples()] == [0, 0, 0]
