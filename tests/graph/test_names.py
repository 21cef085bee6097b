"""What entities, relations and links are called, with and without names."""

import pytest
import torch
from torch_geometric.data import Data

from mmkg.errors import UnknownNameError
from mmkg.graph.names import Names, find_entity, find_relation


@pytest.fixture
def data():
    data = Data(edge_index=torch.tensor([[0], [1]]), edge_type=torch.tensor([0]), num_nodes=3)
    data.num_relations = 2
    return data


def test_without_names_numbers_are_read_and_shown(data):
    names = Names.of(data)
    assert names.triple(0, 1, 2) == "(entity 0, relation 1, entity 2)"
    assert find_entity(data, names.entity(2)) == find_entity(data, 2) == 2
    assert find_relation(data, names.relation(1)) == 1
    with pytest.raises(UnknownNameError, match=r"unknown entity '3'\. Nearest: 0 to 2"):
        find_entity(data, 3)
    with pytest.raises(UnknownNameError, match=r"unknown entity 'Paris'"):
        find_entity(data, "Paris")


def test_labels_unless_relations_share_one(data):
    data.entity_names, data.entity_labels = ["Q1", "Q2", "Q3"], ["Paris", "France", "Rome"]
    data.relation_names, data.relation_labels = ["x/capital", "y/in"], ["capital", "in"]
    names = Names.of(data)
    assert names.triple(0, 0, 1) == "(Paris, capital, France)"
    assert [names.direction(s, 2) for s in (0, 3, -1)] == ["capital", "in⁻¹", ""]
    assert names.link(1, 2, 0, 2) == "(Paris, capital, France)"
    data.relation_labels = ["capital", "capital"]
    assert Names.of(data).relation(1) == "y/in"
