"""Popular negatives: entities are drawn by how often the graph shows them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mmkg.graph.facts import Facts
from mmkg.samplers.base import NegativeSampler
from mmkg.samplers.weighted_sets import WeightedSets, integer_weights, taboo
from mmkg.types import SIDES, Batch, Negatives, Side


class FrequencySampler(NegativeSampler):
    r"""Exact filtered sampling with replacement by popularity to a power.

    .. math:: p(e \mid \cdot) = \frac{(n_e + s)^a}{\sum_{e' \text{ unknown}} (n_{e'} + s)^a}

    where :math:`n_e` counts the known triples that show entity :math:`e` (the noise distribution of word2vec, Mikolov
    et al., `NeurIPS 2013 <https://arxiv.org/abs/1310.4546>`_, over a graph). With power 0 it is uniform.

    Args:
        num_entities: Number of entities ``N``.
        num_negatives: Number of negatives ``K`` for each positive.
        power: Power :math:`a`, at least 0.
        count: Whether to count triples that show an entity at ``"both"`` sides or at the ``"same"`` side as is
            replaced.
        smoothing: Added to each count, :math:`s \ge 0`; with 0, entities that are not counted are never drawn (unless
            the power is 0).

    Raises:
        ValueError: If a number is out of range or the way to count is unknown.
    """

    draws_for = "whole"

    def __init__(
        self,
        num_entities: int,
        num_negatives: int,
        *,
        power: float = 0.75,
        count: Literal["both", "same"] = "both",
        smoothing: float = 0.0,
    ) -> None:
        super().__init__(num_entities, num_negatives)
        if not power >= 0 or not smoothing >= 0:
            raise ValueError(f"power is {power} and smoothing {smoothing}, expected at least 0")
        if count not in ("both", "same"):
            raise ValueError(f"count is {count!r}, choose from both, same")
        self.power, self.count, self.smoothing = power, count, smoothing

    def sample(
        self,
        batch: Batch,
        side: Side,
        model: torch.nn.Module | None,
        facts: Facts,
        generator: torch.Generator | None = None,
        step: int = 0,
    ) -> Negatives:
        """Draw ``K`` unknown entities for each row; see :meth:`NegativeSampler.sample`. The model is not read."""
        self._check(side, facts)
        sets = self._derive(facts, side, lambda: self._sets(side, facts))
        group = torch.zeros_like(batch.relation)  # [B], all rows draw from one set
        drawn = sets.draw(group, taboo(batch, side, facts), self.num_negatives, generator)
        return Negatives(drawn.ids, drawn.valid(), log_prob=drawn.log_prob)

    def weights(self, side: Side, facts: Facts) -> Tensor:
        """Weight of each entity before filtering, shape ``[N]``, in float64."""
        head, _, tail = facts.triples()
        at = {"head": head, "tail": tail}
        counted = sum(
            torch.bincount(at[s], minlength=self.num_entities) for s in (SIDES if self.count == "both" else (side,))
        )  # [N]
        return (counted.double() + self.smoothing) ** self.power

    def _sets(self, side: Side, facts: Facts) -> WeightedSets:
        ids = torch.arange(self.num_entities, device=facts.device)  # [N]
        weight = integer_weights(self.weights(side, facts))
        return WeightedSets(torch.zeros_like(ids), ids, 1, self.num_entities, weight)

    def extra_repr(self) -> str:
        """Settings shown by ``repr``."""
        return f"{super().extra_repr()}, power={self.power}, count={self.count}, smoothing={self.smoothing}"
