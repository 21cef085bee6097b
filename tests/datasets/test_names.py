"""From what a person types to an id."""

import numpy as np
import pytest

from mmkg.datasets import DB15K, find_entity, find_relation
from mmkg.datasets.names import readable
from mmkg.errors import DataError, UnknownNameError


@pytest.mark.parametrize("name", ["<http://dbpedia.org/resource/Paris>", "Paris label", "paris LABEL", 1, np.int64(1)])
def test_found(root, name):
    dataset = DB15K(root)
    assert dataset.find_entity(name) == find_entity(dataset[0], name) == 1


def test_relations(root):
    dataset = DB15K(root)
    assert dataset.find_relation("seeAlso") == dataset.find_relation("seealso") == 1
    assert find_relation(dataset[0], "<http://dbpedia.org/ontology/capital>") == 0
    assert DB15K(root, split="val").find_relation("capital") == 0


def test_the_nearest_are_named(root):
    with pytest.raises(UnknownNameError, match=r"unknown entity 'Pariss label'\. Nearest: Paris label"):
        DB15K(root).find_entity("Pariss label")
    with pytest.raises(UnknownNameError, match=r"unknown relation 'capitol'\. Nearest: capital"):
        DB15K(root).find_relation("capitol")
    with pytest.raises(UnknownNameError, match=r"unknown entity '7'\. Nearest: 0 to 6"):
        DB15K(root).find_entity(7)


def test_an_ambiguous_label_lists_the_ids(root):
    path = root / "DB15K/entity2text.tsv"
    path.write_text(path.read_text(encoding="utf-8").replace("Rome label", "Paris label"), encoding="utf-8")
    with pytest.raises(
        DataError, match=r"entity 'Paris label' may be one of 2: <.*Paris>, <.*Rome>. Cure: give the id"
    ):
        DB15K(root).find_entity("Paris label")
    assert DB15K(root).find_entity("<http://dbpedia.org/resource/Rome>") == 4


def test_lists_and_exact_before_folded():
    names = ["it", "IT", "Information technology"]
    assert [find_entity(names, n) for n in names] == [0, 1, 2]
    with pytest.raises(DataError, match="may be one of 2: it, IT"):
        find_entity(names, "It")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("<http://dbpedia.org/resource/AC/DC>", "AC/DC"),
        ("‹http://dbpedia.org/resource/Franciaország>", "Franciaország"),
        ("<http://www.w3.org/2000/01/rdf-schema#seeAlso>", "seeAlso"),
        ("http://www.wikidata.org/entity/Q42", "Q42"),
        ("http://dbpedia.org/resource/Z%C3%BCrich", "Zürich"),
        ("/m/027rn", "/m/027rn"),
        ("00001740", "00001740"),
    ],
)
def test_readable(name, label):
    assert readable(name) == label
