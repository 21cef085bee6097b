"""Why a negative is hard: its probability and how alike it is in each modality."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmkg.samplers.mmrns.seen import Seen


@dataclass
class Explanation:
    """Candidates of each row with what made them probable.

    Args:
        ids: Entity ids, shape ``[B, k]``.
        probability: Probability among the candidates that are no known answers, shape ``[B, k]``; 0 where fewer than k
            are left, and ids mean nothing there.
        image: Cosine with the true answer, shape ``[B, k]``; NaN where either lacks an image or images are off.
        text: As ``image``.
        structure: As ``image``.
    """

    ids: Tensor
    probability: Tensor
    image: Tensor
    text: Tensor
    structure: Tensor


@torch.no_grad()
def explain_positions(seen: Seen, positions: Tensor, valid: Tensor) -> Explanation:
    """Explain some candidates of a comparison.

    Args:
        seen: Similarities of a batch to a pool.
        positions: Positions in the pool, shape ``[B, k]``.
        valid: False for places that hold nothing, shape ``[B, k]``.
    """
    allowed = seen.log_p.detach().masked_fill(~seen.allowed, -torch.inf)  # [B, P]
    log_p = allowed.gather(1, positions) - allowed.logsumexp(dim=1, keepdim=True)  # [B, k]
    probability = torch.where(valid, log_p.exp(), 0.0)  # [B, k]
    found = {}
    for name in ("image", "text", "structure"):
        if name not in seen.similarities:
            found[name] = torch.full_like(probability, torch.nan)  # [B, k]
            continue
        similarity = seen.similarities[name].detach().gather(1, positions)  # [B, k]
        has = seen.shared[name].gather(1, positions) & valid  # [B, k]
        found[name] = similarity.masked_fill(~has, torch.nan)  # [B, k]
    return Explanation(seen.pool[positions], probability, **found)
