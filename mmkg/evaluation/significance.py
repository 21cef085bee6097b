"""How sure a number is: bootstrap intervals, and paired tests between two runs on the same triples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon

from mmkg.types import Ranks

SAMPLES_AT_ONCE = 64  # of the triples' numbers, so that memory does not grow with the number of samples


def bootstrap(
    ranks: Ranks,
    rule: str = "realistic",
    *,
    at: tuple[int, ...] = (1, 3, 10),
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Confidence intervals of metrics by the percentile bootstrap over triples.

    A triple's questions for head and tail are drawn together: they are not independent. The interval says how the
    metric would vary over other test triples of this kind, not over seeds of the training.

    Args:
        ranks: Ranks of ``T`` triples.
        rule: Tie rule.
        at: The ``k`` of Hits@k.
        samples: Bootstrap samples, at least 1.
        level: Share of samples inside the interval, in (0, 1).
        seed: Of the draws.

    Returns:
        One row a metric (``mrr``, ``mr``, ``hits@k``): ``value``, ``low``, ``high``.

    Raises:
        ValueError: If there are no ranks, no samples, or the level is no share.
    """
    if samples < 1 or not 0 < level < 1:
        raise ValueError(f"samples {samples}, level {level}: expected at least 1, and a share between 0 and 1")
    values, counts = _by_triple(ranks, rule, at)
    names, table = list(values), np.stack([*values.values(), counts])  # [M + 1, T]
    drawn = []
    for weight in _multinomials(table.shape[1], samples, seed):  # [s, T]
        sums = weight @ table.T  # [s, M + 1]
        drawn.append(sums[:, :-1] / sums[:, -1:])
    low, high = np.quantile(np.concatenate(drawn), [(1 - level) / 2, (1 + level) / 2], axis=0)  # [M], [M]
    total = table.sum(1)
    return pd.DataFrame(
        {"value": total[:-1] / total[-1], "low": low, "high": high}, index=pd.Index(names, name="metric")
    )


def paired_test(
    first: Ranks,
    second: Ranks,
    rule: str = "realistic",
    *,
    at: tuple[int, ...] = (1, 3, 10),
    samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    r"""Whether two models differ on the same triples.

    All three look at the differences of a triple's mean over its questions, and so take triples as independent:

    - the paired percentile bootstrap gives an interval of the difference;
    - the sign-flip permutation test gives ``p_permutation``: were the models alike, each triple's difference could as
      well have the other sign; :math:`p = (1 + |\{\text{flips at least as far from 0}\}|) / (1 + \text{samples})`;
    - Wilcoxon's signed-rank test (``scipy.stats.wilcoxon``, two-sided, equal triples left out) gives ``p_wilcoxon``; it
      asks whether differences are symmetric about zero and does not care how large the mean is.

    Args:
        first: Ranks of ``T`` triples by one model.
        second: Ranks of the same questions by another.
        rule: Tie rule.
        at: The ``k`` of Hits@k.
        samples: Bootstrap samples and sign flips, at least 1.
        level: Share of bootstrap samples inside the interval.
        seed: Of the draws.

    Returns:
        One row a metric: ``first``, ``second``, ``difference`` (second minus first), ``low``, ``high``,
        ``p_permutation``, ``p_wilcoxon`` (1 where no triple differs).

    Raises:
        ValueError: If the two are not ranks of the same questions.
    """
    for field in ("triple", "side", "candidates"):
        one, other = (getattr(x, field).cpu() for x in (first, second))
        if one.shape != other.shape or not bool((one == other).all()):
            raise ValueError(f"the two runs were not asked the same questions in the same order: {field} differs")
    if samples < 1 or not 0 < level < 1:
        raise ValueError(f"samples {samples}, level {level}: expected at least 1, and a share between 0 and 1")
    (ours, counts), (theirs, _) = (_by_triple(x, rule, at) for x in (first, second))
    names = list(ours)
    change = np.stack([theirs[name] - ours[name] for name in names])  # [M, T], sums over each triple's questions
    total = counts.sum()
    boot, flipped = [], []
    for weight in _multinomials(len(counts), samples, seed):  # [s, T]
        boot.append((weight @ change.T) / (weight @ counts)[:, None])  # [s, M]
    random = np.random.default_rng([seed, 1])
    for size in _sizes(samples):
        sign = random.integers(0, 2, (size, len(counts)), dtype=np.int8) * 2.0 - 1.0
        flipped.append(sign @ change.T / total)  # [s, M]
    low, high = np.quantile(np.concatenate(boot), [(1 - level) / 2, (1 + level) / 2], axis=0)
    found = change.sum(1) / total  # [M]
    further = np.abs(np.concatenate(flipped)) >= np.abs(found) - 1e-12  # [S, M]
    return pd.DataFrame(
        {
            "first": [ours[name].sum() / total for name in names],
            "second": [theirs[name].sum() / total for name in names],
            "difference": found,
            "low": low,
            "high": high,
            "p_permutation": (1 + further.sum(0)) / (1 + samples),
            "p_wilcoxon": [_wilcoxon(row / counts) for row in change],
        },
        index=pd.Index(names, name="metric"),
    )


def _by_triple(ranks: Ranks, rule: str, at: tuple[int, ...]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Sums of each metric over the questions of each triple ``[T]``, and how many these are ``[T]``."""
    if not len(ranks):
        raise ValueError("no ranks: nothing can be said of them")
    r = ranks.under(rule).cpu().numpy()  # [Q]
    _, place = np.unique(ranks.triple.cpu().numpy(), return_inverse=True)
    each = {"mrr": 1 / r, "mr": r} | {f"hits@{k}": (r <= k).astype(np.float64) for k in at}
    return {name: np.bincount(place, x) for name, x in each.items()}, np.bincount(place).astype(np.float64)


def _sizes(samples: int) -> Iterator[int]:
    for start in range(0, samples, SAMPLES_AT_ONCE):
        yield min(SAMPLES_AT_ONCE, samples - start)


def _multinomials(items: int, samples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each of ``T`` items is drawn in each sample with replacement, ``[s, T]`` at a time."""
    random = np.random.default_rng([seed, 0])
    for size in _sizes(samples):
        drawn = random.integers(0, items, (size, items)) + np.arange(size)[:, None] * items
        yield np.bincount(drawn.ravel(), minlength=size * items).reshape(size, items).astype(np.float64)


def _wilcoxon(difference: np.ndarray) -> float:
    # rounding (1/3 + 1/4 in another order) must not pass for a difference
    difference = np.where(np.abs(difference) < 1e-12, 0.0, difference)
    return float(wilcoxon(difference).pvalue) if difference.any() else 1.0
