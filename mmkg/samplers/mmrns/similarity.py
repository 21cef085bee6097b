"""Cosines between each row's positive and a pool of candidates."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmkg.samplers.mmrns.gated import GatedDots
from mmkg.samplers.mmrns.parts import parts
from mmkg.samplers.mmrns.plain import compute, dots_and_norms, gated_dots
from mmkg.transfer import transfer

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
        padded: The size to fill widths, further blocks and relations up to, from their number.
    """

    def __init__(self, relation_at: Tensor, num_relations: int, padded: Callable[[int], int] | None = None) -> None:
        rows = relation_at.numel()
        count = torch.bincount(relation_at, minlength=num_relations)  # [U]
        widest, mean = int(count.max()), -(-rows // num_relations)
        self.width = widest if num_relations * widest <= 8 * rows else 4 * mean
        self.relation_at, self.num_relations = relation_at, num_relations
        if padded is not None:
            self.width, self.num_relations = padded(self.width), padded(num_relations)
        further = (count - 1).clamp(min=0) // self.width  # [U], blocks beyond a relation's first
        self.further_relation = torch.repeat_interleave(further)  # [X]
        if padded is not None and (blocks := self.further_relation.numel()):
            spare = self.further_relation.new_zeros(padded(blocks) - blocks)  # blocks without rows, of some relation
            self.further_relation = torch.cat([self.further_relation, spare])  # [X]
        order = torch.argsort(relation_at, stable=True)  # [B], rows sorted by relation
        rank = torch.empty_like(order)
        rank[order] = torch.arange(rows, device=order.device) - (count.cumsum(0) - count)[relation_at[order]]  # [B]
        self.place, layer = rank % self.width, rank // self.width  # [B], [B]
        beyond = self.num_relations + (further.cumsum(0) - further)[relation_at] + layer - 1  # [B]
        self.block = torch.where(layer == 0, relation_at, beyond)  # [B]

    def to(self, device: torch.device | str) -> Grouping:
        """The same grouping on another device."""
        other = copy(self)
        for name in ("relation_at", "further_relation", "place", "block"):
            setattr(other, name, transfer(getattr(self, name), device))
        return other

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
        dot, right = compute(DotsAndNorms, dots_and_norms, self._blocks(positive), candidates, self.further_relation)
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
        given = (self._blocks(positive), entity, of_entity, of_relation, self.further_relation)
        dot, right = compute(GatedDots, gated_dots, *given)
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
        return cosine(dot, left[:, None], right.index_select(1, self.relation_at).T)  # [B, P]


class DotsAndNorms(torch.autograd.Function):
    """Inner products with blocked positives, and norms, of candidates ``[P, U, a]``.

    Candidates are the largest tensor of a step. Autograd would walk over it some eight times to join both gradients,
    in two layouts; written out, parts of it are read and written once, while they lie in the cache.
    """

    @staticmethod
    def forward(ctx, blocked, candidates, further):  # noqa: D102 - the class says it
        count, relations, _ = candidates.shape
        dot = blocked.new_empty(*blocked.shape[:2], count)  # [U + X, w, P]
        norm = candidates.new_empty(count, relations)  # [P, U]
        for part in parts(count, candidates[0].numel(), candidates.device):
            by_relation = candidates[part].permute(1, 2, 0)  # [U, a, c]
            dot[:relations, :, part] = torch.bmm(blocked[:relations], by_relation)  # [U, w, c]
            if further.numel():
                again = by_relation.index_select(0, further)  # [X, a, c]
                dot[relations:, :, part] = torch.bmm(blocked[relations:], again)  # [X, w, c]
            torch.linalg.vector_norm(candidates[part], dim=-1, out=norm[part])  # [c, U]
        ctx.save_for_backward(blocked, candidates, further, norm)
        ctx.set_materialize_grads(False)
        return dot, norm

    @staticmethod
    @once_differentiable
    def backward(ctx, to_dot, to_norm):  # noqa: D102
        blocked, candidates, further, norm = ctx.saved_tensors
        (count, relations, _), to_blocked = candidates.shape, torch.zeros_like(blocked)  # [U + X, w, a]
        to_candidates = torch.empty_like(candidates) if to_dot is not None else torch.zeros_like(candidates)
        # the slope of a norm is the unit vector; at zero, where there is none, zero
        share = None if to_norm is None else torch.where(norm > 0, to_norm / norm, 0.0)[..., None]  # [P, U, 1]
        for part in parts(count, candidates[0].numel(), candidates.device):
            here, slope = candidates[part], to_candidates[part]  # [c, U, a], [c, U, a]
            if to_dot is not None:
                first, by_relation = to_dot[:relations, :, part], here.transpose(0, 1)  # [U, w, c], [U, c, a]
                to_blocked[:relations] += torch.bmm(first, by_relation)  # [U, w, a]
                slope.copy_(torch.bmm(first.transpose(1, 2), blocked[:relations]).transpose(0, 1))  # [c, U, a]
                if further.numel():
                    rest = to_dot[relations:, :, part]  # [X, w, c]
                    to_blocked[relations:] += torch.bmm(rest, by_relation.index_select(0, further))  # [X, w, a]
                    more = torch.bmm(rest.transpose(1, 2), blocked[relations:])  # [X, c, a]
                    slope.index_add_(1, further, more.transpose(0, 1))
            if share is not None:
                slope.addcmul_(here, share[part])  # [c, U, a]
        return to_blocked, to_candidates, None
