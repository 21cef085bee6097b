"""Where the entity that is meant stands among all."""

from __future__ import annotations

import torch
from torch import Tensor

from mmkg.types import Ranks


def link_ranks(scores: Tensor, answer: Tensor) -> Ranks:
    """Ranks of the entities that mentions mean, for :func:`mmkg.evaluation.metrics`.

    Args:
        scores: Scores of all entities for each mention, shape ``[n, N]``.
        answer: Id of the entity that each means, shape ``[n]``.

    Returns:
        ``n`` ranks; ``side`` is 1 throughout and says nothing.

    Raises:
        ValueError: If a score is NaN, or there is not one answer a mention.
    """
    if scores.dim() != 2 or answer.shape != scores.shape[:1]:
        raise ValueError(f"answers {tuple(answer.shape)} to scores {tuple(scores.shape)}: give [n] and [n, N]")
    if scores.isnan().any():
        raise ValueError("NaN among the scores: no rank can be given")
    target = scores.gather(1, answer[:, None])  # [n, 1]
    above, level = (scores > target).sum(1), (scores >= target).sum(1)  # [n], [n], itself among the latter
    number = torch.arange(len(scores), device=scores.device)
    return Ranks(above + 1, level, torch.full_like(above, scores.shape[1]), torch.ones_like(above), number)
