"""KBGAN: a small scorer of its own proposes negatives and is rewarded where they fool the model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmkg.graph.facts import Facts
from mmkg.samplers.base import NegativeSampler, score_ids
from mmkg.samplers.uniform import UniformSampler
from mmkg.scorers import DistMult, Scorer
from mmkg.types import Batch, Negatives, Side


@dataclass
class Proposal:
    """What the generator looked at and drew.

    Args:
        candidates: Entities, shape ``[B, P]``; they may repeat.
        log_p: Log-probability of each candidate, with gradient, shape ``[B, P]``.
        positions: Positions of the draws among the candidates, shape ``[B, K]``.
    """

    candidates: Tensor
    log_p: Tensor
    positions: Tensor


class KBGAN(NegativeSampler):
    r"""`KBGAN: Adversarial Learning for Knowledge Graph Embeddings <https://arxiv.org/abs/1711.04071>`_ (Cai & Wang,
    NAACL 2018).

    For each positive :math:`P` unknown entities are drawn uniformly, and of these the generator, a scorer :math:`g` of
    its own, draws the negatives independently by

    .. math:: p_G(e) = \frac{\exp g(h, r, e)}{\sum_{e'} \exp g(h, r, e')}

    The model that is trained against them is the discriminator: its score of a negative is the reward :math:`\rho`
    (the higher, the more the negative passes for true). The generator learns by REINFORCE, descending

    .. math:: L_G = -\operatorname{mean}_{b,k} (\rho_{bk} - \beta) \log p_G(e_{bk})

    with the baseline :math:`\beta` a moving average of rewards; before there is any, that of the batch at hand.

    Args:
        num_entities: Number of entities ``N``.
        num_negatives: Number of negatives ``K`` for each positive.
        num_relations: Number of relations ``R``.
        candidates: Candidates ``P`` of each positive.
        dim: Embedding size of the generator.
        momentum: Share of the past in the moving average, in [0, 1).
        scorer: The generator; a DistMult of size ``dim`` if None. Any scorer of this graph will do.

    Raises:
        ValueError: If a number is out of range or the generator is of another graph.
    """

    draws_for = "rows"
    averaged = ("baseline", "past")
    baseline: Tensor
    past: Tensor

    def __init__(
        self,
        num_entities: int,
        num_negatives: int,
        num_relations: int,
        *,
        candidates: int = 100,
        dim: int = 64,
        momentum: float = 0.99,
        scorer: Scorer | None = None,
    ) -> None:
        super().__init__(num_entities, num_negatives)
        if candidates < 1:
            raise ValueError(f"candidates is {candidates}, expected at least 1")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}, expected at least 0 and below 1")
        self.uniform, self.momentum = UniformSampler(num_entities, candidates), momentum
        self.scorer = DistMult(num_entities, num_relations, dim) if scorer is None else scorer
        if (found := (self.scorer.num_nodes, self.scorer.num_relations)) != (num_entities, num_relations):
            raise ValueError(f"a generator of {found} entities and relations, expected {(num_entities, num_relations)}")
        self.register_buffer("baseline", torch.zeros((), dtype=torch.float64))
        self.register_buffer("past", torch.zeros((), dtype=torch.float64))  # weight of all rewards seen so far, below 1

    def sample(
        self,
        batch: Batch,
        side: Side,
        model: torch.nn.Module | None,
        facts: Facts,
        generator: torch.Generator | None = None,
        step: int = 0,
        rows: slice | None = None,
    ) -> Negatives:
        """Draw ``K`` negatives for each row by the generator; see :meth:`NegativeSampler.sample`.

        Args:
            batch: ``B`` triples.
            side: The side to replace.
            model: Not read.
            facts: Known triples.
            generator: Source of randomness on the device of the batch.
            step: Not read.
            rows: Of which rows of the batch negatives are wanted, the same as of all; all if None.

        Returns:
            Negatives whose ``log_prob`` is that among the row's candidates, without gradient. The model is not read:
            its scores come back as the reward.
        """
        self._check(side, facts)
        drawn = self.uniform.sample(batch, side, None, facts, generator)
        shape = (len(batch), self.num_negatives)
        noise = torch.rand(shape, generator=generator, device=drawn.ids.device, dtype=torch.float64)  # [B, K]
        if rows is not None:
            batch, drawn, noise = batch.rows(rows), drawn.rows(rows), noise[rows]
        log_p = torch.log_softmax(score_ids(self.scorer, batch, side, drawn.ids), dim=1)  # [B, P]
        with torch.no_grad():
            upto = log_p.double().exp().cumsum(1)  # [B, P]
            # strictly below the sum, so that a candidate whose probability is rounded to 0 is never drawn
            number = (noise * upto[:, -1:]).minimum(upto[:, -1:].nextafter(upto.new_zeros(())))  # [B, K]
            positions = torch.searchsorted(upto, number, right=True)  # [B, K]
            log_prob = log_p.gather(1, positions)  # [B, K]
        valid = drawn.valid[:, :1].expand_as(positions)  # [B, K]; a row has all of its candidates or none
        proposal = Proposal(drawn.ids, log_p, positions)
        return Negatives(drawn.ids.gather(1, positions), valid, log_prob=log_prob, cache=proposal)

    def loss(self, negatives: Negatives, negative_scores: Tensor, positive_scores: Tensor) -> Tensor | None:
        """L_G; the model's scores are rewards, without gradient. None where no row has a negative."""
        valid = negatives.valid
        if not bool(valid.any()):
            return None
        reward = negative_scores.detach().double()  # [B, K]
        baseline = reward[valid].mean() if self.past == 0 else self.baseline / self.past
        proposal: Proposal = negatives.cache
        log_p = proposal.log_p.gather(1, proposal.positions)  # [B, K]
        return -((reward - baseline).to(log_p.dtype) * log_p)[valid].mean()

    @torch.no_grad()
    def update(self, negatives: Negatives, negative_scores: Tensor) -> None:
        """Let the rewards of a step into the baseline."""
        if bool(negatives.valid.any()):
            reward = negative_scores.double()[negatives.valid].mean()
            self.baseline.lerp_(reward, 1 - self.momentum)
            self.past.lerp_(torch.ones_like(self.past), 1 - self.momentum)

    def extra_repr(self) -> str:
        """Settings shown by ``repr``."""
        return f"{super().extra_repr()}, candidates={self.uniform.num_negatives}, momentum={self.momentum}"
