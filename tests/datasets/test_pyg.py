"""The graph in the hands of PyG: what belongs to an entity stays with it."""

import copy
import warnings

import pytest
import torch
import torch_geometric.typing
from test_benchmarks import TRIPLES, rendered, write_small
from torch_geometric.data import Batch, Data
from torch_geometric.datasets import FB15k_237 as PyGs
from torch_geometric.loader import DataLoader, NeighborLoader
from torch_geometric.loader.utils import filter_data
from torch_geometric.nn import RGCNConv
from torch_geometric.nn.kge import TransE
from torch_geometric.utils import k_hop_subgraph

from mmkg.datasets import DB15K, MKG_Y, WN18, WN18RR, FB15k_237
from mmkg.datasets.graph_data import KGData, KGStorage


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
    assert not incremented(batch, [data, data.subgraph(torch.tensor([5, 6])), data])
    for i, one in enumerate(batch.to_data_list()):
        assert type(one) is KGData
        assert one.extra_filter.tolist() == [[[6], [1], [5]], [[1], [1], [0]]][i % 2]
        assert one.entity_names == (data.entity_names if i != 1 else [data.entity_names[k] for k in (5, 6)])


SHIFTED = {"edge_index", "extra_filter"}  # entity ids in them are those of the batch


def incremented(batch: Batch, parts: list[KGData]) -> list[str]:
    """Attributes whose values are others in a batch than in its parts, but should not be."""
    wrong = []
    for key in parts[0].keys():  # noqa: SIM118 (not a dict)
        values = [part[key] for part in parts]
        if key in SHIFTED or not torch.is_tensor(values[0]) or values[0].dim() == 0:
            continue
        if not torch.equal(batch[key], torch.cat(values)):
            wrong.append(key)
    return wrong


def test_the_trap_of_attributes_called_index_or_batch(data):
    # PyG adds the number of nodes before to every attribute whose name holds "index", and "batch" is not far behind
    parts = [data, data.clone()]
    assert incremented(Batch.from_data_list(parts), parts) == []
    for name in ("image_index", "row_of_batch"):
        for part in parts:
            part[name] = torch.arange(7)
    assert sorted(incremented(Batch.from_data_list(parts), parts)) == ["image_index", "row_of_batch"]


def test_a_loader_gives_the_graph(root):
    (batch,) = DataLoader(DB15K(root), batch_size=1)
    assert batch.num_nodes == 7
    assert torch.equal(batch.edge_index, DB15K(root)[0].edge_index)


def test_neighbor_loader(data):
    if not (torch_geometric.typing.WITH_PYG_LIB or torch_geometric.typing.WITH_TORCH_SPARSE):
        pytest.skip("NeighborLoader needs pyg-lib or torch-sparse, of which PyPI has no wheels")
    numbered = data.clone()
    numbered.image[:] = torch.arange(7).half()[:, None, None]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*without a 'pyg-lib' installation")
        loader = NeighborLoader(numbered, num_neighbors=[2, 2], input_nodes=torch.tensor([3, 5, 0]), batch_size=2)
    seen = []
    for batch in loader:
        assert type(batch) is KGData
        assert batch.entity_names == [data.entity_names[i] for i in batch.n_id]
        assert batch.descriptions == [data.descriptions[i] for i in batch.n_id]
        assert batch.relation_names == data.relation_names
        seen += batch.input_id.tolist()
        assert batch.image[:, 0, 0].tolist() == batch.n_id.tolist()
        assert torch.equal(batch.image_mask, data.image_mask[batch.n_id])
        assert torch.equal(batch.text, data.text[batch.n_id])
        assert torch.equal(batch.edge_type, data.edge_type[batch.e_id])
        assert torch.equal(batch.n_id[batch.edge_index], data.edge_index[:, batch.e_id])
        assert torch.equal(batch.train_mask, data.train_mask[batch.e_id])
        assert batch.num_edge_types == 2
    assert seen == [0, 1, 2]


def test_what_a_sampler_draws_is_renumbered(square):
    # as PyG's loaders do it: the tensors are cut, then n_id says to what
    square.image = torch.arange(3.0)
    square.other = [1, 2, 3]
    drawn = filter_data(square, torch.tensor([2, 0]), torch.tensor([0]), torch.tensor([1]), torch.tensor([2]))
    assert drawn.image.tolist() == [2, 0]
    assert drawn.edge_type.tolist() == [2]
    assert drawn.train_mask.tolist() == [True]
    drawn.n_id = torch.tensor([2, 0])
    assert drawn.entity_names == ["c", "a"]
    assert drawn.n_id.tolist() == [2, 0]
    assert drawn.relation_names == ["r", "s", "t"]  # as many as entities and edges, and neither
    assert drawn.extra_filter.tolist() == [[1], [0], [0]]
    assert (drawn.num_nodes, drawn.num_relations) == (2, 3)
    assert square.entity_names == ["a", "b", "c"]
    with pytest.raises(AttributeError, match="n_id"):
        square.n_id  # noqa: B018
    assert "n_id" not in square


def test_copies_keep_their_kind(data):
    for other in (copy.copy(data), copy.deepcopy(data), data.clone(), KGData.from_dict(data.to_dict()), data.cpu()):
        assert type(other._store) is KGStorage
        assert other._store._parent() is other
        assert not other._store.is_node_attr("entity_names")
        assert other.is_node_attr("entity_names")


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


def edges_but_these(root, part: str, lines: list[str]) -> None:
    """Another content of one split."""
    (root / f"DB15K/raw/{part}2id.txt").write_text("\n".join([str(len(lines)), *lines]) + "\n")


def test_held_out_edges_reach_no_message(root):
    torch.manual_seed(0)
    layers = [RGCNConv(8, 8, 2), RGCNConv(8, 4, 2)]
    x = torch.randn(7, 8)

    def embed(edge_index, edge_type):
        return layers[1](layers[0](x, edge_index, edge_type).relu(), edge_index, edge_type)

    def embedded():
        view, whole = DB15K(root, split="train")[0], DB15K(root)[0]
        return embed(view.edge_index, view.edge_type), embed(whole.edge_index, whole.edge_type)

    before, over_all = embedded()
    edges_but_these(root, "test", ["2 6 0", "3 6 1"])
    edges_but_these(root, "valid", ["6 2 0", "3 1 1"])
    after, over_all_after = embedded()
    assert torch.equal(before, after)
    assert not torch.equal(over_all, over_all_after)  # passing messages over all edges would show it
    edges_but_these(root, "train", ["0 1 0", "1 0 1", "5 4 0"])
    assert not torch.equal(embedded()[0], after)  # what is trained on does


@pytest.mark.parametrize("kind", [FB15k_237, WN18RR, WN18, MKG_Y], ids=lambda kind: kind.__name__)
def test_pygs_own_kge_example(kind, tmp_path, monkeypatch):
    """The loop of PyG's ``examples/kge_fb15k_237.py``, with another dataset in its first lines."""
    monkeypatch.delenv("MMKG_RAW", raising=False)
    write_small(tmp_path, kind)
    train_data = kind(tmp_path, split="train")[0]
    val_data = kind(tmp_path, split="val")[0]
    test_data = kind(tmp_path, split="test")[0]
    torch.manual_seed(0)
    model = TransE(num_nodes=train_data.num_nodes, num_relations=train_data.num_edge_types, hidden_channels=8)
    loader = model.loader(
        head_index=train_data.edge_index[0],
        rel_type=train_data.edge_type,
        tail_index=train_data.edge_index[1],
        batch_size=2,
        shuffle=True,
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)

    def train():
        model.train()
        total_loss = total_examples = 0
        for head_index, rel_type, tail_index in loader:
            optimizer.zero_grad()
            loss = model.loss(head_index, rel_type, tail_index)
            loss.backward()
            optimizer.step()
            total_loss += float(loss.detach()) * head_index.numel()
            total_examples += head_index.numel()
        return total_loss / total_examples

    @torch.no_grad()
    def test(data):
        model.eval()
        return model.test(
            head_index=data.edge_index[0],
            rel_type=data.edge_type,
            tail_index=data.edge_index[1],
            batch_size=20000,
            k=10,
            log=False,
        )

    losses = [train() for _ in range(60)]
    assert sum(losses[-10:]) < 0.8 * sum(
        losses[:10]
    )  # negatives are drawn anew, so that no loss need be below the last
    for data in (val_data, test_data):  # one of the validation triples holds an entity that train does not
        rank, mrr, hits = test(data)
        assert 0 <= rank < 4
        assert 0 < mrr <= 1
        assert hits == 1.0  # of four entities all are among the first ten


def test_a_split_is_what_pygs_own_class_gives(tmp_path, monkeypatch):
    monkeypatch.delenv("MMKG_RAW", raising=False)
    write_small(tmp_path, FB15k_237)
    theirs_raw = tmp_path / "theirs/raw"
    theirs_raw.mkdir(parents=True)
    for name, content in rendered("\r\n").items():
        (theirs_raw / name).write_bytes(content)
    entities: dict[str, int] = {}
    relations: dict[str, int] = {}
    for part, split in (("train", "train"), ("valid", "val"), ("test", "test")):
        ours = FB15k_237(tmp_path, split=split, log=False)[0]
        theirs = PyGs(str(tmp_path / "theirs"), split=split)[0]
        assert set(theirs.keys()) <= set(ours.keys())
        assert (ours.num_nodes, ours.num_edges) == (theirs.num_nodes, theirs.num_edges)
        for key in ("edge_index", "edge_type"):
            assert (ours[key].shape, ours[key].dtype) == (theirs[key].shape, theirs[key].dtype)
        for h, r, t in TRIPLES[part]:  # they number names in the order in which they come
            for name in (h, t):
                entities.setdefault(name, len(entities))
            relations.setdefault(r, len(relations))
        mine = [entities[name] for name in ours.entity_names if name in entities]
        assert [
            [mine[i] for i in row] for row in ours.edge_index.tolist()
        ] == theirs.edge_index.tolist() or split == "train"
        names = [list(entities)[i] for i in theirs.edge_index.flatten().tolist()]
        assert [ours.entity_names[i] for i in ours.edge_index.flatten().tolist()] == names
        kinds = [list(relations)[i] for i in theirs.edge_type.tolist()]
        assert [ours.relation_names[i] for i in ours.edge_type.tolist()] == kinds


def test_other_attributes_are_judged_as_pyg_does():
    plain = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), weight=torch.ones(2), num_nodes=3)
    ours = KGData(edge_index=plain.edge_index, weight=plain.weight, degree=torch.ones(3), num_nodes=3)
    assert ours.is_edge_attr("weight")
    assert plain.is_edge_attr("weight")
    assert ours.is_node_attr("degree")
    assert not ours.is_node_attr("weight")
    assert KGData(edge_index=plain.edge_index, edge_type=torch.tensor([0, 4])).num_edge_types == 5
