"""What each step asks, worked out on the host: triples, sides, and what samplers plan from ids alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmkg.graph import Facts
from mmkg.samplers import NegativeSampler
from mmkg.samplers.share import Share
from mmkg.training.batches import Batches, subsampling_weights
from mmkg.training.config import TrainConfig
from mmkg.training.seeds import stream
from mmkg.types import SIDES, Batch, Negatives, Side


@dataclass
class Whole:
    """A batch that runs of rows share.

    Args:
        batch: All of it.
        negatives: Drawn for all of it by the run that came first, where they can be divided.
    """

    batch: Batch
    negatives: Negatives | None = None


@dataclass
class Question:
    """Triples whose entity at a side is to be found, among negatives where a sampler draws some.

    Args:
        batch: ``B`` triples.
        side: The side asked for.
        plan: What the sampler said of them, see :meth:`mmkg.samplers.NegativeSampler.plan`.
        of: The whole batch and where in it these triples stand, where negatives are drawn as for all of it; then the
            plan is of all of it.
        share: What this process takes of the batch and the pool, where processes divide the pool too.
    """

    batch: Batch
    side: Side
    plan: Any = None
    of: tuple[Whole, slice] | None = None
    share: Share | None = None

    def to(self, device: torch.device) -> Question:
        """The same on another device."""
        return Question(self.batch.to(device), self.side, None if self.plan is None else self.plan.to(device))


Asked = Sequence[Sequence[Question]]
"""What a step asks: for each side that is asked for its questions, one or, as a sampler divides the batch, more."""


class Questions:
    """The questions of each step, in an order that can be saved and taken up again.

    A step asks for one side (tails and heads in turn) or both. Everything here happens on the host, where triples and
    facts lie, and comes to the device in one go. With a GPU the next step's is made while the device still computes
    (:meth:`prepare`), so that neither waits for the other.

    Args:
        triples: Train triples (h, r, t) on the host, shape ``[E, 3]``.
        facts: Their facts, on the host.
        sampler: Divides and plans batches; None where no negatives are drawn.
        config: Settings.
        device: Where the questions are wanted.
        generator: The source of randomness of what the sampler does here; shared with the steps themselves unless
            ``ahead``.
        ahead: Whether :meth:`prepare` does anything.
    """

    def __init__(
        self,
        triples: Tensor,
        facts: Facts,
        sampler: NegativeSampler | None,
        config: TrainConfig,
        device: torch.device,
        generator: torch.Generator,
        *,
        ahead: bool,
    ) -> None:
        self.facts, self.sampler, self.config, self.device = facts, sampler, config, device
        self.generator, self.ahead = generator, ahead
        weight = subsampling_weights(triples) if config.subsampling else None
        self.tails = self._batches(triples, weight, "tail", "batches")
        # an order of its own for heads, where triples that ask the same stay together
        apart = config.both_sides and config.together > 1
        self.heads = self._batches(triples, weight, "head", "head batches") if apart else None
        self.epoch = 0
        self._next: tuple[int, Asked] | None = None

    def next(self, step: int) -> Asked:
        """The questions of the step after ``step``."""
        made = self._next if self._next is not None else self._make(step)
        self._next = None
        self.epoch, questions = made
        return questions

    def prepare(self, step: int) -> None:
        """Make those of the step after ``step`` already, where that is done ahead."""
        if self.ahead:
            self._before = self._state()
            self._next = self._make(step)

    def state(self) -> tuple[dict[str, Tensor], dict[str, int]]:
        """Random states and the place in the epoch, as if nothing had been made ahead."""
        return self._state() if self._next is None else self._before

    def restore(self, random: dict[str, Tensor], place: dict[str, int]) -> None:
        """Go back to a state from :meth:`state`."""
        self._next = None
        self.tails.restore(random["order"], place)
        if self.heads is not None:
            self.heads.restore(random["head_order"], place)
        if self.ahead:
            self.generator.set_state(random["plans"])
        self.epoch = self.tails.epoch

    def _state(self) -> tuple[dict[str, Tensor], dict[str, int]]:
        order, place = self.tails.state()
        random = {"order": order}
        if self.heads is not None:
            random["head_order"], _ = self.heads.state()  # its place is the same
        if self.ahead:
            random["plans"] = self.generator.get_state()
        return random, place

    def _make(self, step: int) -> tuple[int, Asked]:
        """The epoch of the step after ``step``, and its questions."""
        batch = self.tails.next()
        sides = SIDES[::-1] if self.config.both_sides else (SIDES[(step + 1) % 2],)  # tails first
        asked = dict.fromkeys(sides, batch)
        if self.heads is not None:
            asked["head"] = self.heads.next()
        return self.tails.epoch, [self._of_side(batch, side) for side, batch in asked.items()]

    def _of_side(self, batch: Batch, side: Side) -> list[Question]:
        if self.sampler is None:
            return [Question(batch, side).to(self.device)]
        parts = self.sampler.questions(batch, side, self.facts, self.generator)
        return [self._planned(*part) for part in parts]

    def planned(self, question: Question) -> Question:
        """A question about part of a batch with a plan of its own."""
        return self._planned(question.batch.to("cpu"), question.side)

    def _planned(self, batch: Batch, side: Side) -> Question:
        """A question about triples on the host, with its plan, on the device."""
        return Question(batch, side, self.sampler.plan(batch, side, self.facts, self.generator)).to(self.device)

    def _batches(self, triples: Tensor, weight: Tensor | None, side: Side, purpose: str) -> Batches:
        """The order in which train triples ``[E, 3]`` ask for a side."""
        config, batch = self.config, Batch(*triples.unbind(1))
        question = batch.anchor(side) * self.facts.num_relations + batch.relation  # [E]
        return Batches(
            triples, config.batch_size, stream(config.seed, purpose), weight, question, together=config.together
        )
