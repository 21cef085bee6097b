"""Triple classification: is (h, r, t) true? One threshold for each relation, chosen on validation."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from mmkg.errors import NumericsError
from mmkg.evaluation.scoring import asking
from mmkg.graph import Facts
from mmkg.types import SIDES, Batch

TRIPLES_AT_ONCE = 2**14


@dataclass
class Thresholds:
    """From which score on a triple counts as true.

    Args:
        relation: Threshold of each relation, shape ``[R]``; where validation has no triple of a relation, the overall
            one.
        overall: The one threshold that suits all validation triples best.
        fitted: Which relations have one of their own, shape ``[R]``.
    """

    relation: Tensor
    overall: float
    fitted: Tensor

    def classify(self, model: torch.nn.Module, triples: Tensor) -> Tensor:
        """Whether each triple ``[Q, 3]`` counts as true, ``[Q]``."""
        scores = score_triples(model, triples)
        return scores >= self.relation.to(scores.device)[triples[:, 1]]


def fit_thresholds(model: torch.nn.Module, positives: Tensor, negatives: Tensor, num_relations: int) -> Thresholds:
    """Thresholds of the best accuracy on validation triples, midway between two scores.

    Args:
        model: Gives scores ``[B]`` for ids of heads, relations and tails, ``[B]`` each.
        positives: True validation triples (h, r, t), shape ``[Q, 3]``.
        negatives: False ones, shape ``[Q', 3]``.
        num_relations: Number of relations ``R``.

    Raises:
        ValueError: If there are no positives or no negatives.
    """
    if not len(positives) or not len(negatives):
        raise ValueError(f"{len(positives)} positives and {len(negatives)} negatives: thresholds need both")
    scores = score_triples(model, torch.cat([positives, negatives])).double().cpu()
    truth = torch.arange(len(scores)) < len(positives)
    relation = torch.cat([positives, negatives])[:, 1].cpu()
    overall = _best_cut(scores, truth)
    found = torch.full((num_relations,), overall, dtype=torch.float64)
    fitted = torch.zeros(num_relations, dtype=torch.bool)
    for r in relation.unique().tolist():
        mine = relation == r
        if truth[mine].any() and not truth[mine].all():  # with one class alone any threshold beyond it is as good
            found[r], fitted[r] = _best_cut(scores[mine], truth[mine]), True
    return Thresholds(found, overall, fitted)


def _best_cut(scores: Tensor, truth: Tensor) -> float:
    """The threshold ``c`` for which ``score >= c`` agrees most often with the truth."""
    scores, order = scores.sort(descending=True)
    right = torch.where(truth[order], 1, -1).cumsum(0)  # [n], gain of calling the first i + 1 true
    right[:-1][scores[:-1] == scores[1:]] = -len(scores) - 1  # no cut between equals
    best = int(right.argmax())
    if right[best] <= 0:  # call nothing true
        return float(scores[0].nextafter(torch.tensor(torch.inf, dtype=scores.dtype)))
    below = scores[best + 1] if best + 1 < len(scores) else scores[best]
    middle = (scores[best] + below) / 2
    return float(middle if middle > below else scores[best])


def corrupt(triples: Tensor, facts: Facts, *, seed: int = 0) -> Tensor:
    """One false triple for each true one: head or tail, by a fair coin, replaced by an entity not known to be right.

    Args:
        triples: Ids (h, r, t), shape ``[Q, 3]``.
        facts: All known facts, held-out ones included; none of them is emitted, nor the triple itself.
        seed: Of the draws.

    Returns:
        Ids, shape ``[Q, 3]``. Where every entity is a known answer on the side chosen, the other side is corrupted.

    Raises:
        ValueError: If on neither side of a triple an entity is left.
    """
    device, random = triples.device, torch.Generator().manual_seed(seed)
    facts, batch = facts.to(device), Batch(*triples.unbind(1))
    coin = (torch.rand(len(triples), generator=random) < 0.5).to(device)  # [Q], True: the head
    draw = torch.rand(len(triples), generator=random, dtype=torch.float64).to(device)
    if not bool(facts.contains(*triples.unbind(1)).all()):
        raise ValueError("the facts miss some of the triples that are to be corrupted: give all known facts")
    left = {side: facts.num_nodes - facts.count(batch, side) for side in ("head", "tail")}  # [Q] each
    stuck = (left["head"] == 0) & (left["tail"] == 0)
    if stuck.any():
        raise ValueError(f"triple {triples[stuck][0].tolist()}: every entity is a known answer on both sides")
    coin = (coin & (left["head"] > 0)) | (left["tail"] == 0)
    result = triples.clone()
    for side, column, mine in zip(SIDES, (0, 2), (coin, ~coin), strict=True):
        order = (draw * left[side]).long().minimum(left[side] - 1).clamp(min=0)  # [Q]
        result[mine, column] = facts.unknown(batch, side, order[:, None])[:, 0][mine]
    return result


def triple_classification(
    model: torch.nn.Module, validation: Tensor, test: Tensor, facts: Facts, *, seed: int = 0
) -> tuple[dict[str, float], pd.DataFrame]:
    """Accuracy on test triples against as many false ones, with thresholds from validation alone.

    Args:
        model: See :func:`fit_thresholds`.
        validation: True triples (h, r, t) that thresholds are chosen on, shape ``[Q, 3]``.
        test: True triples to be judged, shape ``[Q', 3]``.
        facts: All known facts; they keep truths out of the false triples.
        seed: Of the false triples.

    Returns:
        ``accuracy``, ``precision``, ``recall``, ``f1``, ``triples`` (true and false ones) and
        ``relations_without_own_threshold``; and one row a relation of test: ``relation``, ``count``, ``accuracy``,
        ``threshold``, ``own_threshold``.

    Raises:
        ValueError: If a split is empty, or a triple cannot be corrupted, see :func:`corrupt`.
        NumericsError: If a score is NaN or infinite.
    """
    if not len(test):
        raise ValueError("nothing to classify: the test split is empty")
    negatives = [corrupt(x, facts, seed=seed + i) for i, x in enumerate((validation, test))]
    thresholds = fit_thresholds(model, validation, negatives[0], facts.num_relations)
    asked = torch.cat([test, negatives[1]])
    said = thresholds.classify(model, asked).cpu()
    truth = torch.arange(len(asked)) < len(test)
    relation = asked[:, 1].cpu()
    hit = int((said & truth).sum())
    precision, recall = hit / max(1, int(said.sum())), hit / len(test)
    table = pd.DataFrame({"relation": relation.numpy(), "right": (said == truth).numpy()})
    rows = table.groupby("relation", as_index=False).agg(count=("right", "size"), accuracy=("right", "mean"))
    used = rows.relation.to_numpy()
    rows["threshold"], rows["own_threshold"] = thresholds.relation.numpy()[used], thresholds.fitted.numpy()[used]
    return {
        "accuracy": float((said == truth).double().mean()),
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if hit else 0.0,
        "triples": len(asked),
        "relations_without_own_threshold": int((~rows.own_threshold).sum()),
    }, rows


def score_triples(model: torch.nn.Module, triples: Tensor) -> Tensor:
    """Finite scores ``[Q]`` of triples ``[Q, 3]``.

    Raises:
        NumericsError: If a score is NaN or infinite, naming the triple.
    """
    with asking(model):
        scores = torch.cat([model(*part.unbind(1)).float() for part in triples.split(TRIPLES_AT_ONCE)])
    bad = ~torch.isfinite(scores)
    if bad.any():
        raise NumericsError(
            f"score {float(scores[bad][0])} for triple {triples[bad][0].tolist()}. Cure: lower the learning rate or "
            "look at the last checkpoint"
        )
    return scores
