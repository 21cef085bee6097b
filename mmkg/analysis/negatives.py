"""Which negatives are hard, and through which modality, as a table."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from mmkg.errors import DataError
from mmkg.evaluation import score_side
from mmkg.graph import Facts
from mmkg.samplers import MMRNS
from mmkg.types import SIDES, Batch, Side


@torch.no_grad()
def hard_negatives(
    sampler: MMRNS,
    model: torch.nn.Module,
    triples: Tensor,
    train_facts: Facts,
    all_facts: Facts,
    *,
    sides: tuple[Side, ...] = SIDES,
    k: int = 5,
    step: int = 0,
    batch_size: int = 64,
) -> pd.DataFrame:
    """The negatives that MMRNS finds most probable for some triples, among all entities.

    Args:
        sampler: A trained MMRNS sampler.
        model: The scorer that it was trained with.
        triples: Ids (h, r, t), shape ``[Q, 3]``.
        train_facts: What the sampler may know.
        all_facts: All known facts; they serve to flag a negative that is in truth an answer, and nothing else.
        sides: Which sides to replace.
        k: Negatives a question.
        step: Training step for the temperature of the probabilities.
        batch_size: Triples looked at together.

    Returns:
        One row a negative: ``head, relation, tail, side`` (ids), ``place`` (1 = most probable), ``negative`` (id),
        ``probability``, ``score``, ``positive_score``, ``image``, ``text``, ``structure`` (cosine similarities to the
        true answer, NaN where one of the two lacks the modality), ``held_out`` (True where the "negative" is a
        held-out fact: a lower bound of what is false about it).

    Raises:
        DataError: If there are no triples, or k is out of range.
    """
    if not 1 <= k <= sampler.num_entities:
        raise DataError(f"{k} negatives a question", cure=f"ask for 1 to {sampler.num_entities}")
    if not len(triples) or not sides:
        raise DataError("no triples to look at", cure="give some; the split may be empty")
    device = next(model.parameters()).device
    train_facts, all_facts = train_facts.to(device), all_facts.to(device)
    parts = []
    for part in triples.to(device).split(batch_size):
        batch = Batch(*part.unbind(1))
        for side in sides:
            found = sampler.explain(batch, side, model, train_facts, step=step, k=k)
            positive = model.score_triples(batch.head, batch.relation, batch.tail, side)  # [b]
            scores = score_side(model, batch, side, found.ids)  # [b, k]
            rows, places = (found.probability > 0).nonzero().unbind(1)  # [n]; known answers have probability 0
            columns = {
                "head": batch.head[rows],
                "relation": batch.relation[rows],
                "tail": batch.tail[rows],
                "place": places + 1,
                "negative": found.ids[rows, places],
                "probability": found.probability[rows, places],
                "score": scores[rows, places],
                "positive_score": positive[rows],
                "image": found.image[rows, places],
                "text": found.text[rows, places],
                "structure": found.structure[rows, places],
                "held_out": all_facts.mask(batch, side, found.ids)[rows, places],
            }
            table = pd.DataFrame({name: value.cpu().numpy() for name, value in columns.items()})
            table.insert(3, "side", side)
            parts.append(table)
    return pd.concat(parts, ignore_index=True)


def named(table: pd.DataFrame, entity_labels: list[str], relation_names: list[str]) -> pd.DataFrame:
    """The same table with names instead of ids.

    Args:
        table: Hard negatives by id.
        entity_labels: Names of entities, ``N`` strings.
        relation_names: Names of relations, ``R`` strings.

    Returns:
        Its rows, with names in ``head``, ``relation``, ``tail`` and ``negative``.
    """
    entities, relations = pd.Series(entity_labels), pd.Series(relation_names)
    result = table.copy()
    for column in ("head", "tail", "negative"):
        result[column] = entities[table[column]].to_numpy()
    result["relation"] = relations[table["relation"]].to_numpy()
    return result


def told(table: pd.DataFrame, entity_labels: list[str], relation_names: list[str]) -> list[dict[str, str]]:
    """The table as rows of words for a person: each question once, then its negatives in order.

    Args:
        table: Hard negatives by id.
        entity_labels: Names of entities, ``N`` strings.
        relation_names: Names of relations, ``R`` strings.

    Returns:
        A row a negative; question and answer stand in the first of each question.
    """
    rows = []
    for _, r in named(table, entity_labels, relation_names).iterrows():
        asked = f"{r['head']}, {r['relation']}, ?" if r["side"] == "tail" else f"?, {r['relation']}, {r['tail']}"
        first = r["place"] == 1
        rows.append(
            {
                "question": asked if first else "",
                "answer": r[r["side"]] if first else "",
                "hard negative": r["negative"] + (" (a held-out fact)" if r["held_out"] else ""),
                "p": f"{r['probability']:.4f}",
            }
            | {m: "" if pd.isna(r[m]) else f"{r[m]:+.2f}" for m in ("image", "text", "structure")}
        )
    return rows


def spread(triples: Tensor, number: int, pictured: Tensor | None = None) -> Tensor:
    """Some triples from all over a split, ``[number, 3]`` at most.

    Args:
        triples: Ids (h, r, t), shape ``[Q, 3]``.
        number: How many, at least 1.
        pictured: Which entities have a picture, shape ``[N]``; of triples whose two entities do, if there are any.
    """
    if pictured is not None:
        both = pictured[triples[:, 0]] & pictured[triples[:, 2]]
        triples = triples[both] if both.any() else triples
    count = min(number, len(triples))
    return triples[torch.arange(count) * len(triples) // max(count, 1)]
