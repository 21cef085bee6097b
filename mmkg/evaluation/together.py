"""Filtered ranking by several processes, each of which scores a range of the entities."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from mmkg.errors import NumericsError
from mmkg.evaluation.ranking import check_questions, count_better, distinct_questions, rank, side_by_side
from mmkg.evaluation.scoring import asking
from mmkg.evaluation.twins import twins
from mmkg.graph import Facts
from mmkg.memory import portion
from mmkg.scorers import Scorer
from mmkg.types import SIDES, Batch, Ranks, Side

if dist.is_available():
    from torch.distributed.tensor import DTensor
else:  # nothing is spread there

    class DTensor:  # type: ignore[no-redef]
        """What no tensor is."""


def rank_together(
    model: torch.nn.Module, triples: Tensor, facts: Facts, *, sides: tuple[Side, ...] = SIDES, memory_mb: float = 256.0
) -> Ranks:
    r"""Rank the true answers of triples as :func:`mmkg.evaluation.rank` does, the entities shared among processes.

    With :math:`N_p` the entities of process p, ranks follow from sums of counts over processes,

    .. math:: |\{c \in C: s_c > s\}| = \sum_p |\{c \in C \cap N_p: s_c > s\}|,

    which are added up by one all-reduce at the end; before, the true answers' scores come from those that hold them,
    a number a question. Entities of equal embeddings are with one process, so that ties stay ties.

    Args:
        model: A scorer, with the same parameters in all processes. Another model is ranked by each on its own.
        triples: Ids (h, r, t), shape ``[Q, 3]``, the same in all processes.
        facts: What is filtered out, the same in all.
        sides: Which sides to ask for.
        memory_mb: Memory of each process for the scores of one block of questions, in MiB, > 0.

    Returns:
        The same ranks in all processes.

    Raises:
        NumericsError: In all, if a score is NaN or infinite in one.
        ValueError: As :func:`mmkg.evaluation.rank`.
    """
    count = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
    if count == 1 or facts.num_nodes < count or not isinstance(model, Scorer):
        return rank(model, triples, facts, sides=sides, memory_mb=memory_mb)
    if not memory_mb > 0:
        raise ValueError(f"memory_mb is {memory_mb}, must be above 0")
    check_questions(triples, facts, sides)
    facts = facts.to(triples.device)
    with asking(model) as asked:
        table = asked.entity_table()
        share = _spread(table) if isinstance(table, DTensor) else _shared(table, dist.get_rank(), count)
        parts = [_count_side(asked, triples, facts, side, share, memory_mb) for side in sides]
    counts = torch.cat(parts, dim=1)  # [3, Q * sides]
    dist.all_reduce(counts)
    better, level, strangers = counts
    every = Batch(*triples.unbind(1))
    known = torch.cat([facts.count(every, side) for side in sides])  # [Q * sides]
    candidates = facts.num_nodes - known - strangers + 1  # [Q * sides]
    return Ranks(better + 1, better + level + 1, candidates, *side_by_side(triples, sides))


@dataclass
class _Share:
    """The entities of one process.

    Args:
        own: Their embeddings, shape ``[n, d]``.
        place: Column of each entity among them, -1 if it is another process's, shape ``[N]``.
        most: The most that any process has.
        copies: Columns that repeat another, shape ``[D]``.
        firsts: Those that they repeat, shape ``[D]``.
    """

    own: Tensor
    place: Tensor
    most: int
    copies: Tensor
    firsts: Tensor


def _shared(table: Tensor, number: int, count: int) -> _Share:
    """Of a table ``[N, d]`` that all hold: a range, with all that repeat one of it and without those of another."""
    size = len(table)
    where = portion(size, number, count)
    start, stop = where.start, where.stop
    copies, firsts = twins(table)  # [D], [D]
    first = torch.arange(size, device=table.device)  # [N]
    first[copies] = firsts
    ids = ((first >= start) & (first < stop)).nonzero()[:, 0]  # [n]
    plain = len(ids) == stop - start and bool((ids == torch.arange(start, stop, device=ids.device)).all())
    own = table[start:stop] if plain else table[ids]  # [n, d], a view where it can be
    place = torch.full((size,), -1, device=table.device)  # [N]
    place[ids] = torch.arange(len(ids), device=table.device)
    here = place[copies] >= 0  # [D]
    return _Share(own, place, -(-size // count), place[copies[here]], place[firsts[here]])


def _spread(table: DTensor) -> _Share:
    """Of a table whose rows are spread: what lies here. Rows that repeat one of another process are not known."""
    own = table.to_local()  # [n, d]
    sizes: list = [None] * dist.get_world_size()
    dist.all_gather_object(sizes, len(own))
    start = sum(sizes[: dist.get_rank()])
    place = torch.full((len(table),), -1, device=own.device)  # [N]
    place[start : start + len(own)] = torch.arange(len(own), device=own.device)
    return _Share(own, place, max(sizes), *twins(own))


def _count_side(model: Scorer, triples: Tensor, facts: Facts, side: Side, share: _Share, memory_mb: float) -> Tensor:
    """Counts ``[3, Q]`` over this process's entities: above, level, and true answers that the facts do not hold."""
    every, place = Batch(*triples.unbind(1)), share.place
    question, order, start = distinct_questions(every.anchor(side) * facts.num_relations + every.relation)
    asked = Batch(*triples[order[start[:-1]]].unbind(1))  # [U], one triple of each question
    counts = torch.zeros(3, len(triples), dtype=torch.long, device=triples.device)
    # the same blocks in all processes: they wait for each other's answers
    size = max(1, min(512, int(memory_mb * 2**20 / (share.most * 8))))
    for begin in range(0, len(asked), size):
        rows = slice(begin, min(begin + size, len(asked)))
        part = asked.rows(rows)
        scores = _scores(model, part, side, share)  # [b, n]
        mine = order[start[rows.start] : start[rows.stop]]  # [A], triples that ask one of these questions
        row, at = question[mine] - rows.start, place[every.answer(side)[mine]]  # [A], [A]
        here = at >= 0  # [A]
        told = scores.new_full((len(mine) + 1,), -torch.inf)  # [A + 1], the last for what is none
        told[:-1][here] = scores[row[here], at[here]]
        told[-1] = float(not torch.isfinite(scores).all())
        dist.all_reduce(told, dist.ReduceOp.MAX)
        if told[-1] > 0:
            questions = f"questions {begin} to {rows.stop - 1} of side {side}"
            raise NumericsError(f"a score is NaN or infinite among {questions}. Cure: lower the learning rate")
        target = told[:-1]  # [A]
        which, known = facts.known(part, side)  # [M], [M]
        columns = place[known]  # [M]
        scores[which[columns >= 0], columns[columns >= 0]] = -torch.inf
        stranger = torch.zeros_like(here)
        stranger[here] = torch.isfinite(scores[row[here], at[here]])  # answers that the facts do not hold
        above, least = count_better(scores, row, target)  # [A], [A]
        counts[:, mine] = torch.stack([above, least - above - stranger.long(), stranger.long()])
    return counts


def _scores(model: Scorer, part: Batch, side: Side, share: _Share) -> Tensor:
    """Scores ``[b, n]`` of this process's entities, in float32 or float64."""
    relation, way = model.relation(part.relation, side), model.way(side)  # [b, d_r]
    query = model.query(model.entity(part.anchor(side)), relation, way)  # [b, d]; all ask for the same entities
    scores = model.match_shared(query, share.own, relation, way)  # [b, n]
    scores[:, share.copies] = scores[:, share.firsts]
    return scores if scores.dtype == torch.float64 else scores.float()
