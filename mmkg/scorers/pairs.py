"""Distances of questions from candidates, each from each, and what a gradient of them says of either."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Parts = tuple[Tensor, ...]
"""What a distance reads of queries, candidates or relations, ``[..., d]`` each; leading shapes broadcast."""
Distance = Callable[[Parts, Parts, Parts], Tensor]
"""``(query, candidates, relation) -> [...]`` over the last dimension; reads no state. Halves of one vector are parts of
their own, for the gradient of a cut would be sewn together number by number."""


def pairs(distance: Distance, query: Parts, table: Parts, relation: Parts) -> Tensor:
    """Distances ``[b, n]`` of questions ``[b, d]`` from candidates ``[n, d]``."""
    query, relation = (tuple(x[:, None] for x in parts) for parts in (query, relation))  # [b, 1, d]
    return distance(query, tuple(x[None] for x in table), relation)


def of_questions(distance: Distance, query: Parts, table: Parts, relation: Parts, grad: Tensor) -> Parts:
    """Gradients of queries, then relations, ``[b, d]`` each, from that of the distances ``[b, n]``."""
    gradients = torch.func.vjp(lambda q, r: pairs(distance, q, table, r), query, relation)[1](grad)
    return *gradients[0], *gradients[1]


def of_candidates(distance: Distance, query: Parts, table: Parts, relation: Parts, grad: Tensor) -> Parts:
    """Gradients of candidates, ``[n, d]`` each, from that of the distances ``[b, n]``."""
    return torch.func.vjp(lambda c: pairs(distance, query, c, relation), table)[1](grad)[0]
