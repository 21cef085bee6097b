"""From similarities to the probability of drawing each candidate."""

from __future__ import annotations

import math

import torch
from torch import Tensor

RULES = ("corrected", "naive", "zero")


def temperature(epsilon: float, step: int, scheduled: bool = True) -> float:
    r"""Temperature at a step, :math:`ε = ε_0 / (1 + \ln(\mathrm{step} + 1))`, or :math:`ε_0` throughout.

    Args:
        epsilon: Temperature at step 0, above 0.
        step: Steps done before, at least 0.
        scheduled: False keeps it constant.

    Example:
        >>> temperature(10.0, 0), round(temperature(10.0, 99_999), 3)
        (10.0, 0.799)
    """
    return epsilon / (1 + math.log(step + 1)) if scheduled else epsilon


def log_mixture(
    similarities: dict[str, Tensor],
    shared: dict[str, Tensor],
    epsilon: float,
    rule: str = "corrected",
    inside: Tensor | None = None,
) -> Tensor:
    r"""Log-probability of each candidate: the mean of the modalities' softmaxes.

    Where all candidates have all modalities this is :math:`p = \frac{1}{3} \sum_m \mathrm{softmax}(\mathrm{sim}^m/ε)`
    (MMRNS, Xu et al., ACM MM 2022). Where some lack some, averaging what there is ("naive") would favour those with
    pictures: few share the picture's whole softmax. With :math:`A_j` the modalities that candidate j shares with the
    positive and :math:`n_m` the number of candidates that share m, the "corrected" rule is

    .. math:: p_j ∝ \frac{1}{|A_j|} \sum_{m ∈ A_j} \frac{n_m}{P}\, \mathrm{softmax}_m(j)

    under which equal similarities make p uniform, whatever is missing. A candidate that shares nothing gets the uniform
    1 / P. All in log space: at ε = 0.01 half of p would round to 0.

    Args:
        similarities: Cosines of each modality in use, each ``[B, P]``.
        shared: True where positive and candidate both have the modality, each ``[B, P]``.
        epsilon: Temperature, above 0.
        rule: ``"corrected"``, or ``"naive"`` (also right for ``"zero"``, where nothing counts as missing).
        inside: True for each row's own candidates, shape ``[B, P]``: p is then as if there were no others, and -inf
            for these; None where all are.

    Returns:
        Log-probabilities that sum to 1 over each row, shape ``[B, P]``, in float32 at least; where a row has no
        candidates they are finite and mean nothing.
    """
    names = list(similarities)
    if inside is not None:
        inside = inside | ~inside.any(dim=1, keepdim=True)  # [B, P], a row of nothing stays finite
        shared = {name: mask & inside for name, mask in shared.items()}
    sims = torch.stack([similarities[m] for m in names])  # [m, B, P]
    sims = sims.float() if sims.dtype in (torch.float16, torch.bfloat16) else sims
    has = torch.stack([shared[m] for m in names])  # [m, B, P]
    count = has.sum(dim=-1, keepdim=True).to(sims.dtype)  # [m, B, 1], n_m
    modalities = has.sum(dim=0).clamp(min=1).to(sims.dtype)  # [B, P], |A_j|
    # a row in which nobody has the modality keeps finite numbers here, so that no NaN reaches the gradient
    logits = (sims / epsilon).masked_fill(~has & (count > 0), -torch.inf)  # [m, B, P]
    terms = torch.log_softmax(logits, dim=-1)  # [m, B, P]
    own = torch.ones_like(has[0]) if inside is None else inside  # [B, P]
    size = own.sum(dim=1, keepdim=True).to(sims.dtype)  # [B, 1]
    if rule == "corrected":
        terms = terms + (count.clamp(min=1) / size).log()  # [m, B, P]
    terms = terms - modalities.log()  # [m, B, P]
    terms = terms.masked_fill(~has, -torch.inf)  # [m, B, P]
    nothing = ~has.any(dim=0)  # [B, P]
    uniform = torch.zeros_like(terms[0]) - size.log()  # [B, P]
    first = torch.where(nothing, uniform, terms[0])  # [B, P]
    total = torch.logsumexp(torch.cat([first[None], terms[1:]]), dim=0)  # [B, P], finite everywhere
    total = total if inside is None else total.masked_fill(~inside, -torch.inf)  # [B, P]
    return torch.log_softmax(total, dim=-1)  # [B, P]
