"""Cosines between each row's positive and a pool of candidates."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmkg.samplers.mmrns.gated import GatedDots

DELTA = 1e-10
"""Keeps the cosine of a zero vector finite."""


def cosine(dot: Tensor, left: Tensor, right: Tensor) -> Tensor:
    r"""Similarity :math:`z^T z' / (‖z‖ ‖z'‖ + δ)` from the inner product and both norms (shapes that broadcast)."""
    return dot / (left * right + DELTA)


def norms(vectors: Tensor, detach: bool) -> Tensor:
    """Euclidean lengths ``[...]`` of vectors ``[..., a]``; without gradient if ``detach``, as in published code."""
    return torch.linalg.vector_norm(vectors.detach() if detach else vectors, dim=-1)


class Grouping:
    """Rows of a batch in blocks of one relation each, so that similarities are one batched product.

    Candidates are computed per relation and not per row. Comparing row ``b`` with ``candidates[relation_of_b]`` would
    copy ``[B, P, a]``. Instead rows of one relation lie side by side in a block: a relation's first block is multiplied
    with the candidates as they lie, and only where relations are so skewed that this would leave most places empty are
    blocks narrower and candidates copied for a relation's further blocks, at most ``U / 4`` of them.

    Args:
        relation_at: Position of each row's relation among ``U`` relations, shape ``[B]``; each relation occurs.
        num_relations: ``U``.
    """

    def __init__(self, relation_at: Tensor, num_relations: int) -> None:
        rows = relation_at.numel()
        self.relation_at, self.num_relations = relation_at, num_relations
        count = torch.bincount(relation_at, minlength=num_relations)  # [U]
        widest, mean = int(count.max()), -(-rows // num_relations)
        self.width = widest if num_relations * widest <= 8 * rows else 4 * mean
        further = (count - 1).clamp(min=0) // self.width  # [U], blocks beyond a relation's first
        self.further_relation = torch.repeat_interleave(further)  # [X]
        order = torch.argsort(relation_at, stable=True)  # [B], rows sorted by relation
        rank = torch.empty_like(order)
        rank[order] = torch.arange(rows, device=order.device) - (count.cumsum(0) - count)[relation_at[order]]  # [B]
        self.place, layer = rank % self.width, rank // self.width  # [B], [B]
        beyond = num_relations + (further.cumsum(0) - further)[relation_at] + layer - 1  # [B]
        self.block = torch.where(layer == 0, relation_at, beyond)  # [B]

    def similarities(self, positive: Tensor, candidates: Tensor, detach_norms: bool = False) -> Tensor:
        """Cosine of each row's positive and each candidate under the row's relation.

        Args:
            positive: Shape ``[B, a]``.
            candidates: Shape ``[P, U, a]``, or ``[P, 1, a]`` where they do not depend on the relation.
            detach_norms: Keep gradients out of the norms.

        Returns:
            Shape ``[B, P]``, between -1 and 1.
        """
        left = norms(positive, detach_norms)  # [B]
        if candidates.shape[1] == 1:
            right = norms(candidates[:, 0], detach_norms)  # [P]
            return cosine(positive @ candidates[:, 0].T, left[:, None], right)  # [B, P]
        dot, right = _DotsAndNorms.apply(self._blocks(positive), candidates, self.further_relation)
        return self._cosines(dot, left, right, detach_norms)

    def gated_similarities(
        self, positive: Tensor, entity: Tensor, of_entity: Tensor, of_relation: Tensor, detach_norms: bool = False
    ) -> Tensor:
        """The same for candidates that are gated embeddings, see :class:`~mmkg.samplers.mmrns.gated.GatedDots`.

        Args:
            positive: Shape ``[B, d]``.
            entity: Embeddings of the candidates, shape ``[P, d]``.
            of_entity: The gate's part of each candidate, shape ``[P, d]``.
            of_relation: The gate's part of each relation, shape ``[U, d]``.
            detach_norms: Keep gradients out of the norms.

        Returns:
            Shape ``[B, P]``, between -1 and 1.
        """
        dot, right = GatedDots.apply(self._blocks(positive), entity, of_entity, of_relation, self.further_relation)
        return self._cosines(dot, norms(positive, detach_norms), right, detach_norms)

    def _blocks(self, positive: Tensor) -> Tensor:
        """Positives ``[B, a]`` in blocks ``[U + X, w, a]``, zero where a block has no row."""
        blocked = positive.new_zeros(self.num_relations + len(self.further_relation), self.width, positive.shape[-1])
        return blocked.index_put((self.block, self.place), positive)  # [U + X, w, a]

    def _cosines(self, dot: Tensor, left: Tensor, right: Tensor, detach_norms: bool) -> Tensor:
        """Cosines ``[B, P]`` from inner products ``[U + X, w, P]`` and norms ``[B]`` and ``[P, U]``."""
        right = right.detach() if detach_norms else right
        # index_select and not brackets, whose gradient is several times slower
        dot = dot.flatten(0, 1).index_select(0, self.block * self.width + self.place)  # [B, P]
        return cosine(dot, left[:, None], right.T.index_select(0, self.relation_at))  # [B, P]


class _DotsAndNorms(torch.autograd.Function):
    """Inner products with blocked positives, and norms, of candidates ``[P, U, a]``.

    Candidates are the largest tensor of a step. Autograd would walk over it some eight times to join both gradients,
    in two layouts; written out it is one product and one addition in place.
    """

    @staticmethod
    def forward(ctx, blocked, candidates, further):
        relations = candidates.shape[1]
        by_relation = candidates.permute(1, 2, 0)  # [U, a, P]
        dot = torch.bmm(blocked[:relations], by_relation)  # [U, w, P]
        if further.numel():
            again = by_relation.index_select(0, further)  # [X, a, P]
            dot = torch.cat([dot, torch.bmm(blocked[relations:], again)])  # [U + X, w, P]
        norm = torch.linalg.vector_norm(candidates, dim=-1)  # [P, U]
        ctx.save_for_backward(blocked, candidates, further, norm)
        ctx.set_materialize_grads(False)
        return dot, norm

    @staticmethod
    @once_differentiable
    def backward(ctx, to_dot, to_norm):
        blocked, candidates, further, norm = ctx.saved_tensors
        relations, to_blocked, to_candidates = candidates.shape[1], None, None
        if to_dot is not None:
            by_relation = candidates.transpose(0, 1)  # [U, P, a]
            to_blocked = torch.bmm(to_dot[:relations], by_relation)  # [U, w, a]
            to_candidates = torch.empty_like(candidates)  # [P, U, a]
            slope = to_candidates.transpose(0, 1)  # [U, P, a], the same memory: written in place, in its own layout
            torch.bmm(to_dot[:relations].transpose(1, 2), blocked[:relations], out=slope)
            if further.numel():
                again = torch.bmm(to_dot[relations:], by_relation.index_select(0, further))  # [X, w, a]
                to_blocked = torch.cat([to_blocked, again])  # [U + X, w, a]
                slope = torch.bmm(to_dot[relations:].transpose(1, 2), blocked[relations:])  # [X, P, a]
                to_candidates.index_add_(1, further, slope.transpose(0, 1))
        if to_norm is not None:
            # the slope of a norm is the unit vector; at zero, where there is none, zero
            share = torch.where(norm > 0, to_norm / norm, 0.0)[..., None]  # [P, U, 1]
            to_candidates = candidates * share if to_candidates is None else to_candidates.addcmul_(candidates, share)
        return to_blocked, to_candidates, None
