"""What bilinear scorers share: one matrix product scores all candidates."""

from __future__ import annotations

import torch
from torch import Tensor

from mmkg.scorers.base import Scorer
from mmkg.types import Side


class BilinearScorer(Scorer):
    r"""A scorer of the form :math:`s = \langle q(h, r), e_t \rangle`.

    Args:
        num_nodes: Number of entities.
        num_relations: Number of relations.
        hidden_channels: Embedding size as the paper of the scorer counts it.
        initial_std: Standard deviation of a normal initialisation (Lacroix et al., 2018, use 1e-3 with Adagrad);
            Xavier-uniform if None.
        chunk_mb: Unused here; one matrix product needs no blocks.
        reciprocal: See :class:`Scorer`.
    """

    def __init__(
        self,
        num_nodes: int,
        num_relations: int,
        hidden_channels: int,
        *,
        initial_std: float | None = None,
        chunk_mb: float = 1.0,
        reciprocal: bool = False,
    ) -> None:
        if initial_std is not None and not initial_std > 0:
            raise ValueError(f"initial_std is {initial_std}, must be above 0")
        super().__init__(num_nodes, num_relations, hidden_channels, chunk_mb=chunk_mb, reciprocal=reciprocal)
        self.initial_std = initial_std
        self.reset_parameters()

    def match(self, query: Tensor, candidates: Tensor, relation: Tensor, side: Side) -> Tensor:
        """Dot products ``[...]``."""
        return (query * candidates).sum(-1)

    def match_shared(
        self, query: Tensor, table: Tensor, relation: Tensor, side: Side, out: Tensor | None = None
    ) -> Tensor:
        """All dot products ``[B, n]`` by one matrix product."""
        if out is None or torch.is_autocast_enabled(
            query.device.type
        ):  # autocast chooses another type than that of out
            return query @ table.T
        return torch.mm(query, table.T, out=out)

    def pair(self, anchor: Tensor, answer: Tensor, side: Side) -> Tensor | None:
        r"""What of a score belongs to the two entities, where the relation comes in linearly: :math:`s = \langle p, r
        \rangle`, so that one matrix product scores all relations.

        Args:
            anchor: Given entities, shape ``[..., d]``.
            answer: Entities at the side asked for, shape ``[..., d]``.
            side: The side asked for.

        Returns:
            Vectors ``[..., d_r]``; None where there is no such form or none that is worth its memory.
        """
        return None

    def reset_parameters(self) -> None:
        """Xavier-uniform, as in PyG, or normal where a standard deviation was given."""
        for embedding in (self.node_emb, self.rel_emb):
            if self.initial_std is None:
                torch.nn.init.xavier_uniform_(embedding.weight)
            else:
                torch.nn.init.normal_(embedding.weight, std=self.initial_std)
