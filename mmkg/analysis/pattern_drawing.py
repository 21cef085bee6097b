"""The network of relations laid out on a page: what is one another's inverse, what implies, what composes."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import zip_longest

import networkx as nx
import numpy as np

from mmkg.analysis.pages import clipped

WIDTH = 1080
KINDS = ("inverse", "implies", "composes")
MOST_NODES, MOST_EDGES = 48, 96
MARGIN, APART = 90.0, (130.0, 46.0)
"""Beside the outermost circles, and between two: room for their names."""


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
    labels = _labels(list(chosen))
    most = max((d["triples"] for _, d in chosen.nodes(data=True)), default=1)
    nodes = {
        name: Node(
            name,
            labels[name],
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


def _labels(names: list[str]) -> dict[str, str]:
    """Names short enough to stand under a circle: of an address or a path its end, as much as tells it from others."""
    parts = {name: name.strip("</>").split("/") for name in names}
    ends = Counter(part[-1] for part in parts.values())
    return {name: clipped("/".join(part[-1 if ends[part[-1]] == 1 else -2 :]), 24) for name, part in parts.items()}


def _chosen(graph: nx.DiGraph, most_nodes: int, most_edges: int) -> nx.DiGraph:
    """The part of the graph that there is room for."""
    part = nx.DiGraph()
    size = nx.get_node_attributes(graph, "triples")
    ranked = sorted(graph.edges(data=True), key=lambda e: (-e[2]["weight"], -min(size[e[0]], size[e[1]]), e[0], e[1]))
    by_kind = [[e for e in ranked if e[2]["kinds"].split(",")[0] == kind] for kind in KINDS]
    turns = [edge for turn in zip_longest(*by_kind) for edge in turn if edge is not None]  # the best of each in turn
    for a, b, d in turns:
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
        names = sorted(part)
        wide = 2 * MARGIN if len(part) == 1 else min(WIDTH, 360.0 + 85.0 * math.sqrt(len(part) - 2))
        at = _layout(graph.subgraph(names), seed) * (wide - 2 * MARGIN, min(0.7 * wide, 64.0 * len(part)))  # [n, 2]
        at = _spread(at, wide - 2 * MARGIN)
        above = 64 if any(graph.has_edge(name, name) for name in names) else 40  # a loop needs room
        high = float(np.ptp(at[:, 1])) + above + 44
        if across + wide > WIDTH:
            across, top, row = 0.0, top + row, 0.0
        at = at - (0, at[:, 1].min()) + (across + MARGIN, top + above)
        places |= {name: (float(x), float(y)) for name, (x, y) in zip(names, at, strict=True)}
        across, row = across + wide, max(row, high)
    return places, top + row


def _spread(at: np.ndarray, wide: float) -> np.ndarray:
    """Places ``[n, 2]`` moved apart until names do not lie on one another, or nearly so."""
    at = at.copy()
    for _ in range(120):
        gap = at[:, None] - at[None]  # [n, n, 2]
        short = np.maximum(1 - np.abs(gap) / APART, 0).min(-1)  # [n, n], above 0 where both ways are too close
        np.fill_diagonal(short, 0)
        if short.max() < 0.02:
            break
        # up and down: names are wide, and a page has no end below; of two at one height the later goes down
        order = np.sign(gap[..., 1]) + (gap[..., 1] == 0) * np.sign(np.arange(len(at))[:, None] - np.arange(len(at)))
        at[:, 1] += 0.3 * APART[1] * (short * order).sum(1)
        at[:, 0] = np.clip(at[:, 0] + 0.1 * APART[0] * (short * np.sign(gap[..., 0])).sum(1), 0, wide)
    return at


def _layout(part: nx.DiGraph, seed: int) -> np.ndarray:
    """Places within the unit square in the order of the names, ``[n, 2]``."""
    if len(part) <= 2:
        return np.array([[0.0, 0.0], [1.0, 0.0]])[: len(part)]
    given = nx.Graph()
    given.add_nodes_from(sorted(part))
    given.add_edges_from(sorted({tuple(sorted(edge)) for edge in part.edges if edge[0] != edge[1]}))
    start = nx.circular_layout(given) if seed == 0 else nx.random_layout(given, seed=seed)
    found = nx.kamada_kawai_layout(given, pos=start)
    at = np.array([found[name] for name in sorted(part)])  # [n, 2]
    span = np.ptp(at, axis=0)
    return np.where(span < 1e-6, 0.5, (at - at.min(0)) / np.maximum(span, 1e-9))


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
