"""Near-duplicates: what is alike is found, with the evidence for and against."""

import math

import pytest
from linking_world import features

from mmkg.datasets import from_triples
from mmkg.linking import near_duplicates

DATA = from_triples(
    [
        ("Apple", "kind of", "fruit"),
        ("apple!", "kind of", "fruit"),
        ("Apple", "grows on", "tree"),
        ("apple!", "grows on", "tree"),
        ("pear", "kind of", "fruit"),
        ("pear", "unlike", "quince"),
        ("Ápple", "kind of", "company"),
    ]
)


def of(name):
    return DATA.entity_names.index(name)


def row(found, a, b):
    chosen = found[
        (found.label_a == min((of(a), a), (of(b), b))[1]) & (found.label_b == max((of(a), a), (of(b), b))[1])
    ]
    return chosen.iloc[0]


def test_labels_alone():
    found = near_duplicates(DATA)
    assert {(r.label_a, r.label_b) for r in found.itertuples()} == {("Apple", "apple!"), ("Apple", "Ápple")}
    assert (found.a < found.b).all()
    one, two = row(found, "Apple", "apple!"), row(found, "Apple", "Ápple")
    assert (one.shared_links, one.links_alike, one.linked) == (2, 1.0, False)
    assert (two.shared_links, two.links_alike) == (0, 0.0)
    assert found.iloc[0].label_b == "apple!"  # the likelier first
    assert found[["text", "image"]].isna().all().all()


def test_features_find_what_labels_do_not():
    rows = [None] * DATA.num_nodes
    rows[of("pear")], rows[of("quince")], rows[of("tree")] = [[1.0, 0.1]], [[2.0, 0.2]], [[0.0, 1.0]]
    found = near_duplicates(DATA, {"text": features(rows)}, threshold=0.99)
    pair = row(found, "pear", "quince")
    assert pair.text == pytest.approx(1)
    assert math.isnan(pair.image)
    assert pair.linked  # they are linked to one another: likely two
    assert not pair.same_label
    assert len(found) == 3
    loose = near_duplicates(DATA, {"text": features(rows)}, threshold=0.05)
    assert len(loose) == 5


def test_no_pair_of_an_entity_and_itself():
    rows = [[[1.0, 0.0]]] * DATA.num_nodes
    found = near_duplicates(DATA, {"text": features(rows)}, k=DATA.num_nodes)
    assert len(found) == DATA.num_nodes * (DATA.num_nodes - 1) // 2
    assert not (found.a == found.b).any()


def test_held_out_links_are_no_evidence():
    held = from_triples([("A", "r", "c"), ("a", "q", "c")], valid=[("a", "r", "c")])
    assert near_duplicates(held).shared_links.tolist() == [0]


def test_nothing_alike_gives_an_empty_table():
    found = near_duplicates(from_triples([("x", "r", "y")]))
    assert len(found) == 0
    assert "links_alike" in found


@pytest.mark.parametrize("options", [{"threshold": 0}, {"threshold": 1.5}, {"k": 0}])
def test_numbers_out_of_range(options):
    with pytest.raises(ValueError, match="give a cosine"):
        near_duplicates(DATA, {"text": features([[[1.0]]] * DATA.num_nodes)}, **options)
