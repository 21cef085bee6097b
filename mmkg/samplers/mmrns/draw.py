"""K candidates without replacement in one go, by perturbing their log-probabilities once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Draw:
    """Candidates drawn for each row, in the order of the draws.

    Args:
        positions: Positions in the pool, all different within a row, shape ``[B, K]``.
        valid: False where nothing was left to draw (always at a row's end), shape ``[B, K]``.
        perturbed: ``log p + log mask + g``; -inf where a candidate must not be drawn, shape ``[B, P]``.
        log_prob: Log-probability of the k-th draw given those before it, 0 where not valid, shape ``[B, K]``.
    """

    positions: Tensor
    valid: Tensor
    perturbed: Tensor
    log_prob: Tensor


def gumbel(
    shape: tuple[int, ...], dtype: torch.dtype, device: torch.device, generator: torch.Generator | None = None
) -> Tensor:
    """Standard Gumbel noise: minus the log of exponential noise, kept off zero."""
    noise = torch.empty(shape, dtype=dtype, device=device).exponential_(generator=generator)
    return -noise.clamp(min=torch.finfo(dtype).tiny).log()


@torch.no_grad()
def draw(log_p: Tensor, allowed: Tensor, num: int, noise: Tensor) -> Draw:
    r"""Draw without replacement: the K largest of :math:`\log p + g` with Gumbel noise g.

    The law of the drawn sequence is that of K draws one after another, each proportional to p among what is left
    (Gumbel top-k: Kool et al., 2019).

    Args:
        log_p: Log-probabilities up to a constant per row, shape ``[B, P]``.
        allowed: False for candidates that must not be drawn, shape ``[B, P]``.
        num: ``K``, at most ``P``.
        noise: Standard Gumbel noise, shape ``[B, P]``.
    """
    log_p = log_p.detach()
    perturbed = (log_p + noise).masked_fill(~allowed, -torch.inf)  # [B, P]
    top, positions = perturbed.topk(num, dim=1)  # [B, K], sorted: the first draw first
    valid = top > -torch.inf  # [B, K]
    # what was left before draw k = the draws from k on and those never drawn
    masked = log_p.masked_fill(~allowed, -torch.inf)  # [B, P]
    chosen = masked.gather(1, positions)  # [B, K]
    left = log_left(chosen, masked.scatter(1, positions, -torch.inf).logsumexp(dim=1))[:, :-1]  # [B, K]
    log_prob = torch.where(valid, chosen - left, 0.0)  # [B, K]
    return Draw(positions, valid, perturbed, log_prob)


def log_left(drawn: Tensor, never: Tensor) -> Tensor:
    """Log of the mass left before each draw, by adding up from the end and never subtracting.

    Args:
        drawn: Log-masses in the order of the draws, shape ``[B, K]``.
        never: Log-mass of all that was never drawn, shape ``[B]``.

    Returns:
        Shape ``[B, K + 1]``; the last column is ``never``.
    """
    both = torch.cat([drawn, never[:, None]], dim=1)  # [B, K + 1]
    return both.flip(1).logcumsumexp(dim=1).flip(1)  # [B, K + 1]
