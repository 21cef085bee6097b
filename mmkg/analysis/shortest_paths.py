"""Shortest paths between two entities, along links in either direction, the most telling first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmkg.graph.links import Links
from mmkg.graph.ragged import Array, ragged, runs, sorted_unique


@dataclass
class ShortestPaths:
    """What :func:`shortest_paths` found.

    Args:
        length: Number of links from one entity to the other; None if there is no path within the bound.
        count: How many sequences of entities are that short.
        entities: The first of them, shape ``[k, length + 1]``.
    """

    length: int | None
    count: int
    entities: Array


def shortest_paths(links: Links, source: int, target: int, *, max_length: int = 4, k: int = 10) -> ShortestPaths:
    """Shortest paths by breadth-first search, level by level.

    Args:
        links: Links in both directions; a path may take each either way.
        source: Where paths begin.
        target: Where they end.
        max_length: Longest path to look for.
        k: How many of the shortest to give, of those with the least product of degrees in between first: a path
            through an entity with few links says more than one through a hub. Ties go to the lower ids.

    Returns:
        Length, number and the first of them.
    """
    distance = np.full(links.num_nodes, -1)
    distance[target], layer, length = 0, np.array([target]), 0
    while distance[source] < 0 and len(layer) and length < max_length:
        _, reached = _neighbours(links, layer)
        layer = sorted_unique(reached[distance[reached] < 0])
        length += 1
        distance[layer] = length
    if distance[source] < 0:
        return ShortestPaths(None, 0, np.zeros((0, 0), dtype=np.int64))
    layers, steps = [np.array([source])], []
    for left in range(int(distance[source]) - 1, -1, -1):  # links to go after this step
        place, reached = _neighbours(links, layers[-1])
        nearer = distance[reached] == left
        layer, where = np.unique(reached[nearer], return_inverse=True)
        steps.append((place[nearer], where))  # from which of the last layer to which of this one
        layers.append(layer)
    return ShortestPaths(int(distance[source]), *_best(links, layers, steps, k))


def _neighbours(links: Links, x: Array) -> tuple[Array, Array]:
    """Entities linked to some ``[n]``, each once: (place among them ``[M]``, entity ``[M]``)."""
    place, step = ragged(links.row[x + 1] - links.row[x])
    y = links.y[links.row[x][place] + step]
    return np.divmod(sorted_unique(place * links.num_nodes + y), max(links.num_nodes, 1))


def _best(links: Links, layers: list[Array], steps: list[tuple[Array, Array]], k: int) -> tuple[int, Array]:
    """Number of paths through layers of entities, and the k best ``[k', len(layers)]``."""
    count = np.ones(len(layers[-1]), dtype=np.int64)  # paths from each entity of a layer to the target
    owner, weight, tail = np.zeros(1, dtype=np.int64), np.zeros(1), layers[-1][:, None]  # the best of those, [b, ...]
    for layer, (start, end) in zip(reversed(layers[:-1]), reversed(steps), strict=True):
        count = np.bincount(start, weights=count[end], minlength=len(layer)).astype(np.int64)
        begin, stop = (np.searchsorted(owner, end, side=side) for side in ("left", "right"))
        step, place = ragged(stop - begin)  # each step goes on by each of the best paths from where it leads
        path, own = begin[step] + place, start[step]
        cost = weight[path] + np.log(links.row[layer + 1] - links.row[layer])[own]
        order = np.lexsort((path, cost.round(9), own))  # paths are in the order of the entities that come next
        own, cost, path = own[order], cost[order], path[order]
        first, length = runs(own)
        keep = np.arange(len(own)) - np.repeat(first, length) < k
        owner, weight = own[keep], cost[keep]
        tail = np.concatenate([layer[owner][:, None], tail[path[keep]]], axis=1)  # [b, links so far + 1]
    return int(count.sum()), tail
