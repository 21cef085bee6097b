"""What every negative sampler offers to the trainer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from mmkg.graph.facts import Facts
from mmkg.types import SIDES, Batch, Negatives, Side


class NegativeSampler(torch.nn.Module, ABC):
    """Draws negatives for a batch and, where it learns, says by what loss.

    A sampler keeps its state in buffers and parameters. The model comes with each call and is never stored, so that its
    parameters are not owned twice. Of it a sampler reads ``model.entity(ids) -> [..., d]`` and
    ``model.relation(ids, side) -> [..., d_r]``. Two samplers need more by their papers' own definition, and say so:
    NSCaching ranks candidates by the model's scores (``score_tails`` and ``score_heads``, without gradient), and MANS
    takes fused entities apart (``node_emb``). A known answer in ``facts`` (and the batch's own answer) is never emitted
    as a valid negative.

    Attributes:
        training: Whether :meth:`sample` may change the sampler's own state; in evaluation mode it leaves it alone.

    Args:
        num_entities: Number of entities ``N`` to draw from, at least 1.
        num_negatives: Number of negatives ``K`` for each positive, at least 1.

    Raises:
        ValueError: If a number is below 1.
    """

    draws_for: Literal["whole", "rows", "ranges"] | None = None
    """How runs that share a batch, in several processes or one after the other, draw what one run would: ``"whole"``:
    each process draws for the whole batch and takes its rows, which negatives without gradient allow; ``"rows"``:
    ``sample(…, rows=slice)`` spends chance as for the whole batch and computes for those rows alone; ``"ranges"``: the
    same, and processes divide a pool too (``rows`` is a :class:`~mmkg.samplers.share.Share`); None: each draws for its
    rows, from a stream of its own."""

    averaged: tuple[str, ...] = ()
    """Buffers that follow from a batch's rows, of which several processes take the means after each step."""

    def __init__(self, num_entities: int, num_negatives: int) -> None:
        super().__init__()
        if num_entities < 1:
            raise ValueError(f"num_entities is {num_entities}, expected at least 1")
        if num_negatives < 1:
            raise ValueError(f"num_negatives is {num_negatives}, expected at least 1")
        self.num_entities, self.num_negatives = num_entities, num_negatives
        self._known: list[tuple[Facts, dict[Any, Any]]] = []

    @abstractmethod
    def sample(
        self,
        batch: Batch,
        side: Side,
        model: torch.nn.Module,
        facts: Facts,
        generator: torch.Generator | None = None,
        step: int = 0,
    ) -> Negatives:
        """Draw negatives that replace the entity at ``side``.

        Args:
            batch: ``B`` positive triples.
            side: The side to replace.
            model: Scorer of the embeddings, read through ``entity`` and ``relation``.
            facts: Known triples on the device of the batch; in training those of the train split only.
            generator: Source of randomness on the device of the batch; torch's own if None.
            step: Number of steps done before, for schedules.

        Returns:
            Negatives with ``ids`` and ``valid`` of shape ``[B, K]``.
        """

    def questions(
        self, batch: Batch, side: Side, facts: Facts, generator: torch.Generator | None = None
    ) -> list[tuple[Batch, Side]]:
        """The batch as questions to draw negatives for: by default all of it at the side whose turn it is.

        A sampler whose law says which side of a triple is corrupted (Bernoulli) divides the batch here. Each row is in
        one part; parts are not empty.
        """
        return [(batch, side)]

    def plan(self, batch: Batch, side: Side, facts: Facts, generator: torch.Generator | None = None) -> Any:
        """What of a step follows from ids alone, to be worked out on the host while a GPU computes; None by default.

        A sampler that has something to plan takes it back as ``sample(…, plan=…)``; a plan has a method ``to(device)``.

        Args:
            batch: ``B`` triples, on the host as all that follows.
            side: The side to replace.
            facts: Known triples; in training those of the train split only.
            generator: Source of randomness.

        Returns:
            What :meth:`sample` takes back, or None.
        """
        return None

    def shrink(self) -> str | None:
        """Compute in smaller portions from now on: what was chosen, in words, or None where nothing can be smaller."""
        return None

    def loss(self, negatives: Negatives, negative_scores: Tensor, positive_scores: Tensor) -> Tensor | None:
        """The sampler's own loss once the negatives have been scored, already weighted; None where it learns nothing.

        Args:
            negatives: What :meth:`sample` returned.
            negative_scores: The model's scores of them, shape ``[B, K]``; higher means more plausible.
            positive_scores: The model's scores of the positives, shape ``[B]``.
        """
        return None

    def update(self, negatives: Negatives, negative_scores: Tensor) -> None:
        """Take note of the scores ``[B, K]`` without gradient; by default nothing is kept."""
        return None

    def extra_repr(self) -> str:
        """Sizes shown by ``repr``."""
        return f"num_entities={self.num_entities}, num_negatives={self.num_negatives}"

    def _check(self, side: Side, facts: Facts) -> None:
        """Raise ValueError where the side is none or the facts belong to another graph."""
        if side not in SIDES:
            raise ValueError(f"side {side!r}: choose 'head' or 'tail'")
        if facts.num_nodes != self.num_entities:
            raise ValueError(f"facts of {facts.num_nodes} entities, the sampler draws from {self.num_entities}")

    def _derive(self, facts: Facts, name: Any, make: Callable[[], Any]) -> Any:
        """What ``make`` gives, made once for each of the last two facts: those on the host and those on a GPU."""
        known = next((known for of, known in self._known if of is facts), None)
        if known is None:
            known = {}
            self._known = [*self._known[-1:], (facts, known)]
        if name not in known:
            known[name] = make()
        return known[name]


def score_ids(model: torch.nn.Module, batch: Batch, side: Side, ids: Tensor) -> Tensor:
    """The model's scores ``[B, P]``, in float32 at least, of entities ``[B, P]`` put at ``side`` of each triple."""
    if side == "tail":
        scores = model.score_tails(batch.head, batch.relation, ids)
    else:
        scores = model.score_heads(batch.relation, batch.tail, ids)
    return scores if scores.dtype == torch.float64 else scores.float()
