"""The graph in the hands of PyG: what belongs to an entity stays with it."""

import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader, NeighborLoader
from torch_geometric.nn import RGCNConv
from torch_geometric.nn.kge import TransE
from torch_geometric.utils import k_hop_subgraph

from mmkg.datasets import DB15K
from mmkg.datasets.graph_data import KGData


@pytest.fixture
def data(root):
    """The small graph, each entity's features being its number."""
    graph = DB15K(root)[0]
    for name, rows in (("image", 3), ("text", 2)):
        graph[name] = torch.arange(7).half()[:, None, None].expand(7, rows, 5).clone()
        graph[f"{name}_mask"] = torch.arange(7)[:, None] % 2 == torch.zeros(rows)
    return graph


@pytest.fixture
def square():
    """Three entities, three triples, three relations, three triples to filter: lengths tell nothing here."""
    return KGData(
        edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]),
        edge_type=torch.tensor([0, 1, 2]),
        train_mask=torch.tensor([True, False, True]),
        extra_filter=torch.tensor([[0, 1, 2], [0, 1, 2], [2, 0, 1]]),
        entity_names=["a", "b", "c"],
        relation_names=["r", "s", "t"],
        num_nodes=3,
        num_relations=3,
    )


@pytest.mark.parametrize("as_mask", [True, False])
def test_subgraph(data, as_mask):
    ids = torch.tensor([1, 5, 6, 4])
    mask = torch.zeros(7, dtype=torch.bool).scatter(0, ids, True)
    part = data.subgraph(mask if as_mask else ids)
    kept = mask.nonzero().view(-1) if as_mask else ids
    assert part.num_nodes == 4
    assert part.image[:, 0, 0].tolist() == kept.tolist()
    assert part.entity_names == [data.entity_names[i] for i in kept]
    assert part.relation_names == data.relation_names
    assert len(part.edge_type) == len(part.train_mask) == part.num_edges == 4
    for (h, t), r in zip(part.edge_index.t().tolist(), part.edge_type.tolist(), strict=True):
        whole = (data.edge_index == torch.stack([kept[h], kept[t]])[:, None]).all(0) & (data.edge_type == r)
        assert whole.any()
    h, r, t = part.extra_filter.t().tolist()[0]
    assert (int(kept[h]), r, int(kept[t])) == (6, 1, 5)
    assert data.subgraph(torch.tensor([0, 1])).extra_filter.shape == (3, 0)


def test_subgraph_where_lengths_tell_nothing(square):
    part = square.subgraph(torch.tensor([2, 0]))
    assert part.entity_names == ["c", "a"]
    assert part.relation_names == ["r", "s", "t"]
    assert part.edge_index.tolist() == [[0], [1]]
    assert part.train_mask.tolist() == [True]
    assert part.extra_filter.tolist() == [[1], [0], [0]]
    assert part.num_edge_types == 3


def test_k_hop_subgraph(data):
    subset, edge_index, _, edge_mask = k_hop_subgraph(3, 1, data.edge_index, relabel_nodes=True, num_nodes=7)
    part = data.subgraph(subset)
    assert set(subset.tolist()) == {2, 3}
    assert part.image[:, 0, 0].tolist() == subset.tolist()
    assert torch.equal(subset[edge_index], data.edge_index[:, edge_mask])
    assert torch.equal(torch.sort(part.edge_type)[0], torch.sort(data.edge_type[edge_mask])[0])


def test_batch(data):
    batch = Batch.from_data_list([data, data.subgraph(torch.tensor([5, 6])), data])
    assert batch.num_nodes == 16
    assert batch.image[:, 0, 0].tolist() == [*range(7), 5, 6, *range(7)]
    assert batch.num_edge_types == 2
    assert batch.extra_filter.tolist() == [[6, 8, 15], [1, 1, 1], [5, 7, 14]]  # relations are shared
    assert int(batch.edge_index.max()) < 16
    assert batch.edge_type.max() == 1
    for i, one in enumerate(batch.to_data_list()):
        assert type(one) is KGData
        assert one.extra_filter.tolist() == [[[6], [1], [5]], [[1], [1], [0]]][i % 2]
        assert one.entity_names == (data.entity_names if i != 1 else [data.entity_names[k] for k in (5, 6)])


def test_a_loader_gives_the_graph(root):
    (batch,) = DataLoader(DB15K(root), batch_size=1)
    assert batch.num_nodes == 7
    assert torch.equal(batch.edge_index, DB15K(root)[0].edge_index)


def test_neighbor_loader(data):
    pytest.importorskip("pyg_lib", reason="NeighborLoader needs pyg-lib, which is not on PyPI")
    loader = NeighborLoader(data, num_neighbors=[2], input_nodes=torch.tensor([3, 5]), batch_size=2)
    for batch in loader:
        assert batch.image[:, 0, 0].tolist() == batch.n_id.tolist()


def test_edge_subgraph_keeps_entities(data):
    train = data.edge_subgraph(data.train_mask)
    assert train.num_nodes == 7
    assert train.edge_index.shape[1] == train.edge_type.shape[0] == int(data.train_mask.sum())
    assert train.image.shape[0] == 7


def test_rgcn_on_train_edges(root):
    whole, view = DB15K(root)[0], DB15K(root, split="train")[0]
    torch.manual_seed(0)
    x = torch.randn(7, 8)
    layers = torch.nn.ModuleList([RGCNConv(8, 8, whole.num_edge_types), RGCNConv(8, 4, whole.num_edge_types)])

    def embed(edge_index, edge_type):
        return layers[1](layers[0](x, edge_index, edge_type).relu(), edge_index, edge_type)

    by_mask = embed(whole.edge_index[:, whole.train_mask], whole.edge_type[whole.train_mask])
    by_view = embed(view.edge_index, view.edge_type)
    assert by_mask.shape == (7, 4)
    assert torch.equal(by_mask, by_view)
    by_view.sum().backward()
    assert layers[0].weight.grad.isfinite().all()


def test_pygs_own_kge_example(root):
    train, test = DB15K(root, split="train")[0], DB15K(root, split="test")[0]
    model = TransE(num_nodes=train.num_nodes, num_relations=train.num_edge_types, hidden_channels=8)
    loader = model.loader(train.edge_index[0], train.edge_type, train.edge_index[1], batch_size=4)
    for batch in loader:
        model.loss(*batch).backward()
    assert len(model.test(test.edge_index[0], test.edge_type, test.edge_index[1], batch_size=4, log=False)) >= 3


def test_other_attributes_are_judged_as_pyg_does():
    plain = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), weight=torch.ones(2), num_nodes=3)
    ours = KGData(edge_index=plain.edge_index, weight=plain.weight, degree=torch.ones(3), num_nodes=3)
    assert ours.is_edge_attr("weight")
    assert plain.is_edge_attr("weight")
    assert ours.is_node_attr("degree")
    assert not ours.is_node_attr("weight")
    assert KGData(edge_index=plain.edge_index, edge_type=torch.tensor([0, 4])).num_edge_types == 5
