"""Numbers from ranks: MRR, MR and Hits@k under each tie rule, as a whole and by any grouping."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from mmkg.types import Ranks

TIE_RULES = ("realistic", "optimistic", "pessimistic")


def metrics(ranks: Ranks, rule: str = "realistic", at: tuple[int, ...] = (1, 3, 10)) -> dict[str, float]:
    r"""Mean reciprocal rank, mean rank and Hits@k.

    Args:
        ranks: ``Q`` ranks.
        rule: Tie rule.
        at: The ``k`` of Hits@k.

    Returns:
        ``mrr``, ``mr``, ``hits@k`` for each k, and ``amri``, the mean rank adjusted for chance
        :math:`1 - (\overline{r} - 1) / (\overline{(n + 1) / 2} - 1)`: 1 is perfect, 0 is chance.

    Raises:
        ValueError: If there are no ranks.
    """
    if not len(ranks):
        raise ValueError("no ranks: no metric can be given")
    r = ranks.under(rule)  # [Q]
    chance = float((ranks.candidates.double() - 1).mean()) / 2
    result = {"mrr": float((1 / r).mean()), "mr": float(r.mean())}
    result |= {f"hits@{k}": float((r <= k).double().mean()) for k in at}
    result["amri"] = 1 - (result["mr"] - 1) / chance if chance > 0 else float("nan")
    return result


def all_metrics(ranks: Ranks, at: tuple[int, ...] = (1, 3, 10)) -> dict[str, dict[str, float]]:
    """:func:`metrics` under every tie rule, by the rule's name."""
    return {rule: metrics(ranks, rule, at) for rule in TIE_RULES}


def breakdown(ranks: Ranks, groups: dict[str, Tensor | list], rule: str = "realistic") -> pd.DataFrame:
    """Metrics by group.

    Args:
        ranks: ``Q`` ranks.
        groups: Label of each rank, ``[Q]`` each, by the name of the grouping; see :func:`groups_of`.
        rule: Tie rule.

    Returns:
        One row for each grouping and label: ``grouping, label, count, mrr, mr, hits@1, hits@3, hits@10, amri``.
    """
    rows = []
    for grouping, labels in groups.items():
        names = [str(x) for x in (labels.tolist() if isinstance(labels, Tensor) else labels)]
        if len(names) != len(ranks):
            raise ValueError(f"grouping {grouping!r} has {len(names)} labels for {len(ranks)} ranks")
        for label in sorted(set(names)):
            keep = torch.tensor([n == label for n in names], device=ranks.side.device)
            part = Ranks(
                *(getattr(ranks, f)[keep] for f in ("optimistic", "pessimistic", "candidates", "side", "triple"))
            )
            rows.append({"grouping": grouping, "label": label, "count": len(part)} | metrics(part, rule))
    return pd.DataFrame(rows)


def groups_of(
    ranks: Ranks,
    triples: Tensor,
    *,
    category: list[str] | None = None,
    present: dict[str, Tensor] | None = None,
) -> dict[str, list[str]]:
    """Usual groupings of ranks: by side, relation category and presence of each modality at the true answer.

    Args:
        ranks: Ranks of ``triples``.
        triples: Ids (h, r, t), shape ``[Q, 3]``.
        category: Category of each relation, ``R`` strings; see :func:`mmkg.graph.relation_categories`.
        present: For each modality whether each entity has it, shape ``[N]``.
    """
    side = ranks.side.cpu()
    asked = triples.cpu()[ranks.triple.cpu()]  # [Q, 3]
    answer = torch.where(side == 1, asked[:, 2], asked[:, 0])  # [Q]
    groups = {"side": ["tail" if s else "head" for s in side.tolist()]}
    if category is not None:
        groups["category"] = [category[r] for r in asked[:, 1].tolist()]
    for modality, has in (present or {}).items():
        groups[f"answer has {modality}"] = ["yes" if x else "no" for x in has.cpu()[answer].tolist()]
    return groups
