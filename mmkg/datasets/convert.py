"""Graphs from and to pandas and networkx, and to PyKEEN."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from mmkg.datasets.graph_data import KGData
from mmkg.datasets.raw_graph import RawGraph
from mmkg.errors import DataError

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd
    from pykeen.triples import TriplesFactory

PARTS = {"train": 0, "val": 1, "valid": 1, "test": 2}
SPLITS = ("train", "val", "test")


def from_pandas(
    df: pd.DataFrame, head: str = "head", relation: str = "relation", tail: str = "tail", split: str = "split"
) -> KGData:
    """Make a graph of a table with one triple a row.

    Args:
        df: A table of names; columns other than these are left aside.
        head: Column of heads.
        relation: Column of relations.
        tail: Column of tails.
        split: Column of ``"train"``, ``"val"`` (or ``"valid"``) and ``"test"``; where there is none, all is train.

    Returns:
        The graph: edges in the order of rows, ids in the order in which names first occur.

    Raises:
        DataError: If a column is missing, a cell is no name, or a split is none of these.

    Example:
        >>> import pandas as pd
        >>> df = pd.DataFrame({"head": ["Paris", "Rome"], "relation": "capital of", "tail": ["France", "Italy"]})
        >>> data = from_pandas(df)
        >>> data.entity_names, data.edge_index.tolist()
        (['Paris', 'France', 'Rome', 'Italy'], [[0, 2], [1, 3]])
    """
    if not hasattr(df, "columns"):
        raise DataError(f"a {type(df).__name__} is no table", cure="give a DataFrame; for a list, see from_triples")
    for column in (head, relation, tail):
        if list(df.columns).count(column) != 1:
            there = ", ".join(map(repr, df.columns))
            raise DataError(
                f"columns are {there}: there must be one {column!r}", cure="say which with head=, relation= and tail="
            )
    cells = {column: df[column].tolist() for column in (head, relation, tail)}
    for column, names in cells.items():
        wrong = next((at for at, name in enumerate(names) if not isinstance(name, str) or not name), None)
        if wrong is not None:
            raise DataError(
                f"row {df.index[wrong]!r}, column {column!r} is {names[wrong]!r}, not a name",
                cure="drop rows without a name; turn numbers into names with df.astype(str)",
            )
    parts = df[split].tolist() if split in df.columns else ["train"] * len(df)
    where = (f"row {label!r}" for label in df.index)
    return _graph([], list(zip(cells[head], cells[relation], cells[tail], strict=True)), parts, where)


def from_networkx(graph: nx.DiGraph, relation: str = "relation", split: str = "split") -> KGData:
    """Make a graph of a directed networkx graph, whose nodes are names.

    Args:
        graph: A ``MultiDiGraph`` or ``DiGraph``; of its nodes, ``label`` and ``description`` are kept if there.
        relation: Edge attribute that names the relation.
        split: Edge attribute, ``"train"``, ``"val"`` (or ``"valid"``) or ``"test"``; an edge without it is train.

    Returns:
        The graph: ids follow the order of nodes, those without edges included; edges follow networkx's order, or the
        ``edge`` attribute of :func:`to_networkx` where they have it.

    Raises:
        DataError: If the graph is undirected, a node is no name, an edge has no relation, or a split is none of these.

    Example:
        >>> import networkx as nx
        >>> graph = nx.MultiDiGraph()
        >>> _ = graph.add_edge("Paris", "France", relation="capital of")
        >>> from_networkx(graph).relation_names
        ['capital of']
    """
    if not graph.is_directed():
        raise DataError("the graph is undirected", cure="make it a MultiDiGraph whose edges go from head to tail")
    for node in graph.nodes:
        if not isinstance(node, str) or not node:
            raise DataError(
                f"node {node!r} is not a name", cure="turn nodes into names with networkx.relabel_nodes(graph, str)"
            )
    edges = list(graph.edges(data=True))
    for h, t, attributes in edges:
        name = attributes.get(relation)
        if not isinstance(name, str) or not name:
            raise DataError(
                f"edge {h!r} → {t!r}: {relation!r} is {name!r}, not a name",
                cure="give each edge its relation, or say which attribute it is with relation=",
            )
    # networkx goes through edges node by node; those that came from a graph of ours know their place
    places = [attributes.get("edge") for *_, attributes in edges]
    order = sorted(range(len(edges)), key=lambda at: places[at] if isinstance(places[at], int) else math.inf)
    edges = [edges[at] for at in order]
    data = _graph(
        list(graph.nodes),
        [(h, attributes[relation], t) for h, t, attributes in edges],
        [attributes.get(split, "train") for *_, attributes in edges],
        (f"edge {h!r} → {t!r}" for h, t, _ in edges),
    )
    for key, texts in (("label", data.entity_labels), ("description", data.descriptions)):
        for number, (node, text) in enumerate(graph.nodes(data=key)):
            if not isinstance(text, (str, type(None))):
                raise DataError(
                    f"node {node!r}: {key!r} is {text!r}, not a text", cure="make it a text or leave it out"
                )
            texts[number] = text or texts[number]
    return data


def to_pandas(data: KGData) -> pd.DataFrame:
    """Triples by name, one a row.

    Args:
        data: A graph with ``entity_names [N]`` and ``relation_names [R]``.

    Returns:
        Columns head, relation, tail and split, ``E`` rows in the order of edges; no column split where the graph has
        no masks (it is one split's view). Entities without edges and ``extra_filter`` are not in it.

    Example:
        >>> from mmkg.datasets import from_triples
        >>> to_pandas(from_triples([("Paris", "capital of", "France")])).values.tolist()
        [['Paris', 'capital of', 'France', 'train']]
    """
    import pandas as pd

    heads, relations, tails, parts = _triples(data)
    table = {"head": heads, "relation": relations, "tail": tails}
    return pd.DataFrame(table if parts is None else {**table, "split": parts}, dtype=str if not heads else None)


def to_networkx(data: KGData) -> nx.MultiDiGraph:
    """The graph for networkx, which can also write it for other programs (GraphML, GEXF).

    Args:
        data: A graph with ``entity_names [N]`` and ``relation_names [R]``.

    Returns:
        Nodes are names, in the order of ids, with ``label`` and ``description``. Edges have ``relation``, ``split``
        (where the graph has masks) and ``edge``, their column in ``edge_index [2, E]``. ``extra_filter``, pictures and
        texts are not in it.

    Example:
        >>> from mmkg.datasets import from_triples
        >>> list(to_networkx(from_triples([("Paris", "capital of", "France")])).edges(data="relation"))
        [('Paris', 'France', 'capital of')]
    """
    import networkx as nx

    heads, relations, tails, parts = _triples(data)
    names = data.entity_names
    labels, descriptions = (getattr(data, key, None) or [""] * len(names) for key in ("entity_labels", "descriptions"))
    graph = nx.MultiDiGraph()
    for name, label, description in zip(names, labels, descriptions, strict=True):
        graph.add_node(name, label=label or name, description=description)
    for number, (h, r, t) in enumerate(zip(heads, relations, tails, strict=True)):
        part = {} if parts is None else {"split": parts[number]}
        graph.add_edge(h, t, relation=r, **part, edge=number)
    return graph


def to_pykeen(data: KGData) -> dict[str, TriplesFactory]:
    """The graph's splits for PyKEEN (``pip install 'mmkg[pykeen]'``), with the ids and raw names that they have here.

    Args:
        data: A whole graph, with ``train_mask``, ``val_mask`` and ``test_mask`` ``[E]``.

    Returns:
        Factories ``train``, ``val`` and ``test``, whose ``mapped_triples [E_split, 3]`` are (h, r, t) in the order of
        edges, copies included. ``data.extra_filter`` is not in them: give its transpose to PyKEEN's evaluator as
        ``additional_filter_triples``.

    Raises:
        DataError: If PyKEEN is not installed, the graph is empty or one split's view, or two names are the same.

    Example:
        >>> factories = to_pykeen(dataset[0])  # doctest: +SKIP
        >>> pipeline(  # doctest: +SKIP
        ...     training=factories["train"], validation=factories["val"], testing=factories["test"], model="RotatE"
        ... )
    """
    try:
        from pykeen.triples import TriplesFactory
    except ImportError as error:
        raise DataError(f"PyKEEN cannot be imported ({error})", cure="pip install 'mmkg[pykeen]'") from error
    if missing := [f"{part}_mask" for part in SPLITS if f"{part}_mask" not in data]:
        cure = "give the whole graph, not one split's view"
        raise DataError(f"the graph has no {', '.join(missing)}", cure=cure)
    numbers = []
    for kind, names in (("entity", data.entity_names), ("relation", data.relation_names)):
        numbers.append({name: at for at, name in enumerate(names)})
        if len(numbers[-1]) < len(names):
            twice = next(name for at, name in enumerate(names) if numbers[-1][name] != at)
            raise DataError(f"{kind} name {twice!r} is there twice", cure="give each its own name")
        if not names:
            raise DataError(f"the graph has no {kind}", cure="give a graph with triples; PyKEEN knows no empty one")
    triples = torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], dim=1).cpu()  # [E, 3]
    return {part: TriplesFactory(triples[data[f"{part}_mask"].cpu()], *numbers) for part in SPLITS}


def _triples(data: KGData) -> tuple[list[str], list[str], list[str], list[str] | None]:
    """Heads, relations, tails and splits of the edges, by name, each of length ``E``; splits None without masks."""
    entities, relations = data.entity_names, data.relation_names
    heads, tails = ([entities[i] for i in row] for row in data.edge_index.tolist())
    names = [relations[i] for i in data.edge_type.tolist()]
    if any(f"{part}_mask" not in data for part in SPLITS):
        return heads, names, tails, None
    masks = torch.stack([data[f"{part}_mask"] for part in SPLITS])  # [3, E]
    if (masks.sum(0) != 1).any():
        at = int((masks.sum(0) != 1).nonzero()[0])
        raise DataError(f"edge {at} is not in one split but in {int(masks[:, at].sum())}", cure="mend the masks")
    return heads, names, tails, [SPLITS[i] for i in masks.long().argmax(0).tolist()]


def _graph(nodes: Sequence[str], triples: list[tuple[str, str, str]], parts: list, where) -> KGData:
    """A graph of triples of names ``[E]`` with their splits ``[E]``, edges in that order; ``where`` names each."""
    entities = {name: number for number, name in enumerate(nodes)}
    relations: dict[str, int] = {}
    ids, numbers = np.zeros((len(triples), 3), dtype=np.int64), np.zeros(len(triples), dtype=np.int64)
    for at, ((h, r, t), part, place) in enumerate(zip(triples, parts, where, strict=True)):
        head = entities.setdefault(h, len(entities))
        ids[at] = head, relations.setdefault(r, len(relations)), entities.setdefault(t, len(entities))
        if not isinstance(part, str) or part not in PARTS:
            raise DataError(f"{place}: split is {part!r}", cure="write train, val or test")
        numbers[at] = PARTS[part]
    nothing = np.zeros((0, 3), dtype=np.int64)
    data = RawGraph(list(entities), list(relations), ids, nothing, nothing).to_data()
    for number, part in enumerate(SPLITS):
        data[f"{part}_mask"] = torch.from_numpy(numbers == number)
    return data
