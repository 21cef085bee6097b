"""DURA: a tensor factorisation is held to its distance-based dual."""

from __future__ import annotations

from torch import Tensor

from mmkg.scorers import BilinearScorer, Scorer
from mmkg.types import Side


class DURA:
    r"""Mean over triples of :math:`\|h \bar R\|^2 + \|t\|^2` where tails are asked for, and its mirror for heads.

    A bilinear score is :math:`\mathrm{Re}\langle h \bar R, t \rangle`, and
    :math:`-\|h \bar R - t\|^2 = 2\,\mathrm{Re}\langle h \bar R, t\rangle - \|h \bar R\|^2 - \|t\|^2`: what the distance
    has beside the score is the penalty. Both sides together give
    :math:`\|h \bar R\|^2 + \|t\|^2 + \|t R^\top\|^2 + \|h\|^2` (Zhang et al., `Duality-Induced Regularizer for Tensor
    Factorization Based Knowledge Graph Completion <https://arxiv.org/abs/2011.05816>`_, NeurIPS 2020).
    """

    def __call__(self, model: Scorer, anchor: Tensor, relation: Tensor, answer: Tensor, way: Side) -> Tensor:
        """The penalty, a scalar.

        Args:
            model: A bilinear scorer, read through ``query``.
            anchor: Embeddings of the given entities, shape ``[B, d]``.
            relation: Embeddings of the relations as used at that side, shape ``[B, d_r]``.
            answer: Embeddings of the true answers, shape ``[B, d]``.
            way: The formula by which the side is asked for, see :meth:`mmkg.scorers.Scorer.way`.

        Raises:
            ValueError: If the scorer is not bilinear: there is no dual then.
        """
        if not isinstance(model, BilinearScorer):
            raise ValueError(f"DURA is for bilinear scorers, not {type(model).__name__}: choose n3 or l2")
        query = model.query(anchor, relation, way).float()  # [B, d]
        return (query.square().sum() + answer.float().square().sum()) / len(anchor)
