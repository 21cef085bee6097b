"""Scores of all candidates, block by block in bounded memory, and never a number that is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.nn.kge import KGEModel

from mmkg.errors import NumericsError
from mmkg.evaluation.pyg import adapted
from mmkg.evaluation.twins import twins
from mmkg.memory import ran_out, tell
from mmkg.scorers import Scorer
from mmkg.types import Batch, Side

CACHE_BYTES = 2**19
GPU_BYTES = 2**26  # fills a GPU, and is little beside the scores themselves


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


@contextmanager
def asking(model: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """The model in evaluation mode and without gradients, as it can be asked for all candidates; its mode is restored.

    PyG's own KGE models are adapted; see :func:`mmkg.evaluation.pyg.adapted`.
    """
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            foreign = isinstance(model, KGEModel) and not hasattr(model, "score_tails")
            yield adapted(model) if foreign else model
    finally:
        model.train(was_training)


@dataclass
class Candidates:
    """All entities of a scorer, looked up once for all that is asked of it.

    Args:
        table: Embeddings, shape ``[N, d]``.
        copies: Entities that repeat another, shape ``[D]``; see :func:`mmkg.evaluation.twins.twins`.
        firsts: Those that they repeat, shape ``[D]``.
    """

    table: Tensor
    copies: Tensor
    firsts: Tensor


def all_candidates(model: torch.nn.Module, num_nodes: int) -> Candidates | None:
    """All ``N`` entities of a scorer of ours; None for another model, which is only asked for scores.

    Raises:
        ValueError: If the model is of another number of entities.
    """
    if not isinstance(model, Scorer):
        return None
    table = model.entity_table()  # [N, d]
    if len(table) != num_nodes:
        raise ValueError(f"the model is of {len(table)} entities, the facts are of {num_nodes}")
    return Candidates(table, *twins(table))


def blocks_of_scores(
    model: torch.nn.Module, batch: Batch, side: Side, candidates: Candidates | None, num_nodes: int, memory_mb: float
) -> Iterator[tuple[slice, Tensor]]:
    """Scores of all entities for the questions of a batch, some rows at a time.

    Args:
        model: See :func:`score_side`.
        batch: ``B`` questions; the entity at ``side`` is not read.
        side: The side asked for.
        candidates: What :func:`all_candidates` gave for this model.
        num_nodes: Number of entities ``N``.
        memory_mb: Memory for the scores of one block, in MiB, > 0. Where memory runs out all the same, blocks of half
            the size are made from there on, and a warning says so.

    Yields:
        Rows of the batch, and their finite scores ``[b, N]`` in float32 or float64, free to be overwritten and good
        until the next block.

    Raises:
        NumericsError: If a score is NaN or infinite, naming the question and the candidate.
        OutOfMemory: If there is no memory for a single question.
        ValueError: If the model scores another number of entities.
    """
    if not memory_mb > 0:
        raise ValueError(f"memory_mb is {memory_mb}, must be above 0")
    if not len(batch):
        return
    table = None if candidates is None else candidates.table
    into = table is not None
    rows = max(1, min(_most_rows(batch.head.device), int(memory_mb * 2**20 / (num_nodes * _bytes_of_score(table)))))
    rows = -(-len(batch) // -(-len(batch) // rows))  # blocks of nearly equal size
    memory, start = None, 0  # one for all blocks: fresh memory would cost a fifth of a matrix product
    while start < len(batch):
        where = slice(start, min(start + rows, len(batch)))
        part = Batch(batch.head[where], batch.relation[where], batch.tail[where])
        try:
            if candidates is not None:
                if into and memory is None:  # the first block is of the largest
                    memory = table.new_empty(len(part), len(table))
                out = memory[: len(part)] if into else None  # [b, N]
                scores = model.score_table(part.anchor(side), part.relation, side, table, out)  # [b, N]
                if candidates.copies.numel():
                    scores[:, candidates.copies] = scores[:, candidates.firsts]  # [b, D], to the bit
            else:
                scores = score_side(model, part, side)  # [b, N]
            told = None
        except (MemoryError, RuntimeError) as error:
            if not ran_out(error):
                raise
            told = str(error)
        if told is not None:
            smaller, memory, scores = -(-rows // 2), None, None
            tell("evaluation", told, None if rows == 1 else f"{smaller} questions at once")
            rows = smaller
            continue
        if scores.shape != (len(part), num_nodes):
            found = tuple(scores.shape)
            raise ValueError(f"the model gives scores of shape {found}, expected {(len(part), num_nodes)}")
        scores = scores if scores.dtype == torch.float64 else scores.float()
        _check_finite(scores, part, side)
        if into and scores.data_ptr() != memory.data_ptr():  # then this block lives on while the next is made
            into, memory, rows = False, None, -(-rows // 2)
        # scorers of ours make their scores anew; another model's may be its own table, or one row shown many times
        yield where, scores.clone(memory_format=torch.contiguous_format) if candidates is None else scores
        start = where.stop


def most_memory(candidates: Candidates | None, questions: int, num_nodes: int, device: torch.device) -> float:
    """MiB beyond which :func:`blocks_of_scores` makes no use of more memory for so many questions."""
    each = _bytes_of_score(None if candidates is None else candidates.table)
    return min(questions, _most_rows(device)) * num_nodes * each / 2**20


def _bytes_of_score(table: Tensor | None) -> int:
    """What is kept of a score: 4 bytes in memory that is written again, twice that where each block is made anew."""
    return 8 if table is None else table.element_size() if table.dtype == torch.float64 else 4


def _most_rows(device: torch.device) -> int:
    # on a CPU more rows make the product no faster and push the scores out of its cache
    return 512 if device.type == "cpu" else 4096


def rows_in_cache(scores: Tensor) -> int:
    """How many rows of scores ``[b, N]`` to go over at once.

    On a CPU they stay in a core's cache between two passes, on a GPU what is made of them stays small.
    """
    limit = CACHE_BYTES if scores.device.type == "cpu" else GPU_BYTES
    return max(1, limit // (scores.shape[1] * scores.element_size()))


def _check_finite(scores: Tensor, batch: Batch, side: Side) -> None:
    # sums are cheap, and none is finite over a score that is not
    if all(bool(torch.isfinite(part.sum())) for part in scores.split(rows_in_cache(scores))):
        return
    bad = (~torch.isfinite(scores)).nonzero()
    if len(bad):  # else large scores, whose sum overflows
        row, entity = (int(x) for x in bad[0])
        triple = [int(x[row]) for x in (batch.head, batch.relation, batch.tail)]
        raise NumericsError(
            f"score {float(scores[row, entity])} for triple {triple} with {side} replaced by entity {entity}: with NaN "
            "or infinity no rank can be given. Cure: lower the learning rate or look at the last checkpoint"
        )
