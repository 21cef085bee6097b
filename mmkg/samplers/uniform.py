"""Uniform negatives: every entity that is not a known answer is equally likely."""

from __future__ import annotations

import torch

from mmkg.graph.facts import Facts
from mmkg.samplers.base import NegativeSampler
from mmkg.types import Batch, Negatives, Side


class UniformSampler(NegativeSampler):
    r"""Exact filtered uniform sampling with replacement.

    For a question with ``c`` known answers an order :math:`u` is drawn uniformly from :math:`[0, N - c)` and turned
    into the :math:`u`-th unknown entity by binary search. Nothing is rejected, so every row costs the same.

    Args:
        num_entities: Number of entities ``N``.
        num_negatives: Number of negatives ``K`` for each positive; may exceed ``N``, as draws repeat.

    Example:
        >>> import torch
        >>> from mmkg.graph.facts import Facts
        >>> from mmkg.types import Batch
        >>> h, r, t = torch.tensor([0, 0]), torch.tensor([0, 0]), torch.tensor([1, 2])
        >>> sampler, facts = UniformSampler(4, 50), Facts(h, r, t, num_nodes=4, num_relations=1)
        >>> negatives = sampler.sample(Batch(h, r, t), "tail", None, facts)
        >>> sorted(set(negatives.ids.flatten().tolist()))
        [0, 3]
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
        """Draw ``K`` unknown entities for each row; see :meth:`NegativeSampler.sample`. The model is not read.

        Returns:
            Negatives whose ``log_prob`` is ``-log(N - c)``; ``valid`` is False for rows whose every entity is known.
        """
        self._check(side, facts)
        answer = batch.answer(side)
        # the batch's own answer counts as known even if the facts miss it (say, facts of another split)
        stranger = ~facts.mask(batch, side, answer[:, None])[:, 0]  # [B]
        left = self.num_entities - facts.count(batch, side) - stranger.long()  # [B], unknown entities to draw from
        shape = (len(batch), self.num_negatives)
        # float64: with float32's 24 bits some of many entities would never be drawn
        noise = torch.rand(shape, generator=generator, device=answer.device, dtype=torch.float64)  # [B, K]
        order = (noise * left[:, None]).long().minimum(left[:, None] - 1).clamp(min=0)  # [B, K]
        ids = facts.unknown(batch, side, order)  # [B, K]
        if bool(stranger.any()):
            # where the unlisted answer lies at or before the draw, the draw moves on to the next unknown entity
            moved = facts.unknown(batch, side, (order + 1).minimum(self._last(batch, side, facts)))  # [B, K]
            ids = torch.where(stranger[:, None] & (ids >= answer[:, None]), moved, ids)  # [B, K]
        valid = (left > 0)[:, None].expand(shape)  # [B, K]
        ids = ids.clamp(max=self.num_entities - 1)  # in range also where nothing is left
        log_prob = -left.clamp(min=1).log()[:, None].expand(shape)  # [B, K], float32
        return Negatives(ids=ids, valid=valid, log_prob=log_prob)

    def _last(self, batch: Batch, side: Side, facts: Facts) -> torch.Tensor:
        """Order of the last unknown entity of each row, at least 0, ``[B, 1]``."""
        return (self.num_entities - facts.count(batch, side) - 1).clamp(min=0)[:, None]  # [B, 1]
