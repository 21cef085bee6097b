"""Best answers to some questions of validation, as a table that a person can read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from mmkg.errors import DataError
from mmkg.evaluation import Prediction, rank, top_k_each
from mmkg.files import atomic_write
from mmkg.graph import Facts
from mmkg.types import SIDES, Side

QUESTIONS, ANSWERS = 50, 10


def write_predictions(
    path: Path,
    model: torch.nn.Module,
    data,
    facts: Facts,
    *,
    questions: int = QUESTIONS,
    k: int = ANSWERS,
    memory_mb: float = 256.0,
) -> None:
    """Write a row a question: what is asked, the true answer, its filtered rank, and the best candidates in order.

    Questions are spread evenly over the validation split, tails and heads in turn. A candidate that is a known fact is
    marked "[known]", the true answer "[true]"; the rank leaves out known facts, the candidates do not.

    Args:
        path: File to write, tab-separated, whole or not at all.
        model: What is asked, on any device.
        data: Graph with names and ``val_mask``.
        facts: What is known: of train and validation, never of test.
        questions: How many.
        k: Candidates a question.
        memory_mb: Memory for the scores of one block of questions, in MiB.

    Raises:
        DataError: If there is no validation split to ask about.
    """
    triples = torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], dim=1)[data.val_mask]  # [V, 3]
    if not len(triples):
        raise DataError("the validation split is empty", cure="leave the predictions out")
    chosen = torch.linspace(0, len(triples) - 1, min(questions, len(triples))).round().long()  # [Q]
    triples = triples[chosen].to(next(model.parameters()).device)  # [Q, 3]
    rows: dict[int, list[str]] = {}
    for start, side in enumerate(reversed(SIDES)):  # the first asks for its tail
        mine = triples[start :: len(SIDES)]  # [Q'], every other question
        if len(mine):
            found = _rows(model, mine, side, data, facts, k, memory_mb)
            rows |= {start + len(SIDES) * number: row for number, row in enumerate(found)}
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(["question", "true answer", "rank", *range(1, k + 1)])
    writer.writerows(rows[number] for number in sorted(rows))
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())


def _rows(
    model: torch.nn.Module, triples: Tensor, side: Side, data, facts: Facts, k: int, memory_mb: float
) -> Iterator[list[str]]:
    """A row for each triple ``[Q, 3]``, all asked for one side."""
    head, relation, tail = triples.unbind(1)  # [Q] each
    given, answers = (head, tail) if side == "tail" else (tail, head)
    ranks = rank(model, triples, facts, sides=(side,), memory_mb=memory_mb).realistic  # [Q]
    found = top_k_each(model, given, relation, side, k, facts, include_known=True, memory_mb=memory_mb)
    for h, r, t, answer, place, best in zip(
        *(x.tolist() for x in (head, relation, tail, answers, ranks)), found, strict=True
    ):
        labels, name = data.entity_labels, data.relation_names[r]
        question = f"{labels[h]}, {name}, ?" if side == "tail" else f"?, {name}, {labels[t]}"
        yield [question, labels[answer], f"{place:.1f}".removesuffix(".0"), *_candidates(best, answer, labels)]


def _candidates(best: Prediction, answer: int, labels: list[str]) -> Iterator[str]:
    for candidate, known in zip(best.ids.tolist(), best.known.tolist(), strict=True):
        mark = " [true]" if candidate == answer else " [known]" if known else ""
        yield labels[candidate] + mark
