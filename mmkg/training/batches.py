"""Positive triples in shuffled batches, with a position that can be saved and taken up again."""

from __future__ import annotations

import torch
from torch import Tensor

from mmkg.types import Batch


def subsampling_weights(triples: Tensor) -> Tensor:
    r"""Weight :math:`1 / \sqrt{\mathrm{count}(h, r) + \mathrm{count}(r, t)}` of each triple, counts starting at 4.

    As in the RotatE paper's code, a question seen once counts 4, twice 5, and so on.

    Args:
        triples: Ids (h, r, t), shape ``[E, 3]``.

    Returns:
        Weights, shape ``[E]``.
    """
    total = torch.zeros(len(triples), device=triples.device)
    for one, other in ((0, 1), (1, 2)):
        # one number for two ids: sorting rows takes many times as long
        key = triples[:, one] * (triples[:, other].amax() + 1 if len(triples) else 1) + triples[:, other]  # [E]
        _, question, count = torch.unique(key, return_inverse=True, return_counts=True)
        total += count[question] + 3  # [E]
    return total.rsqrt()


class Batches:
    """Endless batches of triples, each epoch in a new order; the last batch of an epoch may be smaller.

    Args:
        triples: Ids (h, r, t), shape ``[E, 3]``, at least one.
        batch_size: Triples a batch.
        seed: Of the orders.
        weight: Weight of each triple, shape ``[E]``, or None.
        question: Question that each triple asks, as any numbers, shape ``[E]``; None to shuffle single triples.
        together: Most triples of one question that follow each other in an order: each epoch the triples of a question
            are dealt anew into groups of this size, and the groups are shuffled.
    """

    def __init__(
        self,
        triples: Tensor,
        batch_size: int,
        seed: int,
        weight: Tensor | None = None,
        question: Tensor | None = None,
        together: int = 1,
    ) -> None:
        if not len(triples):
            raise ValueError("there are no triples to train on: the train split is empty")
        self.triples, self.batch_size, self.weight = triples, batch_size, weight
        self.question, self.together = None if question is None else question.cpu(), together
        self.generator = torch.Generator().manual_seed(seed)
        self.epoch = 0
        self._shuffle()

    def _shuffle(self) -> None:
        self._before = self.generator.get_state()
        self._order = torch.randperm(len(self.triples), generator=self.generator)  # [E]
        if self.question is not None and self.together > 1:
            self._order = self._grouped(self._order)
        self.position = 0

    def _grouped(self, order: Tensor) -> Tensor:
        """An order ``[E]`` in which triples of one question form groups, out of a random one."""
        by_question = order[self.question[order].argsort(stable=True)]  # [E], at random within a question
        asked = self.question[by_question]  # [E]
        _, count = asked.unique_consecutive(return_counts=True)  # [Q]
        first = (count.cumsum(0) - count).repeat_interleave(count)  # [E], where its question begins
        group = ((torch.arange(len(order)) - first) % self.together == 0).cumsum(0) - 1  # [E]
        place = torch.randperm(int(group[-1]) + 1, generator=self.generator)  # [G]
        return by_question[place[group].argsort(stable=True)]

    def next(self) -> Batch:
        """The next batch."""
        if self.position >= len(self.triples):
            self.epoch += 1
            self._shuffle()
        rows = self._order[self.position : self.position + self.batch_size].to(self.triples.device)  # [b]
        self.position += self.batch_size
        weight = None if self.weight is None else self.weight[rows]
        return Batch(*self.triples[rows].unbind(1), weight)

    def state(self) -> tuple[Tensor, dict[str, int]]:
        """Random state before this epoch's shuffle, and the place in it."""
        return self._before, {"epoch": self.epoch, "position": self.position}

    def restore(self, random: Tensor, place: dict[str, int]) -> None:
        """Go back to a state from :meth:`state`."""
        self.generator.set_state(random)
        self._shuffle()
        self.epoch, self.position = place["epoch"], place["position"]
