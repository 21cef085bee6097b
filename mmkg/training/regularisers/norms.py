"""Norms of the embeddings of each triple: N3 and L2."""

from __future__ import annotations

from torch import Tensor

from mmkg.scorers import Scorer
from mmkg.types import Side


class NormRegulariser:
    r"""Mean over triples of :math:`\|h\|_p^p + \|r\|_p^p + \|t\|_p^p`, a complex number counting by its modulus.

    With p = 3 the nuclear 3-norm N3 of Lacroix et al. (`Canonical Tensor Decomposition for Knowledge Base Completion
    <https://arxiv.org/abs/1806.07297>`_, ICML 2018, eq. 6, weighted by how often an entity occurs); with p = 2 the
    usual L2.

    Args:
        power: p, at least 1.
    """

    def __init__(self, power: int) -> None:
        self.power = power

    def __call__(self, model: Scorer, anchor: Tensor, relation: Tensor, answer: Tensor, way: Side) -> Tensor:
        """The penalty, a scalar.

        Args:
            model: Scorer, read through ``modulus`` alone.
            anchor: Embeddings of the given entities, shape ``[B, d]``.
            relation: Embeddings of the relations as used at that side, shape ``[B, d_r]``.
            answer: Embeddings of the true answers, shape ``[B, d]``.
            way: Not read.
        """
        return sum(model.modulus(x.float()).pow(self.power).sum() for x in (anchor, relation, answer)) / len(anchor)


class N3(NormRegulariser):
    """Third powers, see :class:`NormRegulariser`."""

    def __init__(self) -> None:
        super().__init__(3)


class L2(NormRegulariser):
    """Squares, see :class:`NormRegulariser`."""

    def __init__(self) -> None:
        super().__init__(2)
