"""The sampler's own kernels as plain expressions, for a compiler that fuses and recomputes by itself.

Eager, each would keep and walk over its largest tensors several times; that is why the kernels work in parts with a
gradient written out. A compiler cannot look into those, and needs no such help. Arguments and results are those of the
kernels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkg.types import Features


def compute(kernel: type[torch.autograd.Function], plain: Callable, *args):
    """Apply a kernel, or the plain expression of the same where a compiler is at work."""
    return plain(*args) if torch.compiler.is_compiling() else kernel.apply(*args)


def projected(weight: Tensor, bias: Tensor, features: Features, ids: Tensor) -> Tensor:
    """See :class:`~mmkg.samplers.mmrns.stored.Projected`."""
    return F.linear(features.gather(ids)[0].to(weight.dtype), weight, bias)  # [n, R, a]


def norm_scale(affinity: Tensor, gram: Tensor, guide: Tensor, row_mask: Tensor, eps: float) -> Tensor:
    """See :class:`~mmkg.samplers.mmrns.norm_scale.NormScale`."""
    rows = affinity.transpose(1, 2)  # [P, O, J]
    form = rows[..., None] * rows[:, :, None] * gram[:, None]  # [P, O, J, J]
    guides = guide.permute(2, 0, 1)  # [O, U, J]
    outer = guides[..., None] * guides[:, :, None]  # [O, U, J, J]
    variance = torch.bmm(outer.flatten(2), form.flatten(2).permute(1, 2, 0)).permute(2, 1, 0)  # [P, U, O]
    return (variance.clamp(min=0) + eps).rsqrt() * row_mask[:, None]  # [P, U, O]


def guided_projection(
    content: Tensor, affinity: Tensor, weight: Tensor, scale: Tensor, guide: Tensor, rest: Tensor
) -> Tensor:
    """See :class:`~mmkg.samplers.mmrns.guided.GuidedProjection`."""
    weights = (scale[:, :, None] * guide * affinity[:, None]).flatten(2)  # [P, U, J O]
    rows = (content @ weight.flatten(1)).view(len(content), -1, weight.shape[-1])  # [P, J O, a']
    return torch.bmm(weights, rows) + rest[:, None]  # [P, U, a']


def dots_and_norms(blocked: Tensor, candidates: Tensor, further: Tensor) -> tuple[Tensor, Tensor]:
    """See :class:`~mmkg.samplers.mmrns.similarity.DotsAndNorms`."""
    by_relation = candidates.permute(1, 2, 0)  # [U, a, P]
    of_block = by_relation if not further.numel() else torch.cat([by_relation, by_relation.index_select(0, further)])
    return torch.bmm(blocked, of_block), torch.linalg.vector_norm(candidates, dim=-1)  # [U + X, w, P], [P, U]


def gated_dots(
    blocked: Tensor, entity: Tensor, of_entity: Tensor, of_relation: Tensor, further: Tensor
) -> tuple[Tensor, Tensor]:
    """See :class:`~mmkg.samplers.mmrns.gated.GatedDots`."""
    gated = entity[:, None] * torch.sigmoid(of_entity[:, None] + of_relation)  # [P, U, d]
    return dots_and_norms(blocked, gated, further)
