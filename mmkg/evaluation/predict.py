"""Answers to questions: the best candidates for (h, r, ?) and (?, r, t), and how a triple compares."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmkg.errors import NumericsError
from mmkg.evaluation.scoring import score_side
from mmkg.graph import Facts
from mmkg.types import SIDES, Batch, Side


@dataclass
class Prediction:
    """Best candidates of one question.

    Args:
        ids: Entity ids, best first, shape ``[k]``.
        scores: Their scores, shape ``[k]``.
        known: Whether each is a known fact, shape ``[k]``.
    """

    ids: Tensor
    scores: Tensor
    known: Tensor


@torch.no_grad()
def top_k(
    model: torch.nn.Module, anchor: int, relation: int, side: Side, k: int, facts: Facts, *, include_known: bool = False
) -> Prediction:
    """The ``k`` best answers to one question.

    Args:
        model: A scorer.
        anchor: Id of the given entity: the head when ``side`` is "tail".
        relation: Id of the relation.
        side: The side asked for.
        k: How many answers, at least 1; fewer come back where fewer entities are left.
        facts: Known facts.
        include_known: Whether known facts may be among the answers; if not, only new ones are.
    """
    if k < 1:
        raise ValueError(f"k is {k}, must be at least 1")
    batch = _question(model, anchor, relation, side)
    scores = _finite(score_side(model, batch, side).float())[0]  # [N]
    known = facts.to(scores.device).mask(batch, side)[0]  # [N]
    pool = torch.arange(len(scores), device=scores.device)
    if not include_known:
        pool = pool[~known]
    order = torch.argsort(scores[pool], descending=True, stable=True)[:k]  # stable: ties come in the order of ids
    ids = pool[order]
    return Prediction(ids.cpu(), scores[ids].cpu(), known[ids].cpu())


@torch.no_grad()
def compare(model: torch.nn.Module, head: int, relation: int, tail: int, facts: Facts) -> dict[str, float | bool]:
    """Score of one triple and where it stands among all candidates of its two questions.

    Returns:
        ``score``, ``known``, and for each side ``percentile_<side>``: the share (in percent) of the entities not known
        as answers that score below it, ties counting half.
    """
    triple = [torch.tensor([x], device=_device(model)) for x in (head, relation, tail)]
    batch, facts = Batch(*triple), facts.to(_device(model))
    result: dict[str, float | bool] = {
        "score": float(_finite(model(*triple))),
        "known": bool(facts.contains(*triple)),
    }
    for side in SIDES:
        scores = _finite(score_side(model, batch, side).float())[0]  # [N]
        answer = int(batch.answer(side))
        rival = ~facts.mask(batch, side)[0]  # [N]
        rival[answer] = False
        others = scores[rival]
        below = (others < scores[answer]).double() + 0.5 * (others == scores[answer]).double()
        result[f"percentile_{side}"] = 100 * float(below.mean()) if len(others) else 100.0
    return result


def _device(model: torch.nn.Module) -> torch.device:
    return next(model.parameters()).device


def _question(model: torch.nn.Module, anchor: int, relation: int, side: Side) -> Batch:
    given, r = (torch.tensor([x], device=_device(model)) for x in (anchor, relation))
    asked = torch.zeros_like(given)  # never read
    return Batch(given, r, asked) if side == "tail" else Batch(asked, r, given)


def _finite(scores: Tensor) -> Tensor:
    if not torch.isfinite(scores).all():
        raise NumericsError("the model gives NaN or infinite scores. Cure: train anew, or load an earlier checkpoint")
    return scores
