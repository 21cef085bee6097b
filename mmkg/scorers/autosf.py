"""AutoSF: a bilinear form of blocks whose pattern was found by search."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmkg.scorers.bilinear import BilinearScorer
from mmkg.types import Side

Term = tuple[int, int, int, int]
"""Blocks of head, relation and tail, counted from 0 to 3, and the sign +1 or -1."""


class AutoSF(BilinearScorer):
    r"""`AutoSF: Searching Scoring Functions for Knowledge Graph Embedding <https://arxiv.org/abs/1904.11682>`_
    (Zhang et al., ICDE 2020).

    .. math:: s(h, r, t) = \sum_{(a, b, c, \sigma)} \sigma \sum_i h^{(a)}_i r^{(b)}_i t^{(c)}_i

    over the terms of a structure on four blocks. The published structures by dataset are :data:`STRUCTURES`; DistMult,
    ComplEx and SimplE are others.

    Args:
        num_nodes: Number of entities.
        num_relations: Number of relations.
        hidden_channels: Size of one block; entities and relations are four times as wide.
        structure: Terms; those found on FB15k if None.
        initial_std: See :class:`BilinearScorer`.
        chunk_mb: Unused here; one matrix product needs no blocks.
        reciprocal: See :class:`Scorer`.
    """

    entity_factor = 4
    relation_factor = 4

    def __init__(
        self,
        num_nodes: int,
        num_relations: int,
        hidden_channels: int,
        *,
        structure: Sequence[Term] | None = None,
        initial_std: float | None = None,
        chunk_mb: float = 1.0,
        reciprocal: bool = False,
    ) -> None:
        super().__init__(
            num_nodes,
            num_relations,
            hidden_channels,
            initial_std=initial_std,
            chunk_mb=chunk_mb,
            reciprocal=reciprocal,
        )
        self.structure = tuple(STRUCTURES["fb15k"] if structure is None else structure)
        for term in self.structure:
            if len(term) != 4 or not all(block in range(4) for block in term[:3]) or term[3] not in (1, -1):
                raise ValueError(f"term {term}: expected three blocks out of 0 to 3 and a sign, 1 or -1")
        if {term[2] for term in self.structure} != {0, 1, 2, 3} or {term[0] for term in self.structure} != {0, 1, 2, 3}:
            raise ValueError(f"structure {self.structure}: each block of heads and of tails must occur")

    def query(self, anchor: Tensor, relation: Tensor, side: Side) -> Tensor:
        """What meets each block of the candidates, ``[..., 4d]``."""
        given, form = anchor.chunk(4, dim=-1), relation.chunk(4, dim=-1)
        met: list[Tensor | None] = [None] * 4
        for head, block, tail, sign in self.structure:
            own, other = (head, tail) if side == "tail" else (tail, head)
            part = sign * given[own] * form[block]
            met[other] = part if met[other] is None else met[other] + part
        return torch.cat(met, dim=-1)


def _published(*code: int) -> tuple[Term, ...]:
    """Terms of a structure as the paper's code writes it: four tails, then (relation, head, tail, sign) of others."""
    more = [(code[i + 1], code[i], code[i + 2], code[i + 3]) for i in range(4, len(code), 4)]
    return (*((block, block, code[block], 1) for block in range(4)), *more)


STRUCTURES: dict[str, tuple[Term, ...]] = {
    "wn18": _published(3, 2, 1, 0, 3, 3, 2, -1, 0, 2, 3, -1, 1, 0, 1, 1, 2, 1, 0, 1, 2, 2, 0, -1, 1, 0, 2, -1),
    "fb15k": _published(3, 2, 1, 0, 1, 0, 1, 1, 2, 1, 0, 1),
    "wn18rr": _published(1, 0, 2, 3, 3, 1, 1, 1, 3, 0, 0, 1, 0, 3, 2, -1, 1, 2, 3, -1, 1, 3, 1, -1, 0, 1, 3, -1),
    "fb15k_237": _published(2, 1, 3, 0),
    "yago3_10": _published(0, 1, 2, 3, 1, 3, 1, -1, 2, 1, 3, -1),
}
"""Structures that the paper's search found, by dataset."""
