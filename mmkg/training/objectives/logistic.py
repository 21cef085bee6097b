"""Logistic loss: each triple is true or false by itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkg.training.objectives.weighting import valid_mean, weighted_mean


class Logistic(torch.nn.Module):
    r"""Softplus of the negated score of a true triple, and of the scores of its negatives.

    .. math:: L = \frac{1}{2 \sum_b \omega_b} \sum_b \omega_b \Big[ \log(1 + e^{-s^+_b})
        + \frac{1}{K_b} \sum_k \log(1 + e^{s_{bk}}) \Big]

    (Trouillon et al., `Complex Embeddings for Simple Link Prediction <https://arxiv.org/abs/1606.06357>`_, ICML 2016,
    there with the sum over negatives). It is the self-adversarial loss with all negatives weighed alike.
    """

    needs_negatives = True

    def forward(
        self, positive_scores: Tensor, negative_scores: Tensor, valid: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """The loss, a scalar; for arguments see :meth:`SelfAdversarial.forward`."""
        negative = valid_mean(F.softplus(negative_scores.float()), valid)  # [B]
        return weighted_mean(F.softplus(-positive_scores.float()) + negative, weight) / 2
