"""The network of relations laid out on a page: what is one another's inverse, what implies, what composes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import networkx as nx
import numpy as np

from mmkg.analysis.pages import clipped

WIDTH = 1080
KINDS = ("inverse", "implies", "composes")
MOST_NODES, MOST_EDGES = 60, 140


@dataclass
class Node:
    """A relation in the drawing."""

    name: str
    label: str
    told: str
    x: float
    y: float
    radius: float
    pattern: str


@dataclass
class Edge:
    """A rule from relation to relation, as an SVG path."""

    path: str
    kind: str
    told: str
    width: float


@dataclass
class Drawing:
    """A drawing of :data:`WIDTH` by ``height``.

    Args:
        nodes: Relations.
        edges: Rules between them.
        height: Of the drawing.
        relations: Relations of the graph that are not drawn.
        rules: Edges of the graph that are not drawn.
    """

    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    height: float = 0.0
    relations: int = 0
    rules: int = 0


def draw_pattern_graph(
    graph: nx.DiGraph, most_nodes: int = MOST_NODES, most_edges: int = MOST_EDGES, seed: int = 0
) -> Drawing:
    """Lay out what :meth:`mmkg.graph.Patterns.pattern_graph` gives, the most confident edges first.

    Args:
        graph: Relations with ``triples``, ``category`` and ``pattern``; edges with ``weight``, ``kinds`` and the
            confidence of each kind.
        most_nodes: Relations to draw; those without an edge come last, by their number of triples.
        most_edges: Edges to draw.
        seed: Of the layout.
    """
    chosen = _chosen(graph, most_nodes, most_edges)
    places, height = _packed(chosen, seed)
    most = max((d["triples"] for _, d in chosen.nodes(data=True)), default=1)
    nodes = {
        name: Node(
            name,
            clipped(name.strip("/").replace("/", " / "), 26),
            f"{clipped(name, 120)}: {d['category']}, {d['triples']:,} triples; {d['pattern']}",
            *places[name],
            7 + 13 * math.sqrt(d["triples"] / max(most, 1)),
            d["pattern"],
        )
        for name, d in chosen.nodes(data=True)
    }
    edges = [_edge(nodes[a], nodes[b], d) for a, b, d in chosen.edges(data=True)]
    missing = len(graph) - len(chosen), graph.number_of_edges() - chosen.number_of_edges()
    return Drawing(list(nodes.values()), edges, height, *missing)


def _chosen(graph: nx.DiGraph, most_nodes: int, most_edges: int) -> nx.DiGraph:
    """The part of the graph that there is room for."""
    part = nx.DiGraph()
    size = nx.get_node_attributes(graph, "triples")
    ranked = sorted(graph.edges(data=True), key=lambda e: (-e[2]["weight"], -min(size[e[0]], size[e[1]]), e[0], e[1]))
    for a, b, d in ranked:
        if part.number_of_edges() < most_edges and len({*part, a, b}) <= most_nodes:
            part.add_edge(a, b, **d)
    for name in sorted(set(graph) - set(part), key=lambda n: (-size[n], n)):
        if len(part) < most_nodes and not graph.degree(name):
            part.add_node(name)
    part.add_nodes_from((name, graph.nodes[name]) for name in list(part))
    return part


def _packed(graph: nx.DiGraph, seed: int) -> tuple[dict[str, tuple[float, float]], float]:
    """Places of the nodes: components side by side in rows, the largest first; and the height of all rows."""
    places: dict[str, tuple[float, float]] = {}
    across = top = row = 0.0
    for part in sorted(nx.weakly_connected_components(graph), key=lambda c: (-len(c), min(c))):
        wide = 180.0 if len(part) == 1 else min(WIDTH, 150 + 115 * math.sqrt(len(part)))
        high = 64.0 if len(part) == 1 else max(150.0, 0.72 * wide)
        if across + wide > WIDTH:
            across, top, row = 0.0, top + row, 0.0
        for name, (x, y) in _layout(graph.subgraph(sorted(part)), seed).items():
            places[name] = (across + 90 + x * (wide - 180), top + 34 + y * (high - 80))
        across, row = across + wide, max(row, high)
    return places, top + row


def _layout(part: nx.DiGraph, seed: int) -> dict[str, tuple[float, float]]:
    """Places within the unit square."""
    if len(part) == 1:
        return dict.fromkeys(part, (0.5, 0.0))
    given = nx.Graph()
    given.add_nodes_from(part)
    given.add_edges_from(sorted({tuple(sorted(edge)) for edge in part.edges if edge[0] != edge[1]}))
    found = nx.kamada_kawai_layout(given) if len(given) <= 60 else nx.spring_layout(given, seed=seed, iterations=200)
    at = np.array([found[name] for name in part])  # [n, 2]
    low, span = at.min(0), np.maximum(np.ptp(at, axis=0), 1e-9)
    flat = np.ptp(at, axis=0) < 1e-6  # a straight line of relations lies in the middle
    at = np.where(flat, 0.5, (at - low) / span)
    return {name: (float(x), float(y)) for name, (x, y) in zip(part, at, strict=True)}


def _edge(start: Node, end: Node, d: dict) -> Edge:
    kinds = [kind for kind in KINDS if kind in d]
    told = f"{clipped(start.name, 80)} → {clipped(end.name, 80)}: "
    told += ", ".join(f"{kind} {d[kind]:.0%}" for kind in kinds)
    told += f" ({clipped(d['with'], 160)})" if "with" in d else ""
    return Edge(_path(start, end), kinds[0], told, 1.2 + 2.2 * d["weight"])


def _path(start: Node, end: Node) -> str:
    """A curve bent a little to its left, so that there and back are two; a loop above a node that leads to itself."""
    if start is end:
        r, up = start.radius, -1.6 * start.radius - 14
        foot = f"{start.x - 0.6 * r:.1f} {start.y - 0.8 * r:.1f}"
        return f"M{foot}c{-r:.1f} {up:.1f} {2.2 * r:.1f} {up:.1f} {1.2 * r:.1f} 0"
    a, b = np.array([start.x, start.y]), np.array([end.x, end.y])
    along = (b - a) / max(float(np.hypot(*(b - a))), 1e-9)
    bend = (a + b) / 2 + np.array([along[1], -along[0]]) * min(28.0, 0.16 * float(np.hypot(*(b - a))))
    first, last = (bend - a) / np.hypot(*(bend - a)), (b - bend) / np.hypot(*(b - bend))
    a, b = a + first * (start.radius + 2), b - last * (end.radius + 8)
    return f"M{a[0]:.1f} {a[1]:.1f}Q{bend[0]:.1f} {bend[1]:.1f} {b[0]:.1f} {b[1]:.1f}"
