"""Relations that repeat one another, as they are or turned round, and the held-out triples that this gives away."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

KINDS = ("inverse", "duplicate", "symmetric")
COLUMNS = ("kind", "body", "head", "support", "confidence", "back")


def relation_rules(
    edge_index: Tensor,
    edge_type: Tensor,
    num_nodes: int,
    num_relations: int,
    *,
    min_confidence: float = 0.6,
    min_support: int = 5,
) -> pd.DataFrame:
    r"""Trivial rules between relations, with how often they hold.

    ``inverse`` says :math:`(h, r_1, t) \Rightarrow (t, r_2, h)`, ``duplicate`` :math:`(h, r_1, t) \Rightarrow
    (h, r_2, t)`, ``symmetric`` :math:`(h, r, t) \Rightarrow (t, r, h)`. Triples count once. Self-loops count nowhere:
    each is its own reverse and would make any relation look a little symmetric.

    Args:
        edge_index: Heads and tails, shape ``[2, E]``; of training triples only, if held-out ones are to be judged.
        edge_type: Relations, shape ``[E]``.
        num_nodes: Number of entities ``N``.
        num_relations: Number of relations ``R``.
        min_confidence: Least share of the body's pairs for which the rule holds. Where train is 80 % of a graph, even
            a perfect inverse shows for about 80 % of the pairs, so that 0.97, as taken on whole graphs, finds nothing.
        min_support: Least number of pairs for which the rule holds.

    Returns:
        One row a rule, the best supported first: ``kind``, ``body`` and ``head`` (relation ids), ``support`` (pairs for
        which both hold), ``confidence`` (their share of the body's pairs) and ``back`` (their share of the head's).

    Example:
        >>> edge_index, edge_type = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]]), torch.tensor([0, 1, 0, 1])
        >>> relation_rules(edge_index, edge_type, 4, 2, min_support=2)[["kind", "body", "head"]].values.tolist()
        [['inverse', 0, 1], ['inverse', 1, 0]]
    """
    head, tail, relation = distinct_links(edge_index, edge_type, num_nodes, num_relations)
    size = torch.bincount(relation, minlength=num_relations)  # [R], pairs of each relation
    pair, turned = head * num_nodes + tail, tail * num_nodes + head  # [E'], [E']
    tables = []
    for wanted, reverse in ((pair, False), (turned, True)):
        body, other = join(wanted, pair)  # [M], [M]: places of two links that join the same two entities
        rule, support = torch.unique(relation[body] * num_relations + relation[other], return_counts=True)  # [Q], [Q]
        first, second = rule // max(num_relations, 1), rule % max(num_relations, 1)  # [Q], [Q]
        confidence, back = support.double() / size[first], support.double() / size[second]  # [Q], [Q]
        keep = (support >= min_support) & (confidence >= min_confidence)  # [Q]
        keep &= (first != second) | reverse  # that a relation implies itself is no finding
        columns = (first, second, support, confidence, back)
        table = pd.DataFrame(dict(zip(COLUMNS[1:], (c[keep].numpy() for c in columns), strict=True)))
        kind = (table.body == table["head"]).map({True: "symmetric", False: "inverse" if reverse else "duplicate"})
        table.insert(0, "kind", kind.astype(object))
        tables.append(table)
    joined = pd.concat(tables, ignore_index=True)
    return joined.sort_values(
        ["support", "kind", "body", "head"], ascending=[False, True, True, True], ignore_index=True
    )


def answerable(
    rules: pd.DataFrame, train: tuple[Tensor, Tensor, Tensor], asked: tuple[Tensor, Tensor, Tensor], num_nodes: int
) -> dict[str, Tensor]:
    """Which triples follow from a training triple by one of the rules.

    Args:
        rules: From :func:`relation_rules`.
        train: Ids (h, r, t), each ``[E]``; self-loops are not read, as in the rules.
        asked: Ids (h, r, t), each ``[Q]``.
        num_nodes: Number of entities ``N``.

    Returns:
        For each of ``inverse``, ``duplicate`` and ``symmetric`` a boolean mask ``[Q]``.
    """
    (h, r, t), (ask_h, ask_r, ask_t) = train, asked
    base = 1 + max((int(x.max()) for x in (r, ask_r) if x.numel()), default=0)
    found = {}
    for kind in KINDS:
        rows = rules[(rules.kind == kind) & (rules.body < base) & (rules["head"] < base)]  # others cannot fire here
        body, head = (torch.tensor(rows[name].tolist(), dtype=torch.long) for name in ("body", "head"))  # [rules]
        says, hears = (torch.zeros(base, dtype=torch.bool) for _ in range(2))  # [base]: relations that rules mention
        says[body], hears[head] = True, True
        known, own = ((h != t) & says[r]).nonzero().view(-1), hears[ask_r].nonzero().view(-1)  # [E'], [Q']
        wanted = ask_h * num_nodes + ask_t if kind == "duplicate" else ask_t * num_nodes + ask_h  # [Q]
        place, link = join(wanted[own], (h * num_nodes + t)[known])  # [M], [M]
        fires = torch.isin(r[known[link]] * base + ask_r[own[place]], body * base + head)  # [M]
        mask = torch.zeros_like(ask_h, dtype=torch.bool)
        mask[own[place[fires]]] = True  # [Q]
        found[kind] = mask
    return found


def distinct_links(
    edge_index: Tensor, edge_type: Tensor, num_nodes: int, num_relations: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Heads, tails and relations ``[E']`` of the distinct triples that are no self-loops."""
    key = torch.unique((edge_index[0] * num_relations + edge_type) * num_nodes + edge_index[1])  # [E'']
    tail, question = key % max(num_nodes, 1), key // max(num_nodes, 1)
    head, relation = question // max(num_relations, 1), question % max(num_relations, 1)
    keep = head != tail
    return head[keep], tail[keep], relation[keep]


def join(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """All (place in ``left``, place in ``right``) whose keys are equal: ``[L]``, ``[K]`` -> ``[M]``, ``[M]``."""
    ordered, place = right.sort(stable=True)
    start = torch.searchsorted(ordered, left.contiguous())  # [L]
    count = torch.searchsorted(ordered, left.contiguous(), right=True) - start  # [L]
    rows = torch.repeat_interleave(torch.arange(left.numel()), count)  # [M]
    first = count.cumsum(0) - count  # [L]
    return rows, place[torch.arange(rows.numel()) - first[rows] + start[rows]]
