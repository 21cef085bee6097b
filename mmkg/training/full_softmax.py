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
    query: Tensor,
    table: Tensor,
    answer: Tensor,
    weight: Tensor | None = None,
    smoothing: float = 0.0,
    row: Tensor | None = None,
) -> Tensor:
    r"""Cross-entropy of the true answers under :math:`\mathrm{softmax}(Q E^\top)`, as of scores that are never kept.

    .. math:: L = -\frac{1}{\sum_m \omega_m} \sum_m \omega_m \sum_e y_{me} \log \mathrm{softmax}_e(q_{b(m)}^\top e),
        \qquad y_{me} = (1 - \epsilon) [e = t_m] + \epsilon / N

    The gradient :math:`p - y` of a question is known as soon as its scores are, so that it is taken to queries and
    table at once and the memory of its block serves the next one. Questions that are asked by several triples are
    scored once. Under autocast the three matrix products are in half precision, softmax, loss and sums in float32.

    Args:
        query: Questions, shape ``[U, d]``.
        table: All entities, shape ``[N, d]``.
        answer: Ids of the true entities of triples, shape ``[M]``.
        weight: Positive weight of each triple, shape ``[M]``; all ones if None.
        smoothing: Label smoothing :math:`\epsilon` in [0, 1).
        row: Question :math:`b(m)` of each triple, shape ``[M]``, each question at least once; the m-th if None.

    Returns:
        Scalar. Its gradient can be taken once, not twice.
    """
    weight = torch.ones_like(answer, dtype=query.dtype) if weight is None else weight
    if row is None:
        row = torch.arange(len(query), device=query.device)
    else:  # triples of one question lie together, questions in order
        order = row.argsort(stable=True)
        row, answer, weight = row[order], answer[order], weight[order]
    return _ProductCrossEntropy.apply(query, table, row, answer, weight / weight.sum(), smoothing)


class _ProductCrossEntropy(torch.autograd.Function):
    """The loss with its gradient, both computed in the forward pass."""

    @staticmethod
    def forward(
        ctx, query: Tensor, table: Tensor, row: Tensor, answer: Tensor, weight: Tensor, smoothing: float
    ) -> Tensor:
        device = query.device.type
        half = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        q, e = (query, table) if half is None else (query.to(half), table.to(half))  # [U, d], [N, d]
        for_query, for_table = ctx.needs_input_grad[:2]
        grad_query = torch.empty_like(query) if for_query else None
        grad_table = torch.zeros_like(table) if for_table else None
        share = query.new_zeros(len(query)).index_add_(0, row, weight.to(query.dtype))  # [U]
        size = max(1, BLOCK_BYTES.get(device, 2**28) // (len(table) * query.element_size()))
        memory = query.new_empty(min(size, len(query)), len(table))  # [b, N], one for all blocks
        starts = torch.arange(0, len(query) + size, size, device=row.device)
        bounds = torch.searchsorted(row, starts).tolist()  # where each block's triples begin
        loss = query.new_zeros(())
        with torch.autocast(device, enabled=False):
            for number, start in enumerate(range(0, len(query), size)):
                of, own = slice(start, start + size), slice(bounds[number], bounds[number + 1])
                part, mine = q[of], share[of, None]  # [b, d], [b, 1]
                scores = memory[: len(part)]
                if half is None:
                    torch.mm(part, e.T, out=scores)  # [b, N]
                else:
                    scores.copy_(part @ e.T)
                at = row[own] - start, answer[own]  # [m], [m]
                true = (1 - smoothing) * scores[at]  # [m]
                rest = _into_probabilities(scores, smoothing)  # [b], a row's loss but for its true scores
                loss += (mine[:, 0] * rest).sum() - (weight[own] * true).sum()
                parts = (smoothing - 1) * weight[own] / mine[at[0], 0]  # [m], of one row they add up to that factor
                scores.index_put_(at, parts.to(scores.dtype), accumulate=True)
                gradient = scores if half is None else scores.to(half)  # [b, N], of each row's own mean loss
                if for_query:
                    grad_query[of] = mine * (gradient @ e)  # [b, d]
                if for_table:  # a row's share is small: in half precision it would vanish from the larger factor
                    weighted = (mine * query[of]).to(gradient.dtype)  # [b, d]
                    if half is None:
                        grad_table.addmm_(gradient.T, weighted)  # [N, d]
                    else:
                        grad_table += gradient.T @ weighted
        ctx.gradients = grad_query, grad_table
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError("the gradient of product_cross_entropy was taken already; it can be taken once")
        gradients, ctx.gradients = ctx.gradients, None
        # in place: fresh memory of the table's size would cost as much as a pass over it
        return *(None if x is None else x.mul_(grad) for x in gradients), None, None, None, None


def _into_probabilities(scores: Tensor, smoothing: float) -> Tensor:
    """Turn scores ``[b, N]`` in place into probabilities less ``smoothing / N``.

    Returns:
        Log of the sum of exponentials less ``smoothing`` times the mean score, of each row, ``[b]``.
    """
    size, rows = scores.shape[1], len(scores)
    if scores.device.type == "cpu":
        rows = max(1, CACHE_BYTES // (size * scores.element_size()))
    found = []
    for part in scores.split(rows):
        mean = smoothing * part.mean(1) if smoothing else 0.0  # [b']
        top = part.amax(1, keepdim=True)  # [b', 1]
        total = part.sub_(top).exp_().sum(1, keepdim=True)  # [b', 1], at least 1
        found.append((top + total.log())[:, 0] - mean)
        part.div_(total)
        if smoothing:
            part.sub_(smoothing / size)
    return torch.cat(found)
