"""Self-adversarial weighting of drawn negatives."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


class SelfAdversarial(torch.nn.Module):
    r"""Logistic loss over drawn negatives, weighted by how plausible the scorer finds them.

    .. math:: L = -\frac{1}{2 \sum_b \omega_b} \sum_b \omega_b \Big[ \log\sigma(s^+_b)
        + \sum_k w_{bk} \log\sigma(-s_{bk}) \Big], \qquad w_{bk} = \mathrm{softmax}_k(\alpha s_{bk})

    with no gradient through the weights (Sun et al., `RotatE <https://arxiv.org/abs/1902.10197>`_, ICLR 2019, eq. 5).
    The margin is inside the score.

    Args:
        alpha: Temperature :math:`\alpha \ge 0` of the weights; 0 weighs all negatives alike.
    """

    needs_negatives = True

    def __init__(self, alpha: float = 0.5) -> None:
        super().__init__()
        if not alpha >= 0:
            raise ValueError(f"alpha is {alpha}, must be at least 0")
        self.alpha = alpha

    def forward(
        self, positive_scores: Tensor, negative_scores: Tensor, valid: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """The loss.

        Args:
            positive_scores: Scores of the true triples, shape ``[B]``.
            negative_scores: Scores of the negatives, shape ``[B, K]``.
            valid: False where there is no negative, shape ``[B, K]``; such entries count for nothing.
            weight: Positive weight of each triple, shape ``[B]``; all ones if None.

        Returns:
            Scalar.
        """
        positive_scores, negative_scores = positive_scores.float(), negative_scores.float()
        weight = torch.ones_like(positive_scores) if weight is None else weight
        logits = (self.alpha * negative_scores.detach()).masked_fill(~valid, -torch.inf)  # [B, K]
        share = torch.softmax(logits, dim=-1).masked_fill(~valid, 0.0)  # [B, K]; a row without negatives has none
        negative = (share * F.logsigmoid(-negative_scores).masked_fill(~valid, 0.0)).sum(-1)  # [B]
        total = weight * (F.logsigmoid(positive_scores) + negative)  # [B]
        return -total.sum() / (2 * weight.sum())

    def extra_repr(self) -> str:
        """Settings shown by ``repr``."""
        return f"alpha={self.alpha}"
