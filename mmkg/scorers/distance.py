"""What distance scorers share: a margin inside the score and the RotatE paper's initialisation."""

from __future__ import annotations

from mmkg.scorers.base import Scorer, init_uniform, uniform_range


class DistanceScorer(Scorer):
    r"""A scorer of the form :math:`s = \gamma - d(q(h, r), e_t)`.

    Args:
        num_nodes: Number of entities.
        num_relations: Number of relations.
        hidden_channels: Embedding size as the paper of the scorer counts it.
        margin: Margin :math:`\gamma`.
        chunk_mb: See :class:`Scorer`.
        reciprocal: See :class:`Scorer`.
    """

    def __init__(
        self,
        num_nodes: int,
        num_relations: int,
        hidden_channels: int,
        *,
        margin: float = 6.0,
        chunk_mb: float = 4.0,
        reciprocal: bool = False,
    ) -> None:
        super().__init__(num_nodes, num_relations, hidden_channels, chunk_mb=chunk_mb, reciprocal=reciprocal)
        self.margin = margin
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform on ±(γ + 2)/d."""
        init_uniform(self.node_emb, uniform_range(self.margin, self.hidden_channels))
        init_uniform(self.rel_emb, uniform_range(self.margin, self.hidden_channels))
