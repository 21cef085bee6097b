"""Cross-entropy of a true triple among its drawn negatives."""

from __future__ import annotations

import torch
from torch import Tensor

from mmkg.training.objectives.weighting import weighted_mean


class SampledCrossEntropy(torch.nn.Module):
    r"""Softmax over a true triple and its negatives.

    .. math:: L = -\frac{1}{\sum_b \omega_b} \sum_b \omega_b \log \frac{e^{s^+_b}}{e^{s^+_b} + \sum_k e^{s_{bk}}}

    (as Toutanova & Chen, `Observed versus latent features for knowledge base and text inference
    <https://aclanthology.org/W15-4007>`_, CVSC 2015, train with sampled negatives). A row without negatives has loss 0.
    """

    needs_negatives = True

    def forward(
        self, positive_scores: Tensor, negative_scores: Tensor, valid: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """The loss, a scalar; for arguments see :meth:`SelfAdversarial.forward`."""
        positive_scores = positive_scores.float()
        negative_scores = negative_scores.float().masked_fill(~valid, -torch.inf)  # [B, K]
        every = torch.cat([positive_scores[:, None], negative_scores], dim=1)  # [B, 1 + K]
        return weighted_mean(every.logsumexp(1) - positive_scores, weight)
