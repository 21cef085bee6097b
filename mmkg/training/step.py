"""The loss of one batch: objective, regulariser, auxiliary task and the sampler's own part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkg.evaluation import score_side
from mmkg.graph import Facts
from mmkg.samplers import NegativeSampler
from mmkg.training.config import TrainConfig
from mmkg.training.full_softmax import scores_by_product
from mmkg.training.questions import Asked, Question
from mmkg.training.regularisers import REGULARISERS
from mmkg.training.relation_prediction import relation_loss
from mmkg.training.sides import joined
from mmkg.types import Batch, Negatives, Side

Watch = Callable[[Batch, Side, Negatives, Tensor], None]


class StepLoss:
    """What is minimised on a batch, in named parts that add up.

    Over both sides the loss is the sum of the sides' losses. Where scores of all entities are plain products of queries
    and the table of entities, the questions of both sides go through one product, each question once.

    Args:
        model: The scorer.
        sampler: Draws negatives; None for an objective that needs none.
        objective: See :mod:`mmkg.training.objectives`.
        facts: Known triples, of the train split alone.
        config: Settings.
        generator: Source of randomness of the negatives, on the device of the questions.
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

    def __call__(self, asked: Asked, step: int) -> dict[str, Tensor]:
        """Parts of the loss by name, scalars.

        Args:
            asked: The questions of each side about ``B`` triples in all.
            step: Steps done before.
        """
        parts: dict[str, Tensor] = defaultdict(lambda: 0.0)
        if self.objective.needs_negatives:
            for questions in asked:
                self._sampled(parts, questions, step)
        elif hasattr(self.objective, "of_products") and scores_by_product(self.model):
            self._by_product(parts, {q.side: q.batch for questions in asked for q in questions})
        else:
            for questions in asked:
                for question in questions:
                    self._full(parts, question.batch, question.side)
        if self.config.relation_weight:
            for questions in asked:
                losses = [{"relations": relation_loss(self.model, q.batch, q.side)} for q in questions]
                mean = joined([q.batch for q in questions], losses)["relations"]
                parts["relations"] += self.config.relation_weight * mean
        return dict(parts)

    def _sampled(self, parts: dict[str, Tensor], questions: Sequence[Question], step: int) -> None:
        """Add the losses against drawn negatives."""
        self.sampler.train()
        losses = [self._against_negatives(question, step) for question in questions]
        for name, loss in joined([question.batch for question in questions], losses).items():
            parts[name] += loss

    def _against_negatives(self, question: Question, step: int) -> dict[str, Tensor]:
        """The loss against drawn negatives, the sampler's own and the penalty."""
        batch, side = question.batch, question.side
        negatives = self._drawn(question, step)
        positive = self.model.score_triples(batch.head, batch.relation, batch.tail, side)  # [B]
        scores = score_side(self.model, batch, side, negatives.candidates)  # [B, K]
        self.watch(batch, side, negatives, scores.detach())
        parts = defaultdict(lambda: 0.0, objective=self.objective(positive, scores, negatives.valid, batch.weight))
        own = self.sampler.loss(negatives, scores, positive)
        if own is not None:
            parts["sampler"] = own
        self._regularise_ids(parts, batch, side)
        self.sampler.update(negatives, scores.detach())
        return dict(parts)

    def _drawn(self, question: Question, step: int) -> Negatives:
        """Negatives of a question's rows, drawn for them or as for the whole batch."""
        options = {} if question.plan is None else {"plan": question.plan}
        given = (question.side, self.model, self.facts, self.generator, step)
        if question.of is None:
            return self.sampler.sample(question.batch, *given, **options)
        whole, rows = question.of
        if self.sampler.draws_for != "whole":
            wanted = rows if question.share is None else question.share
            return self.sampler.sample(whole.batch, *given, rows=wanted, **options)
        if whole.negatives is None:
            whole.negatives = self.sampler.sample(whole.batch, *given, **options)
        return whole.negatives.rows(rows)

    def _full(self, parts: dict[str, Tensor], batch: Batch, side: Side) -> None:
        """Add the loss over the scores ``[B, N]`` of all entities."""
        scores = score_side(self.model, batch, side)  # [B, N]
        known = {"known": self.facts.known(batch, side)} if getattr(self.objective, "needs_known", False) else {}
        parts["objective"] += self.objective(scores, batch.answer(side), batch.weight, **known)
        self._regularise_ids(parts, batch, side)

    def _regularise_ids(self, parts: dict[str, Tensor], batch: Batch, side: Side) -> None:
        """Add the penalty of a batch's embeddings, which are looked up for it."""
        if self.regulariser is not None:
            anchor, answer = self.model.entity(batch.anchor(side)), self.model.entity(batch.answer(side))
            self._regularise(parts, anchor, answer, self.model.relation(batch.relation, side), side)

    def _by_product(self, parts: dict[str, Tensor], asked: dict[Side, Batch]) -> None:
        """Add the loss over all entities without keeping their scores; all sides by one product."""
        table = self.model.entity_table()  # [N, d]
        ids = [x for side, batch in asked.items() for x in (batch.anchor(side), batch.answer(side))]
        # one look-up for all, for each has a gradient as large as the table
        given = iter(F.embedding(torch.cat(ids), table).split([len(x) for x in ids]))
        queries, rows, answers, weights, before = [], [], [], [], 0
        for side, batch in asked.items():
            anchor, answer = next(given), next(given)  # [B, d], [B, d]
            relation = self.model.relation(batch.relation, side)  # [B, d_r]
            if self.regulariser is not None:
                self._regularise(parts, anchor, answer, relation, side)
            keys = batch.anchor(side) * self.model.num_relations + batch.relation  # [B]
            distinct, row = keys.unique(return_inverse=True)  # [U], [B]
            # of the triples that ask the same, any will do, but the same one each time
            number = torch.arange(len(row), device=row.device)  # [B]
            one = torch.empty_like(distinct).scatter_reduce_(0, row, number, "amin", include_self=False)  # [U]
            queries.append(self.model.query(anchor[one], relation[one], self.model.way(side)))  # [U, d]
            rows.append(row + before)
            answers.append(batch.answer(side))
            # each side's weights add up to one, so that the sum over all triples is that of the sides' means
            weight = torch.ones_like(anchor[:, 0]) if batch.weight is None else batch.weight  # [B]
            weights.append(weight / weight.sum())
            before += len(distinct)
        mean = self.objective.of_products(torch.cat(queries), table, *map(torch.cat, (answers, weights, rows)))
        parts["objective"] += len(asked) * mean

    def _regularise(
        self, parts: dict[str, Tensor], anchor: Tensor, answer: Tensor, relation: Tensor, side: Side
    ) -> None:
        """Add the penalty of one side's entities ``[B, d]`` and relations ``[B, d_r]``."""
        own = self.regulariser(self.model, anchor, relation, answer, self.model.way(side))
        parts["regulariser"] += self.config.regulariser_weight * own
