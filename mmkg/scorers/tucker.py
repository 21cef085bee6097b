"""TuckER: one core tensor for all relations."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import BatchNorm1d, Dropout, Embedding, Identity, Parameter

from mmkg.scorers.bilinear import BilinearScorer
from mmkg.types import Side


class TuckER(BilinearScorer):
    r"""`TuckER: Tensor Factorization for Knowledge Graph Completion <https://arxiv.org/abs/1901.09590>`_
    (Balažević et al., EMNLP 2019).

    .. math:: s(h, r, t) = \mathcal{W} \times_1 h \times_2 r \times_3 t

    As in the paper's code, the given entity may pass batch norm and dropout, :math:`\mathcal{W} \times r` dropout, and
    their product both again; embeddings start Xavier-normal, the core uniform on [-1, 1].

    Args:
        num_nodes: Number of entities.
        num_relations: Number of relations.
        hidden_channels: Embedding size of entities.
        relation_channels: Embedding size of relations; that of entities if None.
        input_dropout: Dropout of the given entity.
        relation_dropout: Dropout of the relation's matrix (the code's ``hidden_dropout1``).
        output_dropout: Dropout of the product (``hidden_dropout2``).
        batch_norm: Whether to normalise over the batch; needs reciprocal relations, as only the given entity is
            normalised and a question for the head would be another formula than one for the tail.
        chunk_mb: Unused here; one matrix product needs no blocks.
        reciprocal: See :class:`Scorer`.
    """

    def __init__(
        self,
        num_nodes: int,
        num_relations: int,
        hidden_channels: int,
        *,
        relation_channels: int | None = None,
        input_dropout: float = 0.0,
        relation_dropout: float = 0.0,
        output_dropout: float = 0.0,
        batch_norm: bool = False,
        chunk_mb: float = 1.0,
        reciprocal: bool = False,
    ) -> None:
        if batch_norm and not reciprocal:
            raise ValueError("batch_norm needs reciprocal=True: without it heads and tails have one formula")
        if relation_channels is not None and relation_channels < 1:
            raise ValueError(f"relation_channels is {relation_channels}, must be at least 1")
        super().__init__(num_nodes, num_relations, hidden_channels, chunk_mb=chunk_mb, reciprocal=reciprocal)
        d, d_r = hidden_channels, hidden_channels if relation_channels is None else relation_channels
        self.rel_emb = Embedding(len(self.rel_emb.weight), d_r)
        self.core = Parameter(torch.empty(d_r, d, d))
        self.input_norm, self.output_norm = (BatchNorm1d(d) if batch_norm else Identity() for _ in range(2))
        self.input_dropout, self.relation_dropout = Dropout(input_dropout), Dropout(relation_dropout)
        self.output_dropout = Dropout(output_dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As the class says."""
        if not hasattr(self, "core"):
            return  # the base calls before there is one
        torch.nn.init.xavier_normal_(self.node_emb.weight)
        torch.nn.init.xavier_normal_(self.rel_emb.weight)
        torch.nn.init.uniform_(self.core, -1, 1)
        for norm in (self.input_norm, self.output_norm):
            if isinstance(norm, BatchNorm1d):
                norm.reset_parameters()

    def query(self, anchor: Tensor, relation: Tensor, side: Side) -> Tensor:
        """``W x h x r`` for tails, ``W x r x t`` for heads, ``[..., d]``."""
        given = self.input_dropout(self.input_norm(anchor.reshape(-1, anchor.shape[-1])))  # [M, d]
        form = self.relation_dropout(torch.tensordot(relation.reshape(-1, relation.shape[-1]), self.core, 1))
        if side == "head":
            form = form.transpose(1, 2)
        product = (given[:, None] @ form)[:, 0]  # [M, 1, d] @ [M, d, d] -> [M, d]
        return self.output_dropout(self.output_norm(product)).reshape(anchor.shape)  # [..., d]
