"""The contrastive loss that trains KCA: known answers close to the true one, negatives away from it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmkg.samplers.mmrns.seen import Masks, Seen


def log_weights(
    negative_scores: Tensor,
    positions: Tensor,
    valid: Tensor,
    pool_size: int,
    *,
    alpha: float,
    num_entities: int,
    drawn_weight: str = "equation",
) -> Tensor:
    r"""Log-weights :math:`\log q` of the candidates.

    A drawn negative weighs :math:`w = \mathrm{softmax}_k(α s_k)` (hard ones more, without gradient), any other
    candidate :math:`1 / |E|`. Published code multiplies instead: :math:`w / P` if drawn and :math:`1 / P` otherwise,
    which puts the drawn *below* the rest.

    Args:
        negative_scores: Scores of the drawn, shape ``[B, K]``.
        positions: Their positions in the pool, shape ``[B, K]``.
        valid: Which draws exist, shape ``[B, K]``.
        pool_size: ``P``.
        alpha: Temperature of w.
        num_entities: ``|E|``.
        drawn_weight: ``"equation"`` or ``"published"``.

    Returns:
        Shape ``[B, P]``.
    """
    scores = negative_scores.detach()
    scores = scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores
    some = valid.any(dim=1, keepdim=True)  # [B, 1]
    logits = (alpha * scores).masked_fill(~valid & some, -torch.inf)  # [B, K]
    w = torch.log_softmax(torch.where(some, logits, 0.0), dim=1)  # [B, K]
    base = -math.log(num_entities if drawn_weight == "equation" else pool_size)
    w = w if drawn_weight == "equation" else w + base
    weights = w.new_full((scores.shape[0], pool_size), base)  # [B, P]
    return weights.scatter(1, positions, torch.where(valid, w, base))  # [B, P]


def contrastive_loss(
    positive: Tensor,
    positive_mask: Tensor,
    positive_weight: Tensor | float,
    negative: Tensor,
    negative_mask: Tensor,
    negative_weight: Tensor,
    contrast: str = "row",
    count: Tensor | None = None,
) -> Tensor:
    r"""One modality's loss (MMRNS, Xu et al., ACM MM 2022).

    .. math:: l = -\log \frac{\sum_{j∈P} q_j \exp \mathrm{sim}_j}{\sum_{n∈N} q_n \exp \mathrm{sim}_n}

    Args:
        positive: Similarities of known answers to the true one, shape ``[B, J]``.
        positive_mask: Which of them count, shape ``[B, J]``.
        positive_weight: Their log-weights, shape ``[B, J]`` or a number.
        negative: Similarities of the candidates, shape ``[B, P]``.
        negative_mask: Which of them are negatives, shape ``[B, P]``.
        negative_weight: Their log-weights, shape ``[B, P]``.
        contrast: ``"row"`` takes the log in each row and the mean over rows that have both kinds; ``"batch"`` sums
            over the whole batch before the log, as published code does.
        count: How many rows the mean is over, a scalar; those that have both kinds if None. Not for ``"batch"``.

    Returns:
        A scalar, 0 where there is nothing to compare.
    """
    up, down = positive + positive_weight, negative + negative_weight  # [B, J], [B, P]
    if contrast == "batch":
        up, positive_mask, down, negative_mask = (
            x.reshape(1, -1) for x in (up, positive_mask, down, negative_mask)
        )  # [1, B * J] and [1, B * P]
    use = _usable(positive_mask, negative_mask)  # [B]
    loss = _log_sum(down, negative_mask) - _log_sum(up, positive_mask)  # [B]
    count = use.sum().clamp(min=1) if count is None else count
    return torch.where(use, loss, 0.0).sum() / count


def _usable(positive_mask: Tensor, negative_mask: Tensor) -> Tensor:
    """Rows that have both kinds, shape ``[B]``."""
    return positive_mask.any(dim=1) & negative_mask.any(dim=1)  # [B]


def seen_contrast(
    seen: Seen,
    valid: Tensor,
    negative_scores: Tensor,
    *,
    alpha: float,
    num_entities: int,
    from_facts: bool = True,
    contrast: str = "row",
    drawn_weight: str = "equation",
) -> Tensor:
    """The mean of :func:`contrastive_loss` over the modalities in which a step compared entities.

    Args:
        seen: What the step compared and drew.
        valid: Which draws exist, shape ``[B, K]``.
        negative_scores: Their scores, shape ``[B, K]``; their gradient is not used.
        alpha: See :func:`log_weights`.
        num_entities: ``|E|``.
        from_facts: Positives are the known answers looked up off-pool; if not, those that happen to be in the pool.
        contrast: See :func:`contrastive_loss`.
        drawn_weight: See :func:`log_weights`.

    Returns:
        A scalar.
    """
    weight = log_weights(
        negative_scores,
        seen.positions,
        valid,
        seen.pool.numel(),
        alpha=alpha,
        num_entities=num_entities,
        drawn_weight=drawn_weight,
    )  # [B, P]
    losses, count = [], None
    for name, similarity in seen.similarities.items():  # [B, P]
        shared = seen.shared[name]  # [B, P]
        if from_facts:
            positive = (seen.answer_similarities[name], seen.answer_shared[name], -math.log(num_entities))
        else:
            positive = (similarity, shared & seen.known, weight)
        if seen.whole is not None and contrast == "row":
            count = _count(seen.whole, name, from_facts, len(similarity))
        losses.append(contrastive_loss(*positive, similarity, shared & seen.allowed, weight, contrast, count))
    return sum(losses) / len(losses)


def _count(whole: Masks, name: str, from_facts: bool, rows: int) -> Tensor:
    """What some rows of a batch divide by, so that their means add up to that of all: their part of its usable rows.

    Rows without a picture have nothing to compare, and some runs of rows have more of them than others.
    """
    shared = whole.shared[name]  # [B, P]
    positive = whole.answer_shared[name] if from_facts else shared & whole.known  # [B, 1 + J] or [B, P]
    use = _usable(positive, shared & whole.allowed)  # [B]
    return use.sum().clamp(min=1) * (rows / len(use))


def _log_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Logsumexp ``[B]`` of masked values ``[B, n]``; rows with nothing come out finite and without a NaN gradient."""
    some = mask.any(dim=1, keepdim=True)  # [B, 1]
    return values.masked_fill(~mask & some, -torch.inf).logsumexp(dim=1)  # [B]
