"""Relation categories 1-1, 1-N, N-1 and N-N."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor


def relation_categories(
    edge_index: Tensor, edge_type: Tensor, num_relations: int, threshold: float = 1.5
) -> pd.DataFrame:
    """Category of each relation by the averages of Bordes et al. (NeurIPS 2013).

    A relation has many tails ("1-N") where a head with any tail has on average ``threshold`` or more of them, many
    heads ("N-1") likewise, and is "N-N" where both hold. Duplicate triples count once.

    Args:
        edge_index: Heads and tails, shape ``[2, E]``.
        edge_type: Relations, shape ``[E]``.
        num_relations: Number of relations ``R``.
        threshold: Average from which a side counts as "many".

    Returns:
        One row a relation: ``category`` ("none" where the relation has no triple), ``tails_per_head``,
        ``heads_per_tail``, ``triples``.

    Example:
        >>> edge_index, edge_type = torch.tensor([[0, 0, 0, 1], [1, 2, 3, 2]]), torch.tensor([0, 0, 0, 1])
        >>> relation_categories(edge_index, edge_type, 2).category.tolist()
        ['1-N', '1-1']
    """
    # distinct pairs by keys: many times faster than torch.unique over columns; a pair's number keeps the next key small
    size = 1 + (int(edge_index.max()) if edge_index.numel() else 0)
    with_head, number = torch.unique(edge_type * size + edge_index[0], return_inverse=True)  # [H], [E]
    with_both = torch.unique(number * size + edge_index[1])  # [E'], distinct triples
    with_tail = torch.unique(edge_type * size + edge_index[1])  # [T]
    count = torch.bincount(with_head[with_both // size] // size, minlength=num_relations)  # [R]
    heads = torch.bincount(with_head // size, minlength=num_relations)  # [R], distinct heads
    tails = torch.bincount(with_tail // size, minlength=num_relations)  # [R], distinct tails
    tails_per_head, heads_per_tail = count / heads.clamp(min=1), count / tails.clamp(min=1)  # [R], [R]
    names = []
    for n, many_tails, many_heads in zip(
        count.tolist(), (tails_per_head >= threshold).tolist(), (heads_per_tail >= threshold).tolist(), strict=True
    ):
        names.append("none" if n == 0 else f"{'N' if many_heads else '1'}-{'N' if many_tails else '1'}")
    return pd.DataFrame(
        {
            "category": names,
            "tails_per_head": tails_per_head.tolist(),
            "heads_per_tail": heads_per_tail.tolist(),
            "triples": count.tolist(),
        }
    )
