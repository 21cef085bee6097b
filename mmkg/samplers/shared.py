"""Shared negatives: one list of entities for the whole batch, which a scorer scores as one table."""

from __future__ import annotations

import torch

from mmkg.graph.facts import Facts
from mmkg.samplers.base import NegativeSampler
from mmkg.samplers.mmrns.pool import known_in_pool, random_pool
from mmkg.types import Batch, Negatives, Side


class SharedSampler(NegativeSampler):
    r"""One list of ``K`` different entities for all rows, uniform over all entities.

    A row's negatives are those of the list that it does not know. Given how many these are, they are a uniform sample
    without replacement of the row's unknown entities; their number :math:`k` is hypergeometric, with mean
    :math:`K (N - c) / N` for ``c`` known answers. Draws of different rows are dependent: they share the list. In return
    candidates are looked up once and scored as one table: by one matrix product, or one kernel of distances (Lerer et
    al., `PyTorch-BigGraph <https://arxiv.org/abs/1903.12287>`_, SysML 2019; Zheng et al., `DGL-KE
    <https://arxiv.org/abs/2004.08532>`_, SIGIR 2020).

    Args:
        num_entities: Number of entities ``N``.
        num_negatives: Length of the list ``K``, at most ``N``.

    Raises:
        ValueError: If the list would be longer than there are entities.

    Example:
        >>> import torch
        >>> from mmkg.graph.facts import Facts
        >>> from mmkg.types import Batch
        >>> h, r, t = torch.tensor([0, 1]), torch.tensor([0, 0]), torch.tensor([1, 2])
        >>> sampler, facts = SharedSampler(4, 4), Facts(h, r, t, num_nodes=4, num_relations=1)
        >>> negatives = sampler.sample(Batch(h, r, t), "tail", None, facts)
        >>> negatives.shared.tolist(), negatives.valid.tolist()
        ([0, 1, 2, 3], [[True, False, True, True], [True, True, False, True]])
    """

    draws_for = "whole"

    def __init__(self, num_entities: int, num_negatives: int) -> None:
        super().__init__(num_entities, num_negatives)
        if num_negatives > num_entities:
            told = f"num_negatives is {num_negatives}, expected at most the {num_entities} entities"
            raise ValueError(f"{told}: a shared list holds each once. Cure: ask for fewer, or train one_vs_all")

    def sample(
        self,
        batch: Batch,
        side: Side,
        model: torch.nn.Module | None,
        facts: Facts,
        generator: torch.Generator | None = None,
        step: int = 0,
    ) -> Negatives:
        """Draw the list; see :meth:`NegativeSampler.sample`. The model is not read.

        Returns:
            Negatives with ``shared [K]``, in ascending order. In ``log_prob`` the list counts as drawn one after the
            other: of a row's ``N - c`` unknown entities its j-th negative, from 0 on, has ``-log(N - c - j)``.
        """
        self._check(side, facts)
        ids = random_pool(self.num_entities, self.num_negatives, batch.head.device, generator)  # [K]
        valid = ~known_in_pool(batch, side, facts, ids)  # [B, K]
        # the batch's own answer counts as known even if the facts miss it (say, facts of another split)
        stranger = ~facts.contains(batch.head, batch.relation, batch.tail)  # [B]
        unknown = self.num_entities - facts.count(batch, side) - stranger.long()  # [B]
        before = valid.long().cumsum(1) - valid.long()  # [B, K], valid ones of the row before each
        left = (unknown[:, None] - before).clamp(min=1)  # [B, K]
        return Negatives(ids.expand(valid.shape), valid, log_prob=-left.log(), shared=ids)
