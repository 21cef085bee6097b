"""The contract of every scorer: PyG's KGE signature, plus scoring against any set of candidates."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Embedding
from torch.utils.checkpoint import checkpoint
from torch_geometric.nn.kge import KGEModel

from mmkg.types import Side


class Scorer(KGEModel):
    r"""Scores triples; the higher, the more plausible.

    A subclass says how a question becomes a point (:meth:`query`) and how candidates are held against it
    (:meth:`match`), both on embeddings of any leading shape; this class turns the two into every way of scoring. A
    distance scorer carries its margin inside the score: :math:`s = \gamma - d`.

    Args:
        num_nodes: Number of entities ``N``.
        num_relations: Number of relations ``R``.
        hidden_channels: Embedding size as the paper of the scorer counts it (complex numbers count once).
        chunk_mb: Memory for one block of differences ``[b, n, d]`` when all entities are scored, in MiB, > 0. Blocks
            that stay in a core's cache are the fastest, so the default is small.

    Shapes:
        ``entity(ids)`` gives ``[..., d]`` with ``d = entity_factor * hidden_channels``; ``relation(ids, side)`` gives
        ``[..., d_r]`` with ``d_r = relation_factor * hidden_channels``.
    """

    entity_factor = 1
    relation_factor = 1

    def __init__(self, num_nodes: int, num_relations: int, hidden_channels: int, *, chunk_mb: float = 4.0) -> None:
        sizes = {"num_nodes": num_nodes, "num_relations": num_relations, "hidden_channels": hidden_channels}
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f"{name} is {value}, must be at least 1")
        super().__init__(num_nodes, num_relations, hidden_channels)
        self.chunk_mb = chunk_mb
        self.node_emb = Embedding(num_nodes, self.entity_factor * hidden_channels)
        self.rel_emb = Embedding(num_relations, self.relation_factor * hidden_channels)
        # subclasses call reset_parameters themselves, once their own settings (margin) stand

    @abstractmethod
    def query(self, anchor: Tensor, relation: Tensor, side: Side) -> Tensor:
        """The point ``[..., d]`` asked for, from the given entity ``[..., d]`` and the relation ``[..., d_r]``."""

    @abstractmethod
    def match(self, query: Tensor, candidates: Tensor, relation: Tensor, side: Side) -> Tensor:
        """Score ``[...]`` of candidates ``[..., d]`` against queries ``[..., d]``; leading shapes broadcast."""

    def entity(self, ids: Tensor) -> Tensor:
        """Complete embeddings ``[..., d]`` (real and imaginary parts) of entities ``[...]``."""
        return self.node_emb(ids)

    def relation(self, ids: Tensor, side: Side = "tail") -> Tensor:
        """Embeddings ``[..., d_r]`` of relations ``[...]`` as used when ``side`` is asked for."""
        return self.rel_emb(ids)

    def forward(self, head_index: Tensor, rel_type: Tensor, tail_index: Tensor) -> Tensor:
        """Scores ``[B]`` of triples given as ids ``[B]``."""
        relation = self.relation(rel_type, "tail")
        query = self.query(self.entity(head_index), relation, "tail")
        return self.match(query, self.entity(tail_index), relation, "tail")

    def score_tails(self, head_index: Tensor, rel_type: Tensor, candidates: Tensor | None = None) -> Tensor:
        """Scores of candidate tails for ``(h, r, ?)``.

        Args:
            head_index: Entity ids, shape ``[B]``.
            rel_type: Relation ids, shape ``[B]``.
            candidates: Ids shared by the batch ``[K]``, ids of each row ``[B, K]``, or embeddings ``[B, K, d]`` in
                the sense of :meth:`entity` (these keep their gradient); all entities if None.

        Returns:
            Scores, shape ``[B, K]``; ``[B, N]`` for all entities.
        """
        return self._score(head_index, rel_type, candidates, "tail")

    def score_heads(self, rel_type: Tensor, tail_index: Tensor, candidates: Tensor | None = None) -> Tensor:
        """Scores ``[B, K]`` or ``[B, N]`` of candidate heads for ``(?, r, t)``; see :meth:`score_tails`."""
        return self._score(tail_index, rel_type, candidates, "head")

    def match_shared(self, query: Tensor, table: Tensor, relation: Tensor, side: Side) -> Tensor:
        """Scores ``[B, n]`` of one table of candidates ``[n, d]`` shared by all queries ``[B, d]``.

        The fallback goes block by block, so that no ``[B, n, d]`` ever stands in memory; where a gradient is wanted,
        blocks are computed anew in the backward pass.
        """
        rows = max(1, int(self.chunk_mb * 2**20 / (table.element_size() * table.shape[1] * 8)))  # entities at 8 queries
        blocks = []
        for q, r in zip(query.split(8), relation.split(8), strict=True):
            parts = [self._block(q, part, r, side) for part in table.split(rows)]
            blocks.append(torch.cat(parts, dim=1))  # [8, n]
        return torch.cat(blocks) if blocks else query.new_zeros(0, table.shape[0])  # [B, n]

    def _block(self, query: Tensor, table: Tensor, relation: Tensor, side: Side) -> Tensor:
        def run(q: Tensor, c: Tensor, r: Tensor) -> Tensor:
            return self.match(q[:, None], c[None], r[:, None], side)  # [b, n]

        if torch.is_grad_enabled() and (query.requires_grad or table.requires_grad):
            return checkpoint(run, query, table, relation, use_reentrant=False)
        return run(query, table, relation)

    def _score(self, anchor: Tensor, rel_type: Tensor, candidates: Tensor | None, side: Side) -> Tensor:
        relation = self.relation(rel_type, side)  # [B, d_r]
        query = self.query(self.entity(anchor), relation, side)  # [B, d]
        if candidates is None:
            everyone = torch.arange(self.num_nodes, device=query.device)
            return self.match_shared(query, self.entity(everyone), relation, side)  # [B, N]
        if candidates.is_floating_point():
            if candidates.dim() != 3 or candidates.shape[::2] != query.shape:
                found, due = tuple(candidates.shape), tuple(query.shape)
                raise ValueError(f"candidate embeddings {found}, expected [B, K, d] with (B, d) = {due}")
            return self.match(query[:, None], candidates, relation[:, None], side)  # [B, K]
        if candidates.dim() == 1:
            return self.match_shared(query, self.entity(candidates), relation, side)  # [B, K]
        return self.match(query[:, None], self.entity(candidates), relation[:, None], side)  # [B, K]

    def loss(self, head_index: Tensor, rel_type: Tensor, tail_index: Tensor) -> Tensor:
        """Logistic loss against one random corruption a triple, for PyG's own training loop.

        Each triple's corrupted side is chosen by a fair coin and the true entity is never drawn. For serious training
        use :class:`mmkg.training.Trainer`, which filters all known answers.
        """
        shift = torch.randint(1, max(self.num_nodes, 2), tail_index.shape, device=tail_index.device)
        coin = torch.rand(tail_index.shape, device=tail_index.device) < 0.5
        head = torch.where(coin, (head_index + shift) % self.num_nodes, head_index)
        tail = torch.where(coin, tail_index, (tail_index + shift) % self.num_nodes)
        positive, negative = self(head_index, rel_type, tail_index), self(head, rel_type, tail)
        return (F.softplus(-positive) + F.softplus(negative)).mean() / 2

    @torch.no_grad()
    def test(
        self, head_index: Tensor, rel_type: Tensor, tail_index: Tensor, batch_size: int, k: int = 10, log: bool = True
    ) -> tuple[float, float, float]:
        """Unfiltered mean rank, MRR and Hits@k on the tail side, in PyG's signature.

        Unlike PyG's, ranks are 1-based, ties count half and NaN is an error. For filtered ranks on both sides use
        :func:`mmkg.evaluation.rank`. ``batch_size`` counts triples; ``log`` is kept for compatibility.
        """
        ranks = []
        for h, r, t in zip(*(x.split(batch_size) for x in (head_index, rel_type, tail_index)), strict=True):
            scores = self.score_tails(h, r)  # [b, N]
            if not torch.isfinite(scores).all():
                raise ArithmeticError("scores contain NaN or infinity: no rank can be given")
            true = scores.gather(1, t[:, None])  # [b, 1]
            ranks.append(0.5 * ((scores > true).sum(1) + (scores >= true).sum(1) + 1))  # [b]
        rank = torch.cat(ranks).double()
        return float(rank.mean()), float((1 / rank).mean()), float((rank <= k).double().mean())


def uniform_range(margin: float, hidden_channels: int) -> float:
    r"""Half-width :math:`(\gamma + 2) / d` of the uniform initialisation that the RotatE paper's code uses."""
    return (margin + 2.0) / hidden_channels


def init_uniform(embedding: Embedding, half_width: float) -> None:
    """Fill an embedding from the uniform distribution on ``[-half_width, half_width]``."""
    if not math.isfinite(half_width) or half_width <= 0:
        raise ValueError(f"initialisation range {half_width}: the margin must be above -2")
    torch.nn.init.uniform_(embedding.weight, -half_width, half_width)
