"""A model on a split of a graph: ranks, metrics and groups, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import pandas as pd
import torch
from torch import Tensor

from mmkg.errors import DataError
from mmkg.evaluation.metrics import adjusted_metrics, all_metrics, breakdown, groups_of
from mmkg.evaluation.ranking import rank
from mmkg.graph import Facts, relation_categories
from mmkg.types import SIDES, Ranks, Side

FILTERS = {"train": ("train",), "val": ("train", "val"), "test": ("train", "val", "test")}
"""Splits whose facts are filtered out when a split is ranked: validation never looks at test."""


@dataclass
class Evaluation:
    """What came of an evaluation.

    Args:
        split: The split.
        ranks: Ranks of ``triples``.
        triples: Ids (h, r, t) of the triples that were ranked, shape ``[T, 3]``.
        unseen: How many triples of the split hold an entity or a relation that no train triple has. Nothing could be
            learned about them, and their ranks say how a model's initialisation happens to fall.
        excluded: How many of those were left out: all or none.
        groups: Labels of each rank by grouping; see :func:`mmkg.evaluation.groups_of`.
    """

    split: str
    ranks: Ranks
    triples: Tensor
    unseen: int
    excluded: int
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def breakdown(self, rule: str = "realistic") -> pd.DataFrame:
        """Metrics by group; see :func:`mmkg.evaluation.breakdown`."""
        return breakdown(self.ranks, self.groups, rule)

    def summary(self) -> dict:
        """Everything that JSON can hold: counts, metrics under every tie rule, against chance (realistic), by group."""
        return {
            "split": self.split,
            "triples": len(self.triples),
            "queries": len(self.ranks),
            "unseen_triples": self.unseen,
            "excluded_triples": self.excluded,
            "metrics": all_metrics(self.ranks),
            "adjusted": adjusted_metrics(self.ranks),
            "breakdown": self.breakdown().to_dict("records"),
        }


def evaluate(
    model: torch.nn.Module,
    data,
    split: str = "val",
    *,
    sides: tuple[Side, ...] = SIDES,
    exclude_unseen: bool = False,
    pattern: Sequence[str] | None = None,
    present: dict[str, Tensor] | None = None,
    memory_mb: float = 256.0,
    progress: bool = False,
) -> Evaluation:
    """Filtered ranking of a split, grouped by side, relation category, degree in train and what else is given.

    Args:
        model: A scorer, one of PyG's KGE models, or a control.
        data: Graph with ``edge_index``, ``edge_type``, ``train_mask``, ``val_mask``, ``test_mask``, ``num_nodes`` and
            ``num_relations``.
        split: "val" is filtered with train and validation facts (and true triples outside all splits), "test" with all,
            "train" with train facts.
        sides: Which sides to ask for.
        exclude_unseen: Whether to leave out triples with an entity or a relation that no train triple has. They are
            counted in any case.
        pattern: Pattern of each relation, ``R`` strings, for a grouping.
        present: For each modality whether each entity has it, shape ``[N]``, for groupings.
        memory_mb: Memory for the scores of one block of questions, in MiB.
        progress: Whether to show a bar.

    Returns:
        Ranks of the split's triples, and what they can be grouped by.

    Raises:
        DataError: If the split is unknown or has no triples, or none is left.
        NumericsError: If a score is NaN or infinite.
    """
    if split not in FILTERS:
        raise DataError(f"split {split!r}", cure=f"choose one of {', '.join(FILTERS)}")
    every = torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], dim=1)  # [E, 3]
    triples, train = every[data[f"{split}_mask"]], data.train_mask
    if not len(triples):
        raise DataError(f"the {split} split is empty: nothing to rank", cure="give one")
    new = unseen(triples, every[train], int(data.num_nodes), int(data.num_relations))  # [T]
    if exclude_unseen:
        triples = triples[~new]
        if not len(triples):
            raise DataError(f"each {split} triple holds something unseen in train", cure="keep them, or split anew")
    facts = Facts.from_data(data, FILTERS[split])
    device = next(chain(model.parameters(), model.buffers()), triples).device  # a control has no parameters
    ranks = rank(model, triples.to(device), facts, sides=sides, memory_mb=memory_mb, progress=progress)
    category = relation_categories(data.edge_index[:, train], data.edge_type[train], int(data.num_relations)).category
    degree = torch.bincount(data.edge_index[:, train].flatten(), minlength=int(data.num_nodes))  # [N]
    groups = groups_of(ranks, triples, category=category.tolist(), pattern=pattern, degree=degree, present=present)
    if not exclude_unseen and new.any():
        groups["triple"] = ["unseen" if x else "seen" for x in new[ranks.triple.cpu()].tolist()]
    return Evaluation(split, ranks, triples, int(new.sum()), int(new.sum()) if exclude_unseen else 0, groups)


def unseen(triples: Tensor, train: Tensor, num_nodes: int, num_relations: int) -> Tensor:
    """Whether each triple holds an entity or a relation that no train triple has.

    Args:
        triples: Ids (h, r, t), shape ``[T, 3]``.
        train: Ids of the train triples, shape ``[E, 3]``.
        num_nodes: Number of entities.
        num_relations: Number of relations.

    Returns:
        Boolean mask, shape ``[T]``.
    """
    entity = torch.zeros(num_nodes, dtype=torch.bool, device=train.device)
    relation = torch.zeros(num_relations, dtype=torch.bool, device=train.device)
    entity[train[:, [0, 2]].flatten()] = True
    relation[train[:, 1]] = True
    return ~(entity[triples[:, 0]] & relation[triples[:, 1]] & entity[triples[:, 2]])
