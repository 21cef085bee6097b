"""NSCaching: a cache of hard negatives for every question, refreshed by the model's scores."""

from __future__ import annotations

import torch
from torch import Tensor

from mmkg.graph.facts import Facts
from mmkg.samplers.base import NegativeSampler, score_ids
from mmkg.samplers.mmrns.draw import gumbel
from mmkg.samplers.uniform import UniformSampler
from mmkg.samplers.weighted_sets import draw_where
from mmkg.types import SIDES, Batch, Negatives, Side

EMPTY = -1


class NSCaching(NegativeSampler):
    r"""`NSCaching: Simple and Efficient Negative Sampling for Knowledge Graph Embedding
    <https://arxiv.org/abs/1812.06410>`_ (Zhang et al., ICDE 2019).

    Each question :math:`(h, r, ?)` and :math:`(?, r, t)` of the training facts has a cache of :math:`N_1` unknown
    entities. Negatives are uniform over the cache. Then the cache is refreshed: it is joined by :math:`N_2` unknown
    entities drawn uniformly, and of the different ones :math:`N_1` stay, drawn without replacement with probabilities

    .. math:: p(e) = \frac{\exp s(h, r, e)}{\sum_{e'} \exp s(h, r, e')}

    by the model's scores. Caches are filled when their question first comes. They change in training mode only.

    Args:
        num_entities: Number of entities ``N``.
        num_negatives: Number of negatives ``K`` for each positive, drawn with replacement.
        facts: The training facts, whose questions get a cache.
        cache_size: :math:`N_1`, at least 1.
        candidates: :math:`N_2`, at least 1.
        refresh_every: A question's cache is refreshed at every such visit (the paper's lazy update counts epochs).

    Raises:
        ValueError: If a number is out of range or the facts are of another graph.
    """

    draws_for = "whole"  # so that all processes have the same caches

    def __init__(
        self,
        num_entities: int,
        num_negatives: int,
        facts: Facts,
        *,
        cache_size: int = 50,
        candidates: int = 50,
        refresh_every: int = 1,
    ) -> None:
        super().__init__(num_entities, num_negatives)
        self._check("tail", facts)
        for name, value in (("cache_size", cache_size), ("candidates", candidates), ("refresh_every", refresh_every)):
            if value < 1:
                raise ValueError(f"{name} is {value}, expected at least 1")
        self.cache_size, self.refresh_every = cache_size, refresh_every
        self.uniform = UniformSampler(num_entities, num_negatives)
        self.first, self.fresh = UniformSampler(num_entities, cache_size), UniformSampler(num_entities, candidates)
        triples = Batch(*facts.triples())
        for side in SIDES:
            keys = _keys(triples, side, facts).unique()  # [Q], in order
            self.register_buffer(f"{side}_keys", keys)
            empty = torch.full((keys.numel(), cache_size), EMPTY, dtype=torch.int32, device=keys.device)
            self.register_buffer(f"{side}_cache", empty)  # [Q, N1]
            self.register_buffer(f"{side}_visits", torch.zeros_like(keys, dtype=torch.int32))  # [Q]

    def cached(self, batch: Batch, side: Side, facts: Facts) -> Tensor:
        """The cache of each row's question, shape ``[B, N1]``; -1 where nothing is in it."""
        row, found = self._find(batch, side, facts)
        if not found.any():
            return row.new_full((len(batch), self.cache_size), EMPTY)
        return torch.where(found[:, None], self.get_buffer(f"{side}_cache")[row].long(), EMPTY)  # [B, N1]

    @torch.no_grad()
    def sample(
        self,
        batch: Batch,
        side: Side,
        model: torch.nn.Module,
        facts: Facts,
        generator: torch.Generator | None = None,
        step: int = 0,
    ) -> Negatives:
        """Draw ``K`` negatives for each row from its cache, then refresh the caches that were visited.

        Returns:
            Negatives whose ``log_prob`` is minus the log of how many of the cache the row may get; it passes over its
            own answer. A row whose question has no cache, or may get nothing of it, gets uniform negatives.
        """
        self._check(side, facts)
        row, found = self._find(batch, side, facts)  # [B], [B]
        cache = self.cached(batch, side, facts)  # [B, N1]
        if bool(found.any()):
            distinct, place = row[found].unique(return_inverse=True)  # [U], [B']
            # any row that asks a question stands for it: what is drawn and scored depends on the question alone
            of = found.nonzero().flatten()  # [B']
            asked = _rows(batch, of.new_empty(distinct.numel()).scatter_(0, place, of))  # U questions
            own = self._filled(self.get_buffer(f"{side}_cache")[distinct].long(), asked, side, facts, generator)
            cache[of] = own[place]
            if self.training:
                self._refresh(distinct, own, asked, side, model, facts, generator)
        anyone = self.uniform.sample(batch, side, None, facts, generator)
        taken = (cache == batch.answer(side)[:, None]) | facts.mask(batch, side, cache.clamp(min=0))
        drawn = draw_where((cache != EMPTY) & ~taken, self.num_negatives, generator)
        served = drawn.valid()  # [B, K]
        ids = torch.where(served, cache.gather(1, drawn.ids), anyone.ids)  # [B, K]
        log_prob = torch.where(served, drawn.log_prob, anyone.log_prob)  # [B, K]
        return Negatives(ids, served | anyone.valid, log_prob=log_prob)

    def _find(self, batch: Batch, side: Side, facts: Facts) -> tuple[Tensor, Tensor]:
        """Cache of each row's question (any where there is none) and whether there is one, ``[B]`` each."""
        keys, wanted = self.get_buffer(f"{side}_keys"), _keys(batch, side, facts)
        if not keys.numel():
            return torch.zeros_like(wanted), torch.zeros_like(wanted, dtype=torch.bool)
        row = torch.searchsorted(keys, wanted).clamp(max=keys.numel() - 1)
        return row, keys[row] == wanted

    def _filled(
        self, cache: Tensor, asked: Batch, side: Side, facts: Facts, generator: torch.Generator | None
    ) -> Tensor:
        """Caches ``[U, N1]`` of some questions, those with nothing in them filled uniformly."""
        empty = (cache == EMPTY).all(1).nonzero().flatten()  # [E]
        if empty.numel():
            drawn = self.first.sample(_rows(asked, empty), side, None, facts, generator)
            cache[empty] = drawn.ids.masked_fill(~(drawn.valid & first_of_each(drawn.ids)), EMPTY)
        return cache

    def _refresh(
        self,
        rows: Tensor,
        cache: Tensor,
        asked: Batch,
        side: Side,
        model: torch.nn.Module,
        facts: Facts,
        generator: torch.Generator | None,
    ) -> None:
        """Count the visits of questions and renew the caches ``[U, N1]`` of those whose turn it is."""
        stored, visits = self.get_buffer(f"{side}_cache"), self.get_buffer(f"{side}_visits")
        visits[rows] += 1
        stored[rows] = cache.int()
        due = (visits[rows] % self.refresh_every == 0).nonzero().flatten()  # [D]
        if not due.numel():
            return
        asked = _rows(asked, due)
        drawn = self.fresh.sample(asked, side, None, facts, generator)
        ids = torch.cat([cache[due], drawn.ids.masked_fill(~drawn.valid, EMPTY)], dim=1)  # [D, N1 + N2]
        scores = score_ids(model, asked, side, ids.clamp(min=0))  # [D, N1 + N2]
        noise = gumbel(tuple(scores.shape), scores.dtype, scores.device, generator)
        lottery = (scores + noise).masked_fill(~first_of_each(ids) | (ids == EMPTY), -torch.inf)
        top, kept = lottery.topk(self.cache_size, dim=1)  # [D, N1], drawn without replacement
        stored[rows[due]] = ids.gather(1, kept).masked_fill(top == -torch.inf, EMPTY).int()

    def extra_repr(self) -> str:
        """Settings shown by ``repr``."""
        return f"{super().extra_repr()}, cache_size={self.cache_size}, refresh_every={self.refresh_every}"


def first_of_each(ids: Tensor) -> Tensor:
    """True at one place of each different number in a row, ``[B, P]``."""
    ordered, order = ids.sort(dim=1)
    new = torch.ones_like(ordered, dtype=torch.bool)  # [B, P]
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return torch.empty_like(new).scatter_(1, order, new)


def _keys(batch: Batch, side: Side, facts: Facts) -> Tensor:
    """Number ``[B]`` of the question in which ``side`` is missing."""
    return batch.anchor(side) * facts.num_relations + batch.relation


def _rows(batch: Batch, rows: Tensor) -> Batch:
    """Some triples of a batch, by their numbers."""
    return Batch(batch.head[rows], batch.relation[rows], batch.tail[rows])
