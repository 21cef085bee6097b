"""Binary cross-entropy of all known answers of a question against all entities."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkg.training.objectives.weighting import weighted_mean


class KvsAll(torch.nn.Module):
    r"""Each entity is an answer of the question or it is not: no negatives are drawn.

    .. math:: L = -\frac{1}{N \sum_b \omega_b} \sum_b \omega_b \sum_e \Big[ y_{be} \log\sigma(s_{be})
        + (1 - y_{be}) \log\sigma(-s_{be}) \Big], \qquad y_{be} = (1 - \epsilon) [e \in T_b] + \epsilon / N

    with :math:`T_b` the answers known in train (Dettmers et al., `Convolutional 2D Knowledge Graph Embeddings
    <https://arxiv.org/abs/1707.01476>`_, AAAI 2018, eq. 2, where it is called 1-N scoring; "KvsAll" is the name of
    Ruffinelli et al., ICLR 2020).

    Args:
        label_smoothing: :math:`\epsilon` in [0, 1).
    """

    needs_negatives = False
    needs_known = True

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing is {label_smoothing}, must be at least 0 and below 1")
        self.label_smoothing = label_smoothing

    def forward(
        self, scores: Tensor, answer: Tensor, weight: Tensor | None = None, *, known: tuple[Tensor, Tensor]
    ) -> Tensor:
        """The loss.

        Args:
            scores: Scores of all entities, shape ``[B, N]``.
            answer: Not read: the true entity of a triple is among the known answers.
            weight: Positive weight of each triple, shape ``[B]``; all ones if None.
            known: Known answers as pairs of row and entity, shape ``[M]`` each, each pair once.

        Returns:
            Scalar.
        """
        scores, (row, entity) = scores.float(), known
        smoothing, size = self.label_smoothing, scores.shape[1]
        # -y log σ(s) - (1 - y) log σ(-s) = softplus(s) - y s
        wanted = scores.new_zeros(len(scores)).index_add_(0, row, scores[row, entity])  # [B]
        total = F.softplus(scores).sum(1) - (1 - smoothing) * wanted  # [B]
        if smoothing:
            total = total - smoothing * scores.mean(1)
        return weighted_mean(total / size, weight)

    def extra_repr(self) -> str:
        """Settings shown by ``repr``."""
        return f"label_smoothing={self.label_smoothing}"
