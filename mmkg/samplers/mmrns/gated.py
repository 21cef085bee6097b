"""Inner products with, and norms of, gated embeddings that are never kept."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmkg.samplers.mmrns.parts import parts


class GatedDots(torch.autograd.Function):
    r"""Compares blocks of vectors with :math:`z_{pu} = e_p ⊙ σ(a_p + r_u)` for every candidate p and relation u.

    Over ``[P, U, d]`` numbers everything is a matter of memory: autograd keeps two such tensors and walks over some
    dozen. Here parts of the candidates small enough for the cache are made, used and forgotten, and made again in the
    backward pass.

    With :math:`g` the incoming slope of :math:`z`, :math:`∂e_p = \sum_u g ⊙ σ` and
    :math:`∂(a_p + r_u) = g ⊙ e_p ⊙ σ ⊙ (1 - σ)`.

    Args:
        blocked: Vectors to compare with, shape ``[U + X, w, d]``: the first block of each relation, then further ones.
        entity: Embeddings :math:`e` of the candidates, shape ``[P, d]``.
        of_entity: The gate's part :math:`a`, shape ``[P, d]``.
        of_relation: The gate's part :math:`r`, shape ``[U, d]``.
        further: Relation of each further block, shape ``[X]``.

    Returns:
        Inner products ``[U + X, w, P]`` and norms ``[P, U]``.
    """

    @staticmethod
    def forward(ctx, blocked, entity, of_entity, of_relation, further):  # noqa: D102 - the class says it
        relations, count = len(of_relation), len(entity)
        dot = blocked.new_empty(*blocked.shape[:2], count)  # [U + X, w, P]
        norm = blocked.new_empty(count, relations)  # [P, U]
        for part, gate, spare in _parts(entity, of_relation, buffers=1):
            _open(gate, of_entity[part], of_relation)
            z = torch.mul(gate, entity[part], out=spare)  # [U, c, d]
            dot[:relations, :, part] = torch.bmm(blocked[:relations], z.transpose(1, 2))  # [U, w, c]
            if further.numel():
                again = z.index_select(0, further).transpose(1, 2)  # [X, d, c]
                dot[relations:, :, part] = torch.bmm(blocked[relations:], again)  # [X, w, c]
            norm[part] = torch.linalg.vector_norm(z, dim=-1).T  # [c, U]
        ctx.save_for_backward(blocked, entity, of_entity, of_relation, further, norm)
        ctx.set_materialize_grads(False)
        return dot, norm

    @staticmethod
    @once_differentiable
    def backward(ctx, to_dot, to_norm):  # noqa: D102
        blocked, entity, of_entity, of_relation, further, norm = ctx.saved_tensors
        relations = len(of_relation)
        to_blocked, to_relation = torch.zeros_like(blocked), torch.zeros_like(of_relation)  # [U + X, w, d], [U, d]
        to_entity, to_gate = torch.empty_like(entity), torch.empty_like(of_entity)  # [P, d], [P, d]
        # the slope of a norm is the unit vector; at zero, where there is none, zero
        share = None if to_norm is None else torch.where(norm > 0, to_norm / norm, 0.0).T[..., None]  # [U, P, 1]
        for part, gate, z, slope in _parts(entity, of_relation, buffers=2):
            _open(gate, of_entity[part], of_relation)
            torch.mul(gate, entity[part], out=z)  # [U, c, d]
            if to_dot is None:
                slope.zero_()
            else:
                first = to_dot[:relations, :, part]  # [U, w, c]
                to_blocked[:relations] += torch.bmm(first, z)  # [U, w, d]
                torch.bmm(first.transpose(1, 2), blocked[:relations], out=slope)  # [U, c, d]
                if further.numel():
                    rest = to_dot[relations:, :, part]  # [X, w, c]
                    to_blocked[relations:] += torch.bmm(rest, z.index_select(0, further))  # [X, w, d]
                    slope.index_add_(0, further, torch.bmm(rest.transpose(1, 2), blocked[relations:]))  # [U, c, d]
            if share is not None:
                slope.addcmul_(z, share[:, part])  # [U, c, d]
            slope.mul_(gate)  # the slope of the embedding, and the beginning of the gate's
            to_entity[part] = slope.sum(0)  # [c, d]
            slope.mul_(entity[part])
            slope.addcmul_(slope, gate, value=-1.0)  # times 1 - gate
            to_gate[part] = slope.sum(0)  # [c, d]
            to_relation += slope.sum(1)  # [U, d]
        return to_blocked, to_entity, to_gate, to_relation, None


def _parts(entity: Tensor, of_relation: Tensor, buffers: int) -> Iterator[tuple]:
    """Slices of the candidates, each with ``1 + buffers`` pieces of memory ``[U, c, d]`` that serve all slices."""
    relations, (count, width) = len(of_relation), entity.shape
    memory = None
    for part in parts(count, relations * width, entity.device):
        shape = (relations, part.stop - part.start, width)
        numbers = relations * shape[1] * width
        memory = entity.new_empty(1 + buffers, numbers) if memory is None else memory  # the first part is the largest
        yield part, *(piece[:numbers].view(shape) for piece in memory)


def _open(gate: Tensor, of_entity: Tensor, of_relation: Tensor) -> None:
    """Write the gate of candidates ``[c, d]`` under relations ``[U, d]`` into ``[U, c, d]``."""
    torch.add(of_entity, of_relation[:, None], out=gate).sigmoid_()
