"""Numbers from ranks: MRR, MR and Hits@k under each tie rule, against chance, as a whole and by any grouping."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
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
    r = _some(ranks).under(rule)  # [Q]
    chance = float((ranks.candidates.double() - 1).mean()) / 2
    result = {"mrr": float((1 / r).mean()), "mr": float(r.mean())}
    result |= {f"hits@{k}": float((r <= k).double().mean()) for k in at}
    result["amri"] = 1 - (result["mr"] - 1) / chance if chance > 0 else float("nan")
    return result


def all_metrics(ranks: Ranks, at: tuple[int, ...] = (1, 3, 10)) -> dict[str, dict[str, float]]:
    """:func:`metrics` under every tie rule, by the rule's name."""
    return {rule: metrics(ranks, rule, at) for rule in TIE_RULES}


def adjusted_metrics(ranks: Ranks, rule: str = "realistic", at: tuple[int, ...] = (1, 3, 10)) -> dict[str, float]:
    r"""Metrics that can be compared between graphs of different sizes, and other means of ranks.

    A scorer that knows nothing gives the true answer each of the ``n`` places among its candidates with equal
    probability. For a metric :math:`m`, a mean over questions, with expectation and variance under that law

    .. math:: \text{index} = \frac{m - E[m]}{m^* - E[m]}, \qquad z = \frac{m - E[m]}{\sqrt{\mathrm{Var}[m]}}

    where :math:`m^*` is the metric of perfect ranks (Hoyt et al., 2022, `A Unified Framework for Rank-based Evaluation
    Metrics for Link Prediction in Knowledge Graphs <https://arxiv.org/abs/2203.07544>`_; for the mean rank Berrendorf
    et al., 2020). Variances take the questions as independent.

    Args:
        ranks: ``Q`` ranks.
        rule: Tie rule.
        at: The ``k`` of Hits@k.

    Returns:
        ``amr``, the mean rank in units of chance's (0 to 2, small is good); the adjusted indices ``amri``, ``amrr`` (of
        the mean reciprocal rank) and ``ahits@k`` (1 is perfect, 0 is chance); ``z_mr``, ``z_mrr`` and ``z_hits@k``, all
        positive where better than chance; ``gmr``, the geometric, and ``hmr``, the harmonic mean rank. Where chance
        itself is perfect (one candidate each) an index is NaN.

    Raises:
        ValueError: If there are no ranks.
    """
    r, n = _some(ranks).under(rule).cpu().numpy(), ranks.candidates.cpu().numpy().astype(np.float64)  # [Q], [Q]
    one, squared = _harmonic(n, 1), _harmonic(n, 2)  # [Q], [Q]
    law = {"mr": (r, (n + 1) / 2, (n**2 - 1) / 12, 1.0), "mrr": (1 / r, one / n, squared / n - (one / n) ** 2, 1.0)}
    for k in at:
        share = np.minimum(k, n) / n
        law[f"hits@{k}"] = (r <= k, share, share * (1 - share), 1.0)
    result = {"amr": float(r.mean() / law["mr"][1].mean())}
    scores = {}
    for name, (value, expected, variance, best) in law.items():
        gain, room, spread = value.mean() - expected.mean(), best - expected.mean(), np.sqrt(variance.sum()) / len(r)
        key = {"mr": "amri", "mrr": "amrr"}.get(name, f"a{name}")
        result[key] = float(gain / room) if abs(room) > 1e-12 else float("nan")
        z = gain / spread if spread > 1e-12 else float("nan")
        scores[f"z_{name}"] = float(-z if name == "mr" else z)
    return result | scores | {"gmr": float(np.exp(np.log(r).mean())), "hmr": float(1 / (1 / r).mean())}


def breakdown(ranks: Ranks, groups: Mapping[str, Tensor | Sequence], rule: str = "realistic") -> pd.DataFrame:
    """Metrics by group.

    Args:
        ranks: ``Q`` ranks.
        groups: Label of each rank, ``[Q]`` each, by the name of the grouping; see :func:`groups_of`.
        rule: Tie rule.

    Returns:
        One row for each grouping and label: ``grouping, label, count, mrr, mr, hits@1, hits@3, hits@10, amri``. Labels
        that begin with a number come in the order of numbers.

    Raises:
        ValueError: If a grouping has not one label a rank.
    """
    rows = []
    for grouping, labels in groups.items():
        names = np.array([str(x) for x in (labels.tolist() if isinstance(labels, Tensor) else labels)])
        if len(names) != len(ranks):
            raise ValueError(f"grouping {grouping!r} has {len(names)} labels for {len(ranks)} ranks")
        for label in sorted(set(names.tolist()), key=_natural):
            part = ranks.select(torch.from_numpy(names == label).to(ranks.side.device))
            rows.append({"grouping": grouping, "label": label, "count": len(part)} | metrics(part, rule))
    return pd.DataFrame(rows)


def groups_of(
    ranks: Ranks,
    triples: Tensor,
    *,
    category: Sequence[str] | None = None,
    pattern: Sequence[str] | None = None,
    degree: Tensor | None = None,
    present: dict[str, Tensor] | None = None,
) -> dict[str, list[str]]:
    """Usual groupings of ranks: by side, relation category, pattern, and what the true answer is like.

    Args:
        ranks: Ranks of ``triples``.
        triples: Ids (h, r, t), shape ``[Q, 3]``.
        category: Category of each relation, ``R`` strings; see :func:`mmkg.graph.relation_categories`.
        pattern: Pattern of each relation, ``R`` strings.
        degree: Number of (train) triples that each entity is in, shape ``[N]``; answers are grouped by 0, 1, 2-3, 4-7
            and so on.
        present: For each modality whether each entity has it, shape ``[N]``.

    Returns:
        Labels of each rank, by grouping: ``side``, ``category``, ``category, side``, ``pattern``, ``answer degree`` and
        ``answer has <modality>``, as far as they were asked for.
    """
    side = ["tail" if s else "head" for s in ranks.side.tolist()]
    asked = triples.cpu()[ranks.triple.cpu()]  # [Q, 3]
    answer = torch.where(ranks.side.cpu() == 1, asked[:, 2], asked[:, 0])  # [Q]
    groups = {"side": side}
    if category is not None:
        groups["category"] = [category[r] for r in asked[:, 1].tolist()]
        groups["category, side"] = [f"{c}, {s}" for c, s in zip(groups["category"], side, strict=True)]
    if pattern is not None:
        groups["pattern"] = [pattern[r] for r in asked[:, 1].tolist()]
    if degree is not None:
        groups["answer degree"] = [_bin(d) for d in degree.cpu()[answer].tolist()]
    for modality, has in (present or {}).items():
        groups[f"answer has {modality}"] = ["yes" if x else "no" for x in has.cpu()[answer].tolist()]
    return groups


def _some(ranks: Ranks) -> Ranks:
    if not len(ranks):
        raise ValueError("no ranks: no metric can be given")
    return ranks


def _harmonic(n: np.ndarray, power: int) -> np.ndarray:
    r"""Generalised harmonic numbers :math:`\sum_{i=1}^{n} i^{-p}` of whole numbers ``[Q]``."""
    return np.cumsum(1.0 / np.arange(1, int(n.max()) + 1) ** power)[n.astype(np.int64) - 1]


def _bin(degree: int) -> str:
    if degree < 2:
        return str(degree)
    low = 1 << (degree.bit_length() - 1)
    return f"{low}-{2 * low - 1}"


def _natural(label: str) -> tuple[float, str]:
    number = re.match(r"\d+", label)
    return (float(number[0]) if number else float("inf"), label)
