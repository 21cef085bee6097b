"""In-batch negatives: the other rows' answers, which are at hand already."""

from __future__ import annotations

import torch

from mmkg.graph.facts import Facts
from mmkg.samplers.base import NegativeSampler
from mmkg.samplers.mmrns.pool import known_in_pool
from mmkg.types import Batch, Negatives, Side


class InBatchSampler(NegativeSampler):
    r"""The answers of other rows, drawn without replacement among rows.

    Of the ``n`` rows whose answer is unknown to row :math:`b`, ``K`` different ones are drawn uniformly; with ``K`` of
    at least ``B - 1`` each of them once (as Chen et al., `SimCLR <https://arxiv.org/abs/2002.05709>`_, ICML 2020, and
    dense retrieval do). An entity that answers several rows may come several times: over batches the negatives of a
    question follow the answers' popularity at that side.

    Args:
        num_entities: Number of entities ``N``.
        num_negatives: Number of negatives ``K`` for each positive; what a smaller batch lacks is not ``valid``.
    """

    draws_for = "whole"

    def sample(
        self,
        batch: Batch,
        side: Side,
        model: torch.nn.Module | None,
        facts: Facts,
        generator: torch.Generator | None = None,
        step: int = 0,
    ) -> Negatives:
        """Draw ``K`` other rows' answers; see :meth:`NegativeSampler.sample`. The model is not read.

        Returns:
            Negatives whose ``log_prob`` is that of the row drawn, ``-log(n - k)`` for draw k from 0 on.
        """
        self._check(side, facts)
        answers, place = batch.answer(side).unique(return_inverse=True)  # [U], [B]
        allowed = ~known_in_pool(batch, side, facts, answers)[:, place]  # [B, B], by row and by whose answer it is
        size = len(batch)
        noise = torch.rand(size, size, generator=generator, device=allowed.device, dtype=torch.float64)  # [B, B]
        # a uniform order of the allowed rows, the others last
        top, rows = noise.masked_fill(~allowed, -1.0).topk(min(self.num_negatives, size), dim=1)  # [B, k]
        shape = (size, self.num_negatives)
        ids = batch.answer(side).new_zeros(shape)  # [B, K]
        valid = torch.zeros(shape, dtype=torch.bool, device=ids.device)  # [B, K]
        ids[:, : rows.shape[1]], valid[:, : rows.shape[1]] = batch.answer(side)[rows], top >= 0
        left = allowed.sum(1, keepdim=True) - torch.arange(self.num_negatives, device=ids.device)  # [B, K]
        return Negatives(ids, valid, log_prob=-left.clamp(min=1).log())
