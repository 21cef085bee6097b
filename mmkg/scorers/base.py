"""The contract of every scorer: PyG's KGE signature, plus scoring against any set of candidates."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Embedding
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
        chunk_mb: Memory for one block of differences ``[b, n, d]`` when a distance scorer scores all entities, in MiB,
            > 0. Blocks that stay in a core's cache are the fastest, so the default is small.
        reciprocal: Whether each relation has a second embedding, with which ``(?, r, t)`` is asked as
            ``(t, r + R, ?)`` (Lacroix et al., 2018): ``rel_emb`` then holds ``2 R`` rows and ``num_relations`` stays
            ``R``. A triple's score then depends on the side asked for; :meth:`forward` asks for the tail.

    Shapes:
        ``entity(ids)`` gives ``[..., d]``, ``relation(ids, side)`` gives ``[..., d_r]``, with ``(d, d_r)`` by
        :meth:`widths`.
    """

    entity_factor = 1
    relation_factor = 1

    def __init__(
        self,
        num_nodes: int,
        num_relations: int,
        hidden_channels: int,
        *,
        chunk_mb: float = 1.0,
        reciprocal: bool = False,
    ) -> None:
        sizes = {"num_nodes": num_nodes, "num_relations": num_relations, "hidden_channels": hidden_channels}
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f"{name} is {value}, must be at least 1")
        if not chunk_mb > 0:
            raise ValueError(f"chunk_mb is {chunk_mb}, must be above 0")
        super().__init__(num_nodes, num_relations, hidden_channels)
        self.chunk_mb, self.reciprocal = chunk_mb, reciprocal
        entity_width, relation_width = self.widths()
        self.node_emb = Embedding(num_nodes, entity_width)
        self.rel_emb = Embedding(2 * num_relations if reciprocal else num_relations, relation_width)
        # subclasses call reset_parameters themselves, once their own settings (margin) stand

    def widths(self) -> tuple[int, int]:
        """Widths ``d`` and ``d_r`` of the embeddings of entities and relations."""
        return self.entity_factor * self.hidden_channels, self.relation_factor * self.hidden_channels

    @abstractmethod
    def query(self, anchor: Tensor, relation: Tensor, side: Side) -> Tensor:
        """The point ``[..., d]`` asked for, from the given entity ``[..., d]`` and the relation ``[..., d_r]``."""

    @abstractmethod
    def match(self, query: Tensor, candidates: Tensor, relation: Tensor, side: Side) -> Tensor:
        """Score ``[...]`` of candidates ``[..., d]`` against queries ``[..., d]``; leading shapes broadcast."""

    def entity(self, ids: Tensor) -> Tensor:
        """Complete embeddings ``[..., d]`` (real and imaginary parts, fused modalities) of entities ``[...]``."""
        return self.node_emb(ids)

    def entity_table(self) -> Tensor:
        """Complete embeddings ``[N, d]`` of all entities; where they must be computed, ask once and hand them on."""
        if type(self.node_emb) is Embedding:
            return self.node_emb.weight  # no copy
        return self.entity(torch.arange(self.num_nodes, device=self.rel_emb.weight.device))

    def relation(self, ids: Tensor, side: Side = "tail") -> Tensor:
        """Embeddings ``[..., d_r]`` of relations ``[...]`` as used when ``side`` is asked for."""
        return self.rel_emb(ids + self.num_relations if self.reciprocal and side == "head" else ids)

    def modulus(self, embedding: Tensor) -> Tensor:
        """Absolute values of an embedding's numbers, for regularisers such as N3.

        Args:
            embedding: What :meth:`entity` or :meth:`relation` gives, shape ``[..., d]`` or ``[..., d_r]``.

        Returns:
            One value for each number that the scorer works with: the same shape for real numbers, half as wide for
            complex ones. Where a number is zero, so is the gradient.
        """
        return embedding.abs()

    def forward(self, head_index: Tensor, rel_type: Tensor, tail_index: Tensor) -> Tensor:
        """Scores ``[B]`` of triples given as ids ``[B]``, asked for their tails."""
        return self.score_triples(head_index, rel_type, tail_index)

    def score_triples(self, head_index: Tensor, rel_type: Tensor, tail_index: Tensor, side: Side = "tail") -> Tensor:
        """Scores ``[B]`` of triples asked for the entity at ``side``; the side matters with reciprocal relations."""
        anchor, answer = (head_index, tail_index) if side == "tail" else (tail_index, head_index)
        relation, way = self.relation(rel_type, side), self.way(side)
        query = self.query(self.entity(anchor), relation, way)
        return self.match(query, self.entity(answer), relation, way)

    def score_tails(self, head_index: Tensor, rel_type: Tensor, candidates: Tensor | None = None) -> Tensor:
        """Scores of candidate tails for ``(h, r, ?)``.

        Args:
            head_index: Entity ids, shape ``[B]``.
            rel_type: Relation ids, shape ``[B]``.
            candidates: Ids shared by the batch ``[K]``, ids of each row ``[B, K]``, or embeddings in the sense of
                :meth:`entity` (these keep their gradient), shared ``[K, d]`` or of each row ``[B, K, d]``; all
                entities if None.

        Returns:
            Scores, shape ``[B, K]``; ``[B, N]`` for all entities.
        """
        return self._score(head_index, rel_type, candidates, "tail")

    def score_heads(self, rel_type: Tensor, tail_index: Tensor, candidates: Tensor | None = None) -> Tensor:
        """Scores ``[B, K]`` or ``[B, N]`` of candidate heads for ``(?, r, t)``; see :meth:`score_tails`."""
        return self._score(tail_index, rel_type, candidates, "head")

    def score_table(
        self, anchor: Tensor, rel_type: Tensor, side: Side, table: Tensor, out: Tensor | None = None
    ) -> Tensor:
        """Scores ``[B, N]`` of all entities at ``side``, given the table ``[N, d]`` of :meth:`entity_table`.

        Args:
            anchor: Ids of the given entities, shape ``[B]``.
            rel_type: Relation ids, shape ``[B]``.
            side: The side asked for.
            table: Embeddings of all entities, the given ones among them.
            out: See :meth:`match_shared`.
        """
        relation, way = self.relation(rel_type, side), self.way(side)  # [B, d_r]
        query = self.query(F.embedding(anchor, table), relation, way)  # [B, d]
        return self.match_shared(query, table, relation, way, out)  # [B, N]

    @abstractmethod
    def match_shared(
        self, query: Tensor, table: Tensor, relation: Tensor, side: Side, out: Tensor | None = None
    ) -> Tensor:
        """Scores ``[B, n]`` of one table of candidates ``[n, d]`` shared by all queries ``[B, d]``.

        ``out [B, n]`` is memory that a scorer may write its scores to, where no gradient is wanted: fresh memory costs
        a fifth of a matrix product.
        """

    def way(self, side: Side) -> Side:
        """The formula by which ``side`` is asked for: with reciprocal relations always that of tails."""
        return "tail" if self.reciprocal else side

    def _score(self, anchor: Tensor, rel_type: Tensor, candidates: Tensor | None, side: Side) -> Tensor:
        if candidates is None:
            return self.score_table(anchor, rel_type, side, self.entity_table())  # [B, N]
        relation, way = self.relation(rel_type, side), self.way(side)  # [B, d_r]
        given = self.entity(anchor)  # [B, d]
        query = self.query(given, relation, way)  # [B, d]
        if not candidates.is_floating_point():
            candidates = self.entity(candidates)  # [K, d] or [B, K, d]
        elif candidates.dim() not in (2, 3) or candidates.shape[-1] != given.shape[-1]:
            found = f"{tuple(candidates.shape)}, expected [K, d] or [B, K, d]"
            raise ValueError(f"candidate embeddings {found} with (B, d) = {tuple(given.shape)}")
        if candidates.dim() == 2:
            return self.match_shared(query, candidates, relation, way)  # [B, K]
        if len(candidates) != len(given):
            raise ValueError(f"candidates of {len(candidates)} rows for {len(given)} questions")
        return self.match(query[:, None], candidates, relation[:, None], way)  # [B, K]

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
        if self.reciprocal:  # a corrupted head is a question for the head
            positive = torch.where(coin, self.score_triples(head_index, rel_type, tail_index, "head"), positive)
            negative = torch.where(coin, self.score_triples(head, rel_type, tail, "head"), negative)
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


def moduli(numbers: Tensor, parts: int = 2) -> Tensor:
    """Moduli ``[..., d]`` of complex numbers ``[..., 2d]``, real parts first, or of quaternions with four parts.

    The gradient at zero is zero.
    """
    return length(*numbers.chunk(parts, dim=-1))  # [..., d]


def length(*parts: Tensor) -> Tensor:
    """Roots of the sums of squares of parts ``[..., d]``, one for each number, ``[..., d]``; as :func:`moduli`."""
    squares = sum(x * x for x in parts)  # [..., d]
    # the floor keeps the root's gradient, which is infinite at zero, out of a product with zero
    return squares.clamp(min=torch.finfo(parts[0].dtype).tiny).sqrt()


def uniform_range(margin: float, hidden_channels: int) -> float:
    r"""Half-width :math:`(\gamma + 2) / d` of the uniform initialisation that the RotatE paper's code uses."""
    return (margin + 2.0) / hidden_channels


def init_uniform(embedding: Embedding, half_width: float) -> None:
    """Fill an embedding from the uniform distribution on ``[-half_width, half_width]``."""
    if not math.isfinite(half_width) or half_width <= 0:
        raise ValueError(f"initialisation range {half_width}: the margin must be above -2")
    torch.nn.init.uniform_(embedding.weight, -half_width, half_width)
