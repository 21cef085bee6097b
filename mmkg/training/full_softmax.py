"""Cross-entropy over all entities straight from queries and the table of entities: scores live in one block only."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmkg.scorers import BilinearScorer

BLOCK_BYTES = {"cpu": 2**26, "cuda": 2**30}  # of scores at once: large enough that a matrix product runs at full speed
CACHE_BYTES = 2**19  # of scores between two passes over them, so that they stay in a core's cache


def scores_by_product(model: torch.nn.Module) -> bool:
    """Whether a scorer's scores of all entities are the plain product of its queries and its table of entities."""
    return isinstance(model, BilinearScorer) and type(model).match_shared is BilinearScorer.match_shared


def product_cross_entropy(
    query: Tensor, table: Tensor, answer: Tensor, weight: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    r"""Cross-entropy of the true answers under :math:`\mathrm{softmax}(Q E^\top)`, as of scores that are never kept.

    .. math:: L = -\frac{1}{\sum_b \omega_b} \sum_b \omega_b \sum_e y_{be} \log \mathrm{softmax}_e(q_b^\top e),
        \qquad y_{be} = (1 - \epsilon) [e = t_b] + \epsilon / N

    The gradient :math:`\omega (p - y)` is known as soon as a block of scores is, so that it is taken to queries and
    table at once and the block's memory serves the next one. Under autocast the three matrix products are in half
    precision, softmax, loss and sums in float32.

    Args:
        query: Questions, shape ``[B, d]``.
        table: All entities, shape ``[N, d]``.
        answer: Ids of the true entities, shape ``[B]``.
        weight: Positive weight of each question, shape ``[B]``; all ones if None.
        smoothing: Label smoothing :math:`\epsilon` in [0, 1).

    Returns:
        Scalar. Its gradient can be taken once, not twice.
    """
    weight = torch.ones_like(query[:, 0]) if weight is None else weight
    return _ProductCrossEntropy.apply(query, table, answer, weight / weight.sum(), smoothing)


class _ProductCrossEntropy(torch.autograd.Function):
    """The loss with its gradient, both computed in the forward pass."""

    @staticmethod
    def forward(ctx, query: Tensor, table: Tensor, answer: Tensor, share: Tensor, smoothing: float) -> Tensor:
        device = query.device.type
        half = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        q, e = (query, table) if half is None else (query.to(half), table.to(half))  # [B, d], [N, d]
        for_query, for_table = ctx.needs_input_grad[:2]
        grad_query = torch.empty_like(query) if for_query else None
        grad_table = torch.zeros_like(table) if for_table else None
        rows = max(1, BLOCK_BYTES.get(device, 2**28) // (len(table) * query.element_size()))
        memory = query.new_empty(min(rows, len(query)), len(table))  # [b, N], one for all blocks
        loss = query.new_zeros(())
        with torch.autocast(device, enabled=False):
            for start in range(0, len(query), rows):
                part, mine = q[start : start + rows], share[start : start + rows, None]  # [b, d], [b, 1]
                scores = memory[: len(part)]
                if half is None:
                    torch.mm(part, e.T, out=scores)  # [b, N]
                else:
                    scores.copy_(part @ e.T)
                losses = _into_gradient(scores, answer[start : start + rows], smoothing)  # [b]
                loss += (mine[:, 0] * losses).sum()
                gradient = scores if half is None else scores.to(half)  # [b, N], of each row's own loss
                if for_query:
                    grad_query[start : start + rows] = mine * (gradient @ e)  # [b, d]
                if for_table:  # a row's share is small: in half precision it would vanish from the larger factor
                    weighted = (mine * query[start : start + rows]).to(gradient.dtype)  # [b, d]
                    if half is None:
                        grad_table.addmm_(gradient.T, weighted)  # [N, d]
                    else:
                        grad_table += gradient.T @ weighted
        ctx.save_for_backward(grad_query, grad_table)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        return *(None if x is None else grad * x for x in ctx.saved_tensors), None, None, None


def _into_gradient(scores: Tensor, answer: Tensor, smoothing: float) -> Tensor:
    """Turn scores ``[b, N]`` in place into the gradient of each row's loss, and give the losses ``[b]``."""
    size = scores.shape[1]
    rows = len(scores)
    if scores.device.type == "cpu":
        rows = max(1, CACHE_BYTES // (size * scores.element_size()))
    losses = []
    for part, true in zip(scores.split(rows), answer.split(rows), strict=True):
        place = true[:, None]  # [b, 1]
        wanted = (1 - smoothing) * part.gather(1, place)[:, 0]  # [b]
        if smoothing:
            wanted = wanted + smoothing * part.mean(1)
        top = part.amax(1, keepdim=True)  # [b, 1]
        total = part.sub_(top).exp_().sum(1, keepdim=True)  # [b, 1], at least 1
        losses.append((top + total.log())[:, 0] - wanted)
        part.div_(total)
        if smoothing:
            part.sub_(smoothing / size)
        part.scatter_add_(1, place, torch.full_like(top, smoothing - 1))
    return torch.cat(losses)
