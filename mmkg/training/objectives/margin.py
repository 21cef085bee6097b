"""Margin ranking: a true triple must beat each drawn negative by a margin."""

from __future__ import annotations

import torch
from torch import Tensor

from mmkg.training.objectives.weighting import valid_mean, weighted_mean


class MarginRanking(torch.nn.Module):
    r"""Hinge on the difference between a true triple and each of its negatives.

    .. math:: L = \frac{1}{\sum_b \omega_b} \sum_b \omega_b \frac{1}{K_b} \sum_k \max(0, \gamma - s^+_b + s_{bk})

    (Bordes et al., `Translating Embeddings for Modeling Multi-relational Data
    <https://papers.nips.cc/paper/5071-translating-embeddings-for-modeling-multi-relational-data>`_, NeurIPS 2013,
    eq. 1). A margin inside a distance scorer's score cancels out.

    Args:
        objective_margin: :math:`\gamma`, above 0.
    """

    needs_negatives = True

    def __init__(self, objective_margin: float = 1.0) -> None:
        super().__init__()
        if not objective_margin > 0:
            raise ValueError(f"objective_margin is {objective_margin}, must be above 0")
        self.objective_margin = objective_margin

    def forward(
        self, positive_scores: Tensor, negative_scores: Tensor, valid: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """The loss, a scalar; for arguments see :meth:`SelfAdversarial.forward`."""
        positive_scores, negative_scores = positive_scores.float(), negative_scores.float()
        hinge = (self.objective_margin - positive_scores[:, None] + negative_scores).relu()  # [B, K]
        return weighted_mean(valid_mean(hinge, valid), weight)

    def extra_repr(self) -> str:
        """Settings shown by ``repr``."""
        return f"objective_margin={self.objective_margin}"
