"""Cross-entropy of the true answer against all entities."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkg.training.full_softmax import product_cross_entropy
from mmkg.training.objectives.weighting import weighted_mean


class OneVsAll(torch.nn.Module):
    r"""Cross-entropy of the true answer against all entities: no negatives are drawn.

    .. math:: L = -\frac{1}{\sum_b \omega_b} \sum_b \omega_b \sum_e y_{be} \log \mathrm{softmax}_e(s_{be}),
        \qquad y_{be} = (1 - \epsilon) [e = t_b] + \epsilon / N

    (Lacroix et al., `Canonical Tensor Decomposition for Knowledge Base Completion <https://arxiv.org/abs/1806.07297>`_,
    ICML 2018, there with :math:`\epsilon = 0`). Other known answers of a question count as wrong ones, as there.

    Args:
        label_smoothing: :math:`\epsilon` in [0, 1).
    """

    needs_negatives = False

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing is {label_smoothing}, must be at least 0 and below 1")
        self.label_smoothing = label_smoothing

    def forward(self, scores: Tensor, answer: Tensor, weight: Tensor | None = None) -> Tensor:
        """The loss of scores ``[B, N]`` against the true entities ``[B]`` with triple weights ``[B]``."""
        loss = F.cross_entropy(scores.float(), answer, reduction="none", label_smoothing=self.label_smoothing)  # [B]
        return weighted_mean(loss, weight)

    def of_products(
        self, query: Tensor, table: Tensor, answer: Tensor, weight: Tensor | None = None, row: Tensor | None = None
    ) -> Tensor:
        """The same for scores that are the products of queries ``[U, d]`` and a table ``[N, d]``, in bounded memory.

        ``row [M]`` names the question of each triple, see :func:`~mmkg.training.full_softmax.product_cross_entropy`.
        """
        return product_cross_entropy(query, table, answer, weight, self.label_smoothing, row)

    def extra_repr(self) -> str:
        """Settings shown by ``repr``."""
        return f"label_smoothing={self.label_smoothing}"
