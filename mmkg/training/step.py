"""The loss of one batch: objective, regulariser, auxiliary task and the sampler's own part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkg.evaluation import score_side
from mmkg.graph import Facts
from mmkg.samplers import NegativeSampler
from mmkg.training.config import TrainConfig
from mmkg.training.full_softmax import scores_by_product
from mmkg.training.regularisers import REGULARISERS
from mmkg.training.relation_prediction import relation_loss
from mmkg.types import Batch, Negatives, Side

Watch = Callable[[Batch, Side, Negatives, Tensor], None]


class StepLoss:
    """What is minimised on a batch, in named parts that add up.

    Over both sides the loss is the sum of the sides' losses. Where scores of all entities are plain products of queries
    and the table of entities, the questions of both sides go through one product.

    Args:
        model: The scorer.
        sampler: Draws negatives; None for an objective that needs none.
        objective: See :mod:`mmkg.training.objectives`.
        facts: Known triples, of the train split alone.
        config: Settings.
        generator: Source of randomness of the negatives.
        watch: Called with batch, side, negatives and their scores ``[B, K]`` once these are known.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        sampler: NegativeSampler | None,
        objective: torch.nn.Module,
        facts: Facts,
        config: TrainConfig,
        generator: torch.Generator,
        watch: Watch,
    ) -> None:
        self.model, self.sampler, self.objective, self.facts = model, sampler, objective, facts
        self.config, self.generator, self.watch = config, generator, watch
        self.regulariser = None if config.regulariser is None else REGULARISERS[config.regulariser]()

    def __call__(self, batch: Batch, sides: tuple[Side, ...], step: int) -> dict[str, Tensor]:
        """Parts of the loss by name, scalars.

        Args:
            batch: ``B`` triples.
            sides: The sides to ask for.
            step: Steps done before.
        """
        parts: dict[str, Tensor] = defaultdict(lambda: 0.0)
        if hasattr(self.objective, "of_products") and scores_by_product(self.model):
            self._by_product(parts, batch, sides)
        else:
            for side in sides:
                if self.objective.needs_negatives:
                    self._sampled(parts, batch, side, step)
                else:
                    self._full(parts, batch, side)
                if self.regulariser is not None:
                    ids = batch.anchor(side), batch.answer(side)
                    self._regularise(parts, *map(self.model.entity, ids), batch.relation, side)
        if self.config.relation_weight:
            for side in sides:
                own = relation_loss(self.model, batch, side)
                parts["relations"] += self.config.relation_weight * own
        return dict(parts)

    def _sampled(self, parts: dict[str, Tensor], batch: Batch, side: Side, step: int) -> None:
        """Add the loss against drawn negatives, and the sampler's own."""
        self.sampler.train()
        negatives = self.sampler.sample(batch, side, self.model, self.facts, self.generator, step)
        positive = self.model.score_triples(batch.head, batch.relation, batch.tail, side)  # [B]
        scores = score_side(self.model, batch, side, negatives.candidates)  # [B, K]
        self.watch(batch, side, negatives, scores.detach())
        parts["objective"] += self.objective(positive, scores, negatives.valid, batch.weight)
        own = self.sampler.loss(negatives, scores, positive)
        if own is not None:
            parts["sampler"] += own
        self.sampler.update(negatives, scores.detach())

    def _full(self, parts: dict[str, Tensor], batch: Batch, side: Side) -> None:
        """Add the loss over the scores ``[B, N]`` of all entities."""
        scores = score_side(self.model, batch, side)  # [B, N]
        known = {"known": self.facts.known(batch, side)} if getattr(self.objective, "needs_known", False) else {}
        parts["objective"] += self.objective(scores, batch.answer(side), batch.weight, **known)

    def _by_product(self, parts: dict[str, Tensor], batch: Batch, sides: tuple[Side, ...]) -> None:
        """Add the loss over all entities without keeping their scores; all sides by one product."""
        table = self.model.entity_table()  # [N, d]
        ids = torch.cat([batch.anchor(sides[0]), batch.answer(sides[0])])  # [2 B]: with both sides they change places
        anchor, answer = F.embedding(ids, table).chunk(2)  # [B, d], [B, d]; one look-up has one gradient table
        queries = []
        for side in sides:
            given, true = (anchor, answer) if side == sides[0] else (answer, anchor)
            relation = self.model.relation(batch.relation, side)  # [B, d_r]
            queries.append(self.model.query(given, relation, self.model.way(side)))  # [B, d]
            if self.regulariser is not None:
                self._regularise(parts, given, true, batch.relation, side)
        true = torch.cat([batch.answer(side) for side in sides])  # [S B]
        weight = None if batch.weight is None else batch.weight.repeat(len(sides))  # [S B]
        mean = self.objective.of_products(torch.cat(queries), table, true, weight)
        parts["objective"] += len(sides) * mean  # the sum of the sides' means

    def _regularise(
        self, parts: dict[str, Tensor], anchor: Tensor, answer: Tensor, relation_ids: Tensor, side: Side
    ) -> None:
        """Add the penalty of one side's embeddings ``[B, d]`` and relations ``[B]``."""
        relation = self.model.relation(relation_ids, side)  # [B, d_r]
        own = self.regulariser(self.model, anchor, relation, answer, self.model.way(side))
        parts["regulariser"] += self.config.regulariser_weight * own
