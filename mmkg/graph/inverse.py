"""Relations that repeat one another, as they are or turned round, and the held-out triples that this gives away."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from mmkg.graph.link_rules import overlaps
from mmkg.graph.links import Links

KINDS = ("inverse", "duplicate", "symmetric")


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
    (head, tail), relation = edge_index.cpu(), edge_type.cpu()
    links = Links(head, relation, tail, num_nodes, num_relations)
    found = overlaps(links)
    body, head = found["first"].to_numpy(), found["head"].to_numpy()
    rules = pd.DataFrame(
        {
            "kind": found.kind.replace("implies", "duplicate"),
            "body": body % max(num_relations, 1),
            "head": head,
            "support": found.support,
            "confidence": found.support / links.size[body],
            "back": found.support / links.size[head],
        }
    )
    rules = rules[(rules.support >= min_support) & (rules.confidence >= min_confidence)]
    return rules.sort_values(
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


def join(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """All (place in ``left``, place in ``right``) whose keys are equal: ``[L]``, ``[K]`` -> ``[M]``, ``[M]``."""
    ordered, place = right.sort(stable=True)
    start = torch.searchsorted(ordered, left.contiguous())  # [L]
    count = torch.searchsorted(ordered, left.contiguous(), right=True) - start  # [L]
    rows = torch.repeat_interleave(torch.arange(left.numel()), count)  # [M]
    first = count.cumsum(0) - count  # [L]
    return rows, place[torch.arange(rows.numel()) - first[rows] + start[rows]]
