"""Filtered ranking of what is asked about entities that a model has never seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmkg.evaluation.metrics import all_metrics, breakdown
from mmkg.evaluation.ranking import rank
from mmkg.graph import Facts
from mmkg.types import Ranks


def rank_unseen(
    model: torch.nn.Module,
    triples: Tensor,
    facts: Facts,
    unseen: Tensor,
    *,
    memory_mb: float = 256.0,
    progress: bool = False,
) -> tuple[Ranks, dict[str, list[str]]]:
    """Rank triples of unseen entities on both sides, among known and unseen entities alike.

    Args:
        model: Scores all ``N`` entities: :class:`mmkg.scorers.Extended`, or a control.
        triples: Ids (h, r, t), each with one unseen entity, shape ``[Q, 3]``.
        facts: All true triples, to be filtered out.
        unseen: Whether each entity is unseen, shape ``[N]``.
        memory_mb: Memory for the scores of one block of questions, in MiB.
        progress: Whether to show a bar.

    Returns:
        Ranks of ``2 Q`` questions, and their label in the groupings ``asked for`` ("unseen": who of all entities is the
        answer, the unseen one is; "known": what the answer about the unseen one is) and ``side``.

    Raises:
        ValueError: If a triple has not one unseen entity, or nothing is to be ranked.
        NumericsError: If a score is NaN or infinite.
    """
    strange = unseen[triples[:, [0, 2]]]  # [Q, 2]
    if len(triples) and not (strange.sum(1) == 1).all():
        bad = triples[strange.sum(1) != 1][0].tolist()
        raise ValueError(f"triple {bad} has not one unseen entity but {int(unseen[bad[::2]].sum())}")
    ranks = rank(model, triples, facts, memory_mb=memory_mb, progress=progress)
    side = ranks.side.cpu()  # [2 Q]
    is_unseen = torch.where(side == 1, strange[ranks.triple.cpu(), 1], strange[ranks.triple.cpu(), 0])  # [2 Q]
    return ranks, {
        "asked for": ["unseen" if x else "known" for x in is_unseen.tolist()],
        "side": ["tail" if x else "head" for x in side.tolist()],
    }


def unseen_summary(ranks: Ranks, groups: Mapping[str, Sequence[str]]) -> dict:
    """Counts, metrics under every tie rule and by group (realistic), as JSON can hold it."""
    return {
        "queries": len(ranks),
        "metrics": all_metrics(ranks),
        "breakdown": breakdown(ranks, groups).to_dict("records"),
    }
