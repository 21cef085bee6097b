"""What samplers share that draw from a set of each row's own, and from everyone where nothing of it is left."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

import torch

from mmkg.graph.facts import Facts
from mmkg.samplers.base import NegativeSampler
from mmkg.samplers.uniform import UniformSampler
from mmkg.samplers.weighted_sets import Drawn
from mmkg.types import Batch, Negatives, Side


class LocalSampler(NegativeSampler):
    """Exact filtered uniform sampling with replacement among some of the entities.

    A subclass says which (:meth:`draw_local`).

    Args:
        num_entities: Number of entities ``N``.
        num_negatives: Number of negatives ``K`` for each positive.
        fallback: What a row gets that has no unknown entity of its own: ``"uniform"`` draws from all entities, or
            ``"none"``: ``valid`` is False.

    Raises:
        ValueError: If the fallback is unknown.
    """

    draws_for = "whole"

    def __init__(
        self, num_entities: int, num_negatives: int, *, fallback: Literal["uniform", "none"] = "uniform"
    ) -> None:
        super().__init__(num_entities, num_negatives)
        if fallback not in ("uniform", "none"):
            raise ValueError(f"fallback is {fallback!r}, choose from uniform, none")
        self.fallback = fallback
        self.uniform = UniformSampler(num_entities, num_negatives)

    @abstractmethod
    def draw_local(self, batch: Batch, side: Side, facts: Facts, generator: torch.Generator | None) -> Drawn:
        """``K`` unknown entities of each row's own."""

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
        drawn = self.draw_local(batch, side, facts, generator)
        ids, valid, log_prob = drawn.ids, drawn.valid(), drawn.log_prob
        if self.fallback == "uniform":  # drawn for all rows, so that the random numbers do not depend on who needs them
            anyone = self.uniform.sample(batch, side, None, facts, generator)
            ids, log_prob = torch.where(valid, ids, anyone.ids), torch.where(valid, log_prob, anyone.log_prob)  # [B, K]
            valid = valid | anyone.valid  # [B, K]
        return Negatives(ids, valid, log_prob=log_prob)

    def extra_repr(self) -> str:
        """Settings shown by ``repr``."""
        return f"{super().extra_repr()}, fallback={self.fallback}"
