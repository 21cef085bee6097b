"""Answers to questions: the best candidates for (h, r, ?), (?, r, t) and (h, ?, t), and how a triple compares."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from mmkg.errors import NumericsError
from mmkg.evaluation.scoring import all_candidates, asking, blocks_of_scores
from mmkg.graph import Facts
from mmkg.types import SIDES, Batch, Side


@dataclass
class Prediction:
    """Best candidates of one question.

    Args:
        ids: Ids of entities, or of relations where these were asked for, best first, shape ``[k]``.
        scores: Their scores, shape ``[k]``.
        known: Whether each is a known fact, shape ``[k]``.
    """

    ids: Tensor
    scores: Tensor
    known: Tensor


def top_k(
    model: torch.nn.Module, anchor: int, relation: int, side: Side, k: int, facts: Facts, *, include_known: bool = False
) -> Prediction:
    """The ``k`` best answers to one question.

    Args:
        model: A scorer, one of PyG's KGE models, or a control.
        anchor: Id of the given entity: the head when ``side`` is "tail".
        relation: Id of the relation.
        side: The side asked for.
        k: How many answers, at least 1; fewer come back where fewer entities are left.
        facts: Known facts.
        include_known: Whether known facts may be among the answers; if not, only new ones are.

    Returns:
        The answers, on the CPU.

    Raises:
        NumericsError: If a score is NaN or infinite.
        ValueError: If k is below 1.
    """
    given, r = (torch.tensor([x], device=_device(model)) for x in (anchor, relation))
    return top_k_each(model, given, r, side, k, facts, include_known=include_known)[0]


def top_k_each(
    model: torch.nn.Module,
    anchor: Tensor,
    relation: Tensor,
    side: Side,
    k: int,
    facts: Facts,
    *,
    include_known: bool = False,
    memory_mb: float = 256.0,
) -> list[Prediction]:
    """The ``k`` best answers to each of many questions; see :func:`top_k`. Ties come in the order of ids.

    Args:
        model: A scorer, one of PyG's KGE models, or a control.
        anchor: Ids of the given entities, shape ``[B]``, on the model's device.
        relation: Ids of the relations, shape ``[B]``.
        side: The side asked for.
        k: How many answers, at least 1.
        facts: Known facts.
        include_known: Whether known facts may be among the answers.
        memory_mb: Memory for the scores of one block of questions, in MiB.

    Returns:
        The answers to each question, in their order, on the CPU.

    Raises:
        NumericsError: If a score is NaN or infinite.
        ValueError: If k is below 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}, must be at least 1")
    blank = torch.zeros_like(anchor)  # never read
    batch = Batch(anchor, relation, blank) if side == "tail" else Batch(blank, relation, anchor)
    facts, found = facts.to(anchor.device), []
    with asking(model) as asked:
        every = all_candidates(asked, facts.num_nodes)
        for rows, scores in blocks_of_scores(asked, batch, side, every, facts.num_nodes, memory_mb):
            part = Batch(batch.head[rows], batch.relation[rows], batch.tail[rows])
            at, ids = facts.known(part, side)  # [M], [M]
            known = torch.zeros_like(scores, dtype=torch.bool)
            known[at, ids] = True  # [b, N]
            ordered = scores if include_known else scores.masked_fill(known, -torch.inf)
            best = torch.argsort(ordered, dim=1, descending=True, stable=True)[:, :k]  # [b, k]
            for row, place in enumerate(best):
                if not include_known:
                    place = place[~known[row, place]]  # known answers stand last, where few others are left
                found.append(Prediction(place.cpu(), scores[row, place].cpu(), known[row, place].cpu()))
    return found


def top_relations(
    model: torch.nn.Module, head: int, tail: int, k: int, facts: Facts, *, include_known: bool = False
) -> Prediction:
    """The ``k`` relations that fit best between two entities; ties come in the order of ids.

    Args:
        model: A scorer, or one of PyG's KGE models.
        head: Id of the head.
        tail: Id of the tail.
        k: How many relations, at least 1; fewer come back where fewer are left.
        facts: Known facts.
        include_known: Whether relations that are known to join the two may be among the answers.

    Returns:
        The relations, on the CPU.

    Raises:
        NumericsError: If a score is NaN or infinite.
        ValueError: If k is below 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}, must be at least 1")
    relation = torch.arange(facts.num_relations, device=_device(model))  # [R]
    triples = torch.full_like(relation, head), relation, torch.full_like(relation, tail)  # 3 of [R]
    known = facts.to(relation.device).contains(*triples)  # [R]
    with asking(model):
        scores = model(*triples)  # [R]
    if not torch.isfinite(scores).all():
        worst = int((~torch.isfinite(scores)).nonzero()[0])
        raise NumericsError(f"the score of (head {head}, relation {worst}, tail {tail}) is {float(scores[worst])}")
    best = torch.argsort(scores, descending=True, stable=True)  # [R]
    if not include_known:
        best = best[~known[best]]
    best = best[:k]
    return Prediction(best.cpu(), scores[best].cpu(), known[best].cpu())


def compare(model: torch.nn.Module, head: int, relation: int, tail: int, facts: Facts) -> dict[str, float | bool]:
    """Score of one triple and where it stands among all candidates of its two questions.

    Args:
        model: A scorer, or one of PyG's KGE models.
        head: Id of the head.
        relation: Id of the relation.
        tail: Id of the tail.
        facts: Known facts; other answers among them are no rivals.

    Returns:
        ``score``, ``known``, and for each side ``percentile_<side>``: the share (in percent) of the entities not known
        as answers that score below it, ties counting half.

    Raises:
        NumericsError: If a score is NaN or infinite.
    """
    triple = [torch.tensor([x], device=_device(model)) for x in (head, relation, tail)]
    batch, facts = Batch(*triple), facts.to(_device(model))
    result: dict[str, float | bool] = {"known": bool(facts.contains(*triple))}
    with asking(model) as asked:
        result["score"] = float(model(*triple))
        every = all_candidates(asked, facts.num_nodes)
        for side in SIDES:
            (_, scores), *_ = blocks_of_scores(asked, batch, side, every, facts.num_nodes, 1.0)
            answer = int(batch.answer(side))
            rival = ~facts.mask(batch, side)[0]  # [N]
            rival[answer] = False
            others = scores[0, rival]
            below = (others < scores[0, answer]).double() + 0.5 * (others == scores[0, answer]).double()
            result[f"percentile_{side}"] = 100 * float(below.mean()) if len(others) else 100.0
    return result


def _device(model: torch.nn.Module) -> torch.device:
    return next(chain(model.parameters(), model.buffers()), torch.empty(0)).device  # a control has no parameters
