"""Filtered ranking on both sides, with ties stated."""

from __future__ import annotations

import torch
from torch import Tensor
from tqdm import tqdm

from mmkg.errors import NumericsError
from mmkg.graph import Facts
from mmkg.types import SIDES, Batch, Ranks, Side


def score_side(model: torch.nn.Module, batch: Batch, side: Side, candidates: Tensor | None = None) -> Tensor:
    """Scores of candidates at one side of each triple.

    Args:
        model: A scorer with ``score_tails`` and ``score_heads``.
        batch: ``B`` triples; the entity at ``side`` is not read.
        side: The side asked for.
        candidates: See :meth:`mmkg.scorers.Scorer.score_tails`; all entities if None.

    Returns:
        Scores, shape ``[B, N]`` or ``[B, K]``.
    """
    if side == "tail":
        return model.score_tails(batch.head, batch.relation, candidates)
    return model.score_heads(batch.relation, batch.tail, candidates)


@torch.no_grad()
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

    Args:
        model: A scorer with ``score_tails`` and ``score_heads``; put into evaluation mode for the time being.
        triples: Ids (h, r, t), shape ``[Q, 3]``, on the device of the model.
        facts: What is filtered out besides the true answer: all known triples, held-out ones included.
        sides: Which sides to ask for.
        memory_mb: Memory for the scores and masks of one block of questions, in MiB, > 0.
        progress: Whether to show a bar.

    Returns:
        Ranks of ``Q * len(sides)`` questions, side by side in the order of ``sides``.

    Raises:
        NumericsError: If a score is NaN or infinite, naming the first triple.
        ValueError: If there are no triples, or no sides.
    """
    if triples.dim() != 2 or triples.shape[1] != 3:
        raise ValueError(f"triples have shape {tuple(triples.shape)}, expected [Q, 3]")
    if not len(triples) or not sides:
        raise ValueError("nothing to rank: the split is empty")
    facts = facts.to(triples.device)
    block = max(1, int(memory_mb * 2**20 / (facts.num_nodes * 16)))  # float scores, two masks and their comparison
    was_training = model.training
    model.eval()
    parts = []
    bar = tqdm(total=len(triples) * len(sides), desc="ranking", unit="query", disable=not progress, leave=False)
    try:
        for side in sides:
            for start in range(0, len(triples), block):
                part = triples[start : start + block]
                parts.append(_rank_block(model, part, facts, side))
                bar.update(len(part))
    finally:
        bar.close()
        model.train(was_training)
    optimistic, pessimistic, candidates = (torch.cat(x) for x in zip(*parts, strict=True))  # [Q * sides]
    number = torch.arange(len(triples), device=triples.device)
    which = torch.tensor([SIDES.index(s) for s in sides], device=triples.device)
    return Ranks(optimistic, pessimistic, candidates, which.repeat_interleave(len(triples)), number.repeat(len(sides)))


def _rank_block(model: torch.nn.Module, triples: Tensor, facts: Facts, side: Side) -> tuple[Tensor, Tensor, Tensor]:
    batch = Batch(*triples.unbind(1))
    scores = score_side(model, batch, side).float()  # [b, N]
    bad = ~torch.isfinite(scores)
    if bad.any():
        row, entity = (int(x) for x in bad.nonzero()[0])
        raise NumericsError(
            f"score {float(scores[row, entity])} for triple {triples[row].tolist()} with {side} replaced by entity "
            f"{entity}: no rank can be given. Cure: lower the learning rate or look at the last checkpoint"
        )
    true = batch.answer(side)[:, None]  # [b, 1]
    target = scores.gather(1, true)  # [b, 1]
    known = facts.mask(batch, side)  # [b, N]
    rival = ~known.scatter(1, true, True)  # [b, N], whoever may stand before the true answer
    better = ((scores > target) & rival).sum(1)  # [b]
    level = ((scores == target) & rival).sum(1)  # [b]
    return better + 1, better + level + 1, rival.sum(1) + 1
