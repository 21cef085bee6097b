"""Structure-aware negatives: entities near the one that is given."""

from __future__ import annotations

from typing import Literal

import torch

from mmkg.graph.facts import Facts
from mmkg.samplers.local import LocalSampler
from mmkg.samplers.neighbourhoods import Neighbourhoods
from mmkg.samplers.weighted_sets import Drawn, WeightedSets, draw_where, taboo
from mmkg.types import Batch, Side


class SANS(LocalSampler):
    r"""`Structure Aware Negative Sampling in Knowledge Graphs <https://arxiv.org/abs/2009.11355>`_ (Ahrabian et al.,
    EMNLP 2020).

    Negatives of :math:`(h, r, ?)` are uniform over the unknown entities of a neighbourhood :math:`S(h)` in the graph of
    the known triples without directions: those at a distance of 1 to ``k`` (uniform SANS), or those that some random
    walks of ``k`` steps met, walked anew in each step for each different entity given (RW-SANS). Heads likewise, near
    the tail. The given entity itself is not among its neighbours.

    Args:
        num_entities: Number of entities ``N``.
        num_negatives: Number of negatives ``K`` for each positive.
        hops: ``k``, at least 1.
        walks: Random walks of each given entity; None for whole neighbourhoods.
        keep_mb: Whole neighbourhoods are kept once found if a byte for each pair of entities comes to at most so many
            MiB (1024: graphs of up to 32,768 entities); otherwise each step finds its own.
        fallback: What a row gets whose neighbourhood holds nothing unknown; see :class:`LocalSampler`.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        num_entities: int,
        num_negatives: int,
        *,
        hops: int = 2,
        walks: int | None = None,
        keep_mb: float = 1024.0,
        fallback: Literal["uniform", "none"] = "uniform",
    ) -> None:
        super().__init__(num_entities, num_negatives, fallback=fallback)
        if hops < 1 or (walks is not None and walks < 1):
            raise ValueError(f"hops is {hops} and walks {walks}, expected at least 1")
        self.hops, self.walks, self.keep_mb = hops, walks, keep_mb

    def draw_local(self, batch: Batch, side: Side, facts: Facts, generator: torch.Generator | None) -> Drawn:
        """``K`` unknown entities near each row's given one; ``log_prob`` is that among those which the walks met."""
        keep_mb = self.keep_mb if self.walks is None else 0.0
        near = self._derive(facts, "near", lambda: Neighbourhoods(facts, self.hops, keep_mb))
        anchors, place = batch.anchor(side).unique(return_inverse=True)  # [U], [B]
        forbidden = taboo(batch, side, facts)
        if self.walks is None:
            allowed = near.within(anchors)[place]  # [B, N]
            allowed[forbidden] = False
            return draw_where(allowed, self.num_negatives, generator)
        pairs = near.walked(anchors, self.walks, generator)  # [M], [M]
        sets = WeightedSets(*pairs, anchors.numel(), self.num_entities)
        return sets.draw(place, forbidden, self.num_negatives, generator)

    def extra_repr(self) -> str:
        """Settings shown by ``repr``."""
        return f"{super().extra_repr()}, hops={self.hops}, walks={self.walks}"
