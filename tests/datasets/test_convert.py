"""To pandas and networkx and back: nothing is lost on the way, and what cannot be a graph is refused."""

import io
import sys

import networkx as nx
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmkg.datasets import (
    DB15K,
    MultimodalFolder,
    from_networkx,
    from_pandas,
    from_triples,
    to_networkx,
    to_pandas,
    to_pykeen,
)
from mmkg.errors import DataError

NAMES = st.one_of(st.sampled_from(["a", "A", "Zürich", "東京 都", " a", "nan", "1"]), st.text(min_size=1))
ROWS = st.lists(st.tuples(NAMES, NAMES, NAMES, st.sampled_from(["train", "val", "test"])), max_size=15)
COLUMNS = ["head", "relation", "tail", "split"]


def same(one, other):
    """Whether two graphs are equal in all there is."""
    one, other = one.to_dict(), other.to_dict()
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value, other[key]) if isinstance(value, torch.Tensor) else value == other[key], key


@settings(max_examples=100, deadline=None)
@given(rows=ROWS)
def test_pandas_there_and_back(rows):
    table = pd.DataFrame(rows, columns=COLUMNS, dtype=str)
    data = from_pandas(table)
    pd.testing.assert_frame_equal(to_pandas(data), table)
    same(from_pandas(to_pandas(data)), data)


@settings(max_examples=100, deadline=None)
@given(rows=ROWS, lonely=st.lists(NAMES, max_size=3), text=st.text(max_size=5))
def test_networkx_there_and_back(rows, lonely, text):
    graph = nx.MultiDiGraph()
    for name in lonely:  # entities without an edge
        graph.add_node(name, label=text, description=text)
    for h, r, t, split in rows:
        graph.add_edge(h, t, relation=r, split=split)
    data = from_networkx(graph)
    again = to_networkx(data)
    assert list(again.nodes) == list(graph.nodes) == data.entity_names
    for node in graph.nodes:
        assert (
            again.nodes[node]["label"] == graph.nodes[node].get("label")
            or data.entity_labels[data.entity_names.index(node)]
        )
        assert again.nodes[node]["description"] == graph.nodes[node].get("description", "")
    plain = [(h, t, {key: e[key] for key in ("relation", "split")}) for h, t, e in again.edges(data=True)]
    assert plain == list(graph.edges(data=True))
    same(from_networkx(again), data)


@settings(max_examples=50, deadline=None)
@given(rows=ROWS)
def test_from_one_to_the_other(rows):
    data = from_pandas(pd.DataFrame(rows, columns=COLUMNS, dtype=str))
    same(from_networkx(to_networkx(data)), data)  # edges keep their order, which networkx forgets


def test_labels_and_descriptions_go_to_nodes(tmp_path):
    (tmp_path / "train.tsv").write_text("Q1\tr\tQ2\nQ1\tr\tQ2\nQ2\tr\tQ2\n")
    (tmp_path / "test.tsv").write_text("Q2\tr\tQ1\n")
    (tmp_path / "entities.tsv").write_text("Q1\tOne\tThe first.\n")
    data = MultimodalFolder(tmp_path, log=False)[0]
    graph = to_networkx(data)
    assert dict(graph.nodes(data=True)) == {
        "Q1": {"label": "One", "description": "The first."},
        "Q2": {"label": "Q2", "description": ""},
    }
    assert graph.number_of_edges() == 4  # parallel edges and loops included
    assert graph["Q2"]["Q1"][0] == {"relation": "r", "split": "test", "edge": 3}
    same(from_networkx(graph), data)


def test_graphml_there_and_back():
    data = from_triples([("Zürich", "in", "Switzerland")], test=[("Bern", "in", "Switzerland")])
    file = io.BytesIO()
    nx.write_graphml(to_networkx(data), file)
    file.seek(0)
    same(from_networkx(nx.read_graphml(file, force_multigraph=True)), data)


def test_all_is_train_unless_said_otherwise():
    table = pd.DataFrame({"s": ["a", "b"], "p": ["r", "r"], "o": ["b", "c"], "year": [1, 2]}, index=[7, 9])
    data = from_pandas(table, "s", "p", "o")
    assert data.train_mask.tolist() == [True, True]
    assert data.edge_index.tolist() == [[0, 1], [1, 2]]
    graph = nx.DiGraph()
    graph.add_edge("a", "b", kind="r")
    graph.add_edge("b", "c", kind="r", split="valid")
    data = from_networkx(graph, relation="kind")
    assert data.train_mask.tolist() == [True, False]
    assert data.val_mask.tolist() == [False, True]


def test_an_edge_added_to_a_graph_of_ours_comes_last():
    data = from_triples([("a", "r", "b"), ("b", "r", "a")])
    graph = to_networkx(data)
    graph.add_edge("a", "a", relation="s")
    assert from_networkx(graph).edge_index.tolist() == [[0, 1, 0], [1, 0, 0]]


def test_one_splits_view_has_no_split_to_tell():
    data = from_triples([("a", "r", "b")])
    for part in ("train", "val", "test"):
        del data[f"{part}_mask"]
    assert to_pandas(data).columns.tolist() == COLUMNS[:3]
    assert "split" not in to_networkx(data)["a"]["b"][0]


def test_masks_that_overlap_are_refused():
    data = from_triples([("a", "r", "b"), ("b", "r", "c")])
    data.test_mask = torch.tensor([False, True])
    for convert in (to_pandas, to_networkx):
        with pytest.raises(DataError, match="edge 1 is not in one split but in 2"):
            convert(data)


# to PyKEEN, where it is installed -------------------------------------------------------------------------------------


def test_without_pykeen_the_cure_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "pykeen.triples", None)  # as where it is not installed
    with pytest.raises(DataError, match=r"PyKEEN cannot be imported .* Cure: pip install 'mmkg\[pykeen\]'"):
        to_pykeen(from_triples([("a", "r", "b")]))


@pytest.fixture
def pykeen():
    return pytest.importorskip(
        "pykeen", reason="pip install 'mmkg[pykeen]' to hold the conversion against PyKEEN itself"
    )


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS.filter(len))
def test_pykeen_has_our_ids_and_names(pykeen, rows):
    data = from_pandas(pd.DataFrame(rows, columns=COLUMNS, dtype=str))
    factories = to_pykeen(data)
    assert list(factories) == ["train", "val", "test"]
    for part, factory in factories.items():
        keep = data[f"{part}_mask"]
        ours = torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], 1)[keep]  # [E_part, 3]
        assert torch.equal(factory.mapped_triples, ours)
        assert (factory.num_entities, factory.num_relations) == (data.num_nodes, data.num_relations)
        assert factory.entity_to_id == {name: at for at, name in enumerate(data.entity_names)}
        assert factory.relation_to_id == {name: at for at, name in enumerate(data.relation_names)}
        if len(ours):
            labelled = factory.label_triples(factory.mapped_triples).tolist()
            # PyKEEN labels by numpy's strings, which lose zeros at their end
            assert labelled == [[name.rstrip("\0") for name in row[:3]] for row in rows if row[3] == part]


def test_pykeen_trains_on_them_and_ranks_as_we_do(pykeen, root):
    from pykeen.evaluation import RankBasedEvaluator
    from pykeen.models import DistMult as Theirs

    from mmkg.evaluation import rank
    from mmkg.graph import Facts
    from mmkg.scorers import DistMult

    data = DB15K(root)[0]
    factories = to_pykeen(data)
    torch.manual_seed(0)
    theirs, ours = Theirs(triples_factory=factories["train"], embedding_dim=8), DistMult(7, 2, 8)
    with torch.no_grad():
        ours.node_emb.weight.copy_(theirs.entity_representations[0](None))
        ours.rel_emb.weight.copy_(theirs.relation_representations[0](None))
    test = factories["test"].mapped_triples
    known = [factories["train"].mapped_triples, factories["val"].mapped_triples, data.extra_filter.t()]
    results = RankBasedEvaluator().evaluate(theirs, test, additional_filter_triples=known, batch_size=2, use_tqdm=False)
    ranks = rank(ours, test, Facts.from_data(data, ("train", "val", "test")))
    assert float((1 / ranks.realistic).mean()) == pytest.approx(results.get_metric("both.realistic.mrr"), rel=1e-6)


def test_what_pykeen_cannot_be_given(pykeen, root):
    with pytest.raises(
        DataError, match=r"the graph has no train_mask, val_mask, test_mask\. Cure: give the whole graph"
    ):
        to_pykeen(DB15K(root, split="train")[0])
    with pytest.raises(DataError, match="the graph has no entity"):
        to_pykeen(from_triples([]))
    data = from_triples([("a", "r", "b")])
    data.entity_names = ["a", "a"]
    with pytest.raises(DataError, match="entity name 'a' is there twice"):
        to_pykeen(data)


def frame(**columns):
    return pd.DataFrame({"head": ["a", "b"], "relation": "r", "tail": ["b", "c"], **columns}, index=["x", "y"])


BAD_FRAMES = {
    "no column": (frame().drop(columns="tail"), r"columns are 'head', 'relation': there must be one 'tail'"),
    "column twice": (pd.concat([frame(), frame()], axis=1), "there must be one 'head'"),
    "missing": (frame(head=["a", None]), r"row 'y', column 'head' is (nan|None), not a name. Cure: drop rows"),
    "number": (frame(tail=[1, 2]), r"row 'x', column 'tail' is 1, not a name. Cure: .*astype\(str\)"),
    "empty": (frame(relation=["", "r"]), "row 'x', column 'relation' is '', not a name"),
    "split": (frame(split=["train", "dev"]), "row 'y': split is 'dev'. Cure: write train, val or test"),
    "no split": (frame(split=["train", None]), "row 'y': split is (nan|None)"),
}


@pytest.mark.parametrize("case", BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_bad_frames(case):
    table, message = case
    with pytest.raises(DataError, match=message):
        from_pandas(table)


def test_a_list_is_no_frame():
    with pytest.raises(DataError, match=r"a list is no table. Cure: give a DataFrame; for a list, see from_triples"):
        from_pandas([("a", "r", "b")])


def digraph(node="b", **attributes):
    graph = nx.MultiDiGraph()
    graph.add_edge("a", node, **attributes)
    return graph


def with_label(label):
    graph = digraph(relation="r")
    graph.nodes["a"]["label"] = label
    return graph


BAD_GRAPHS = {
    "undirected": (nx.Graph([("a", "b")]), "undirected. Cure: make it a MultiDiGraph"),
    "number": (digraph(3, relation="r"), r"node 3 is not a name. Cure: .*relabel_nodes\(graph, str\)"),
    "no relation": (digraph(), "edge 'a' → 'b': 'relation' is None, not a name. Cure: give each edge its relation"),
    "split": (digraph(relation="r", split="dev"), "edge 'a' → 'b': split is 'dev'. Cure: write train"),
    "label": (with_label(5), "node 'a': 'label' is 5, not a text"),
}


@pytest.mark.parametrize("case", BAD_GRAPHS.values(), ids=BAD_GRAPHS)
def test_bad_graphs(case):
    graph, message = case
    with pytest.raises(DataError, match=message):
        from_networkx(graph)
