"""Two graphs mean the same by an id if names, their order and sizes are the same; triples do not matter."""

import json

import torch
from torch_geometric.data import Data

from mmkg.graph.vocabulary import vocabulary


def graph(entities=("a", "b"), relations=("r",)):
    data = Data(num_nodes=len(entities), num_relations=len(relations), edge_index=torch.tensor([[0], [1]]))
    data.entity_names, data.relation_names = list(entities), list(relations)
    return data


def test_names_order_and_kind_matter():
    others = [
        graph(("b", "a")),
        graph(("a", "c")),
        graph(("a", "b", "c")),
        graph(("a",), ("b", "r")),
        graph(("a", "b"), ("s",)),
        graph(('a", "b',), ("r",)),
    ]
    found = [vocabulary(g) for g in (graph(), *others)]
    assert len({json.dumps(v) for v in found}) == len(found)


def test_triples_do_not_matter_and_it_survives_json():
    other = graph()
    other.edge_index = torch.tensor([[1], [0]])
    assert vocabulary(other) == vocabulary(graph())
    assert json.loads(json.dumps(vocabulary(graph()))) == vocabulary(graph())
