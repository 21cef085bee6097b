"""Pseudo-typed negatives: only entities that the graph shows at that side of that relation."""

from __future__ import annotations

from typing import Literal

import torch

from mmkg.graph.facts import Facts
from mmkg.samplers.base import NegativeSampler
from mmkg.samplers.uniform import UniformSampler
from mmkg.samplers.weighted_sets import WeightedSets, taboo
from mmkg.types import Batch, Negatives, Side


class TypedSampler(NegativeSampler):
    r"""Exact filtered uniform sampling with replacement among a relation's own entities.

    Negatives of :math:`(h, r, t)` at the tail are uniform over
    :math:`\{t' : (\cdot, r, t') \text{ known}\} \setminus \{t' : (h, r, t') \text{ known}\}`, and likewise at the head.
    The types are those that the known triples imply, under local closed world (Krompaß et al., `Type-Constrained
    Representation Learning in Knowledge Graphs <https://arxiv.org/abs/1508.02593>`_, ISWC 2015).

    Args:
        num_entities: Number of entities ``N``.
        num_negatives: Number of negatives ``K`` for each positive.
        fallback: What a row gets whose relation has no unknown entity of its own: ``"uniform"`` draws from all
            entities, or ``"none"``: ``valid`` is False.

    Raises:
        ValueError: If the fallback is unknown.
    """

    def __init__(
        self, num_entities: int, num_negatives: int, *, fallback: Literal["uniform", "none"] = "uniform"
    ) -> None:
        super().__init__(num_entities, num_negatives)
        if fallback not in ("uniform", "none"):
            raise ValueError(f"fallback is {fallback!r}, choose from uniform, none")
        self.fallback = fallback
        self.uniform = UniformSampler(num_entities, num_negatives)

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
        sets = self._derive(facts, side, lambda: _own_entities(side, facts))
        drawn = sets.draw(batch.relation, taboo(batch, side, facts), self.num_negatives, generator)
        ids, valid, log_prob = drawn.ids, drawn.valid(), drawn.log_prob
        if self.fallback == "uniform":  # drawn for all rows, so that the random numbers do not depend on who needs them
            anyone = self.uniform.sample(batch, side, None, facts, generator)
            ids, log_prob = torch.where(valid, ids, anyone.ids), torch.where(valid, log_prob, anyone.log_prob)  # [B, K]
            valid = valid | anyone.valid  # [B, K]
        return Negatives(ids, valid, log_prob=log_prob)

    def extra_repr(self) -> str:
        """Settings shown by ``repr``."""
        return f"{super().extra_repr()}, fallback={self.fallback}"


def _own_entities(side: Side, facts: Facts) -> WeightedSets:
    """For each relation the entities that the facts show at that side of it."""
    relations = torch.arange(facts.num_relations, device=facts.device)  # [R]
    return WeightedSets(*facts.seen(relations, side), facts.num_relations, facts.num_nodes)
