"""What a sampler can tell of its draws: probability, similarities, how it would have drawn without a modality."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mmkg.graph import Facts
from mmkg.samplers import MMRNS, NegativeSampler
from mmkg.samplers.mmrns.distribution import log_mixture, temperature
from mmkg.samplers.mmrns.explanation import explain_positions
from mmkg.samplers.mmrns.seen import Seen
from mmkg.types import Batch, Negatives, Side

MODALITIES = ("image", "text", "structure")


@dataclass
class Told:
    """What a sampler tells of some entities as negatives; NaN where it cannot.

    Args:
        probability: Probability of each to be drawn; for MMRNS as the first draw, for others as the next given those
            before it, shape ``[B, k]``.
        similarity: Cosine with the true answer by modality, each ``[B, k]``.
        without: ``probability`` had the modality been left out, each ``[B, k]``; only for modalities in use.
        in_pool: Whether each was among the step's candidates, shape ``[B, k]``; None for a sampler without a pool.
        entropy: Of the distribution over candidates in nats, shape ``[B]``; NaN where only draws are known.
    """

    probability: Tensor
    similarity: dict[str, Tensor] = field(default_factory=dict)
    without: dict[str, Tensor] = field(default_factory=dict)
    in_pool: Tensor | None = None
    entropy: Tensor | None = None


@torch.no_grad()
def tell(sampler: NegativeSampler, negatives: Negatives, step: int, ids: Tensor | None = None) -> Told:
    """What a sampler tells of its draws, or of other entities at the same step.

    Args:
        sampler: Any sampler. MMRNS tells all; one with a ``describe(negatives)`` like MMRNS's tells probabilities and
            similarities of its draws; others tell ``log_prob`` if they have it.
        negatives: What it drew.
        step: Steps done before the draw.
        ids: Entities to be told about, shape ``[B, k]``; those that were drawn if None.
    """
    seen = negatives.cache
    if isinstance(sampler, MMRNS) and isinstance(seen, Seen):
        return _tell_seen(sampler, seen, negatives, step, ids)
    if ids is not None:
        return Told(torch.full(ids.shape, torch.nan, device=ids.device))
    if hasattr(sampler, "describe"):
        found = sampler.describe(negatives)
        return Told(found.probability, {m: getattr(found, m) for m in MODALITIES if hasattr(found, m)})
    if negatives.log_prob is None:
        return Told(torch.full(negatives.ids.shape, torch.nan, device=negatives.ids.device))
    return Told(negatives.log_prob.exp())


def _tell_seen(sampler: MMRNS, seen: Seen, negatives: Negatives, step: int, ids: Tensor | None) -> Told:
    if ids is None:
        positions, inside = seen.positions, negatives.valid  # [B, K], [B, K]
    else:
        place = seen.pool.new_full((sampler.num_entities,), -1)  # [N]
        place[seen.pool] = torch.arange(seen.pool.numel(), device=seen.pool.device)
        positions = place[ids]  # [B, k]
        inside = positions >= 0  # [B, k]
        positions = positions.clamp(min=0)
    found = explain_positions(seen, positions, inside)
    allowed = among(seen.log_p, seen.allowed)  # [B, P]
    entropy = torch.special.entr(allowed.exp()).sum(dim=1)  # [B], in nats
    epsilon = temperature(sampler.epsilon, step, sampler.epsilon_schedule)
    without = {}
    for name in seen.similarities:
        log_p = among(log_without(seen, name, epsilon, sampler.missing), seen.allowed).gather(1, positions)  # [B, k]
        without[name] = torch.where(inside, log_p.exp(), 0.0)  # [B, k]
    similarity = {m: getattr(found, m) for m in MODALITIES}
    return Told(found.probability, similarity, without, inside, entropy)


def see_all(
    sampler: MMRNS,
    batch: Batch,
    side: Side,
    model: torch.nn.Module,
    facts: Facts,
    step: int = 0,
    chunk_size: int | None = 2048,
) -> Seen:
    """A batch's true answers compared with all entities, as :meth:`mmkg.samplers.MMRNS.see` does it with a pool."""
    device = batch.relation.device
    # a generator of its own: which known answers are looked up besides shows in nothing here
    plan = sampler.plan(batch, side, facts, torch.Generator(device), torch.arange(sampler.num_entities, device=device))
    return sampler.see(plan, model, step, chunk_size)


def log_without(seen: Seen, name: str, epsilon: float, rule: str) -> Tensor:
    """Log-probabilities ``[B, P]`` had one modality been left out; uniform if it was the only one.

    The others are mixed as :func:`mmkg.samplers.mmrns.distribution.log_mixture` does it.

    Args:
        seen: Similarities of a batch to a pool.
        name: The modality to leave out.
        epsilon: Temperature.
        rule: How missing modalities are dealt with.
    """
    inside = seen.log_p > -torch.inf  # [B, P], a row's own candidates
    others = {m: s for m, s in seen.similarities.items() if m != name}
    if not others:
        log_p = torch.zeros_like(seen.log_p).masked_fill(~inside, -torch.inf)  # [B, P]
        return torch.log_softmax(log_p, dim=1)
    return log_mixture(others, {m: seen.shared[m] for m in others}, epsilon, rule, inside)  # [B, P]


def among(log_p: Tensor, allowed: Tensor) -> Tensor:
    """Log-probabilities ``[B, P]`` among the allowed candidates; -inf for others, and for all of a row without any."""
    masked = log_p.masked_fill(~allowed, -torch.inf)  # [B, P]
    total = masked.logsumexp(dim=1, keepdim=True)  # [B, 1]
    return torch.where(total > -torch.inf, masked - total, -torch.inf)  # [B, P]
