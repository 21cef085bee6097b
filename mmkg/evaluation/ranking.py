"""Filtered ranking on both sides, with ties stated."""

from __future__ import annotations

import torch
from torch import Tensor
from tqdm import tqdm

from mmkg.evaluation.scoring import Candidates, all_candidates, asking, blocks_of_scores, most_memory, rows_in_cache
from mmkg.graph import Facts
from mmkg.memory import shrinking
from mmkg.types import SIDES, Batch, Ranks, Side


def rank(
    model: torch.nn.Module,
    triples: Tensor,
    facts: Facts,
    *,
    sides: tuple[Side, ...] = SIDES,
    memory_mb: float = 256.0,
    progress: bool = False,
) -> Ranks:
    r"""Rank the true answers of triples among all entities that are not known to be true.

    With :math:`s` the score of the true answer and :math:`C` the candidates outside ``facts``, the optimistic rank is
    :math:`1 + |\{c \in C: s_c > s\}|` and the pessimistic one :math:`1 + |\{c \in C: s_c \ge s\}|`; the realistic rank
    is their mean (Berrendorf et al., 2020, "On the Ambiguity of Rank-Based Evaluation").

    Triples that ask the same question are scored once. Known answers are struck out by their places in the rows of
    ``facts``, and counts are taken over blocks that stay in the cache, so that ranking costs little more than scoring.

    Args:
        model: A scorer with ``score_tails`` and ``score_heads``, or one of PyG's KGE models; put into evaluation mode
            for the time being.
        triples: Ids (h, r, t), shape ``[Q, 3]``, on the device of the model.
        facts: What is filtered out besides the true answer: all known triples, held-out ones included.
        sides: Which sides to ask for.
        memory_mb: Memory for the scores of one block of questions, in MiB, > 0. What the model needs to make them comes
            on top.
        progress: Whether to show a bar.

    Returns:
        Ranks of ``Q * len(sides)`` questions, side by side in the order of ``sides``.

    Raises:
        NumericsError: If a score is NaN or infinite, be it that of a filtered candidate, naming a triple that asks.
        ValueError: If there are no triples, or no sides; if an id is out of range.
    """
    check_questions(triples, facts, sides)
    facts = facts.to(triples.device)
    bar = tqdm(total=len(triples) * len(sides), desc="ranking", unit="query", disable=not progress, leave=False)
    with bar, asking(model) as asked:
        every = all_candidates(asked, facts.num_nodes)  # for both sides
        one, most = (most_memory(every, n, facts.num_nodes, triples.device) for n in (1, len(triples)))
        memory = min(memory_mb, most)  # what binds, so that half of it is less

        def ranked(size: float) -> list[tuple[Tensor, Tensor, Tensor]]:
            bar.update(-bar.n)
            return [_rank_side(asked, every, triples, facts, side, size, bar) for side in sides]

        parts = shrinking(ranked, memory, min(one, memory), "evaluation")  # what is made of scores needs memory, too
    optimistic, pessimistic, candidates = (torch.cat(x) for x in zip(*parts, strict=True))  # [Q * sides]
    return Ranks(optimistic, pessimistic, candidates, *side_by_side(triples, sides))


def side_by_side(triples: Tensor, sides: tuple[Side, ...]) -> tuple[Tensor, Tensor]:
    """Side and number of the triple of each question ``[Q * sides]``, where one side's questions follow another's."""
    number = torch.arange(len(triples), device=triples.device)  # [Q]
    which = torch.tensor([SIDES.index(s) for s in sides], device=triples.device)  # [sides]
    return which.repeat_interleave(len(triples)), number.repeat(len(sides))


def check_questions(triples: Tensor, facts: Facts, sides: tuple[Side, ...]) -> None:
    """Raise ValueError where there are no triples ``[Q, 3]`` or no sides, or an id is out of range."""
    if triples.dim() != 2 or triples.shape[1] != 3:
        raise ValueError(f"triples have shape {tuple(triples.shape)}, expected [Q, 3]")
    if not len(triples) or not sides:
        raise ValueError("nothing to rank: the split is empty")
    if unknown := set(sides) - set(SIDES):
        raise ValueError(f"side {unknown.pop()!r}: choose 'head' or 'tail'")
    sizes = triples.new_tensor([facts.num_nodes, facts.num_relations, facts.num_nodes])
    outside = ((triples < 0) | (triples >= sizes)).any(1)  # [Q]
    if outside.any():
        told = f"{facts.num_nodes} entities and {facts.num_relations} relations"
        raise ValueError(f"triple {triples[outside][0].tolist()} is out of range: the facts are of {told}")


def _rank_side(
    model: torch.nn.Module,
    candidates: Candidates | None,
    triples: Tensor,
    facts: Facts,
    side: Side,
    memory_mb: float,
    bar: tqdm,
) -> tuple[Tensor, Tensor, Tensor]:
    """Optimistic and pessimistic ranks and numbers of candidates, ``[Q]`` each."""
    every = Batch(*triples.unbind(1))
    question, order, start = distinct_questions(every.anchor(side) * facts.num_relations + every.relation)
    first = order[start[:-1]]  # [U], one triple of each question
    asked = Batch(*triples[first].unbind(1))
    better, level, rivals = (torch.zeros_like(question) for _ in range(3))  # [Q]
    for rows, scores in blocks_of_scores(model, asked, side, candidates, facts.num_nodes, memory_mb):
        part = Batch(asked.head[rows], asked.relation[rows], asked.tail[rows])
        mine = order[start[rows.start] : start[rows.stop]]  # [A], triples that ask one of these questions
        row, answer = question[mine] - rows.start, every.answer(side)[mine]  # [A], [A]
        target = scores[row, answer]  # [A]
        at, known = facts.known(part, side)  # [M], [M]
        scores[at, known] = -torch.inf  # never above a target, never level with one
        stranger = torch.isfinite(scores[row, answer])  # [A], answers that the facts do not hold
        above, least = count_better(scores, row, target)  # [A], [A]
        better[mine], level[mine] = above, least - above - stranger.long()
        rivals[mine] = facts.num_nodes - facts.count(part, side)[row] - stranger.long()
        bar.update(len(mine))
    return better + 1, better + level + 1, rivals + 1


def distinct_questions(keys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distinct questions ``U`` among keys ``[Q]``.

    Returns:
        Question of each key ``[Q]``, keys in the order of their questions ``[Q]``, and where each question begins in
        that order ``[U + 1]``.
    """
    _, question, count = torch.unique(keys, return_inverse=True, return_counts=True)
    start = torch.cat([count.new_zeros(1), count.cumsum(0)])
    return question, question.argsort(stable=True), start


def count_better(scores: Tensor, row: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """How many scores ``[b, N]`` of its row are above each target ``[A]``, and how many at least as high."""
    again = row.diff(prepend=row.new_tensor([-1])) == 0  # [A], rows are sorted: where a question is asked once more
    above, least = torch.empty_like(row), torch.empty_like(row)
    for mine in (~again, again):
        places = mine.nonzero()[:, 0]
        for part in places.split(rows_in_cache(scores)):
            # rows asked for the first time are all rows, one after the other: no copy
            chosen = scores[row[part]] if mine is again else scores[row[part[0]] : row[part[-1]] + 1]  # [a, N]
            limit = target[part, None]  # [a, 1]
            above[part] = _true(torch.gt, chosen, limit)
            least[part] = _true(torch.ge, chosen, limit)
    return above, least


def _true(compare, scores: Tensor, limit: Tensor) -> Tensor:
    """How often a comparison holds in each row, ``[a]``."""
    if scores.shape[1] >= 2**24:  # beyond what float32 counts
        return compare(scores, limit).sum(1)
    # summing ones in float32 is many times faster than summing booleans
    return compare(scores, limit, out=torch.empty_like(scores, dtype=torch.float32)).sum(1).long()
