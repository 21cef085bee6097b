"""How many negatives are in truth facts that were held out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import norm

from mmkg.analysis.questions import checked, grouping

NOTE = "lower bound: a negative that is true and stands in no split counts as false here"


def wilson(successes, trials, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    r"""Wilson's interval of a share (E. B. Wilson, JASA 1927), good also for few trials and for shares near 0.

    .. math:: \frac{p + z^2 / 2n \pm z \sqrt{p (1 - p) / n + z^2 / 4n^2}}{1 + z^2 / n}, \qquad p = \frac{k}{n}

    Args:
        successes: ``k`` of each share, shape ``[m]``.
        trials: ``n`` of each share, shape ``[m]``.
        level: Confidence, between 0 and 1.

    Returns:
        Lower and upper ends ``[m]``; NaN where there are no trials.

    Raises:
        ValueError: If the level is not between 0 and 1.

    Example:
        >>> [round(float(x), 4) for x in wilson(1, 10)]
        [0.0179, 0.4042]
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}, must be between 0 and 1")
    k, n, z = np.asarray(successes, float), np.asarray(trials, float), norm.ppf(0.5 + level / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = k / n
        middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        low, high = (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)
    # at the ends rounding must not leave [0, 1], nor the share itself outside
    return np.where(k == 0, 0.0, np.maximum(low, 0.0)), np.where(k == n, 1.0, np.minimum(high, 1.0))


def false_negatives(census: pd.DataFrame, by: str | Sequence[str] = (), level: float = 0.95) -> pd.DataFrame:
    """Share of negatives that are held-out facts: **a lower bound** of what is false, as many truths stand in no split.

    Args:
        census: A table of :func:`mmkg.analysis.read_census`.
        by: Columns to group by beside the source: ``"step"`` for a course over time, ``"category"``, ``"pattern"``,
            ``"side"``, ``"r"``; with ``"patterns"`` a row counts under each pattern of its relation.
        level: Of the intervals. They take draws as independent; those of one question, and of one question at several
            steps, are not, so the truth is less sure than they say.

    Returns:
        One row a group: ``source``, the columns asked for, ``negatives``, ``false``, ``rate_at_least``, ``low`` and
        ``high`` (Wilson). ``attrs["note"]`` says what the bound means.

    Raises:
        DataError: If the census is empty or lacks a column.
    """
    rows, columns = grouping(checked(census, "held_out"), by)
    found = rows.groupby(columns, observed=True, sort=True).held_out.agg(negatives="size", false="sum").reset_index()
    low, high = wilson(found.false, found.negatives, level)
    found = found.assign(rate_at_least=found.false / found.negatives, low=low, high=high)
    found.attrs["note"] = NOTE
    return found
