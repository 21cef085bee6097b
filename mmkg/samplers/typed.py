"""Pseudo-typed negatives: only entities that the graph shows at that side of that relation."""

from __future__ import annotations

import torch

from mmkg.graph.facts import Facts
from mmkg.samplers.local import LocalSampler
from mmkg.samplers.weighted_sets import Drawn, WeightedSets, taboo
from mmkg.types import Batch, Side


class TypedSampler(LocalSampler):
    r"""Exact filtered uniform sampling with replacement among a relation's own entities.

    Negatives of :math:`(h, r, t)` at the tail are uniform over
    :math:`\{t' : (\cdot, r, t') \text{ known}\} \setminus \{t' : (h, r, t') \text{ known}\}`, and likewise at the head.
    The types are those that the known triples imply, under local closed world (Krompaß et al., `Type-Constrained
    Representation Learning in Knowledge Graphs <https://arxiv.org/abs/1508.02593>`_, ISWC 2015).

    Args:
        num_entities: Number of entities ``N``.
        num_negatives: Number of negatives ``K`` for each positive.
        fallback: What a row gets whose relation has no unknown entity of its own; see :class:`LocalSampler`.
    """

    def draw_local(self, batch: Batch, side: Side, facts: Facts, generator: torch.Generator | None) -> Drawn:
        """``K`` unknown entities of each row's relation."""
        sets = self._derive(facts, side, lambda: _own_entities(side, facts))
        return sets.draw(batch.relation, taboo(batch, side, facts), self.num_negatives, generator)


def _own_entities(side: Side, facts: Facts) -> WeightedSets:
    """For each relation the entities that the facts show at that side of it."""
    relations = torch.arange(facts.num_relations, device=facts.device)  # [R]
    return WeightedSets(*facts.seen(relations, side), facts.num_relations, facts.num_nodes)
