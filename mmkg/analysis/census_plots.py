"""Pictures of the tables that a census gives."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mmkg.errors import DataError

COLOURS = ("#c2410c", "#1d4ed8", "#15803d", "#7e22ce", "#0e7490", "#a16207", "#be185d", "#4d7c0f")
MODALITY_COLOURS = {"image": "#c2410c", "text": "#1d4ed8", "structure": "#15803d"}
LABELS = {
    "step": "training step",
    "above": "negatives that score above the answer",
    "gap": "score of negative − score of answer",
    "beats_uniform": "chance to outscore a uniform negative",
    "rate_at_least": "negatives that are held-out facts (at least)",
    "false_at_least": "negatives that are held-out facts (at least)",
    "total": "gradient on a question's negatives",
    "on_false_at_least": "share of the gradient on held-out facts (at least)",
    "vanished": "questions whose gradient has vanished",
    "entropy": "entropy (nats)",
    "effective": "effective number of negatives",
    "spearman": "rank correlation with degree",
    "ratio": "mean degree / that of uniform negatives",
    "since_last": "negatives drawn at the last probe too",
    "fall": "fall of probability without it",
}


def plot_course(
    table: pd.DataFrame, value: str, axis=None, *, line: str = "source", x: str = "step", log: bool = False
):
    """A value over time (or over another column), a line for each label.

    Args:
        table: Such as :func:`mmkg.analysis.hardness.drift` gives by step.
        value: Column to draw; where the table has ``low`` and ``high`` and the value is a rate, their band too.
        axis: Where to draw; a new figure if None.
        line: Column that tells lines apart.
        x: Column along the axis.
        log: Whether the value's axis is logarithmic.

    Returns:
        The matplotlib axis; ``axis.figure.savefig`` keeps it.
    """
    _check(table, value, line, x)
    axis = _axis(axis)
    band = value == "rate_at_least" and {"low", "high"} <= set(table)
    for number, (label, part) in enumerate(table.groupby(line, observed=True, sort=False)):
        part, colour = part.sort_values(x), COLOURS[number % len(COLOURS)]
        axis.plot(part[x], part[value], color=colour, label=str(label), linewidth=1.6, marker="o", markersize=2.5)
        if band:
            axis.fill_between(part[x], part.low, part.high, color=colour, alpha=0.12, linewidth=0)
    if log:
        axis.set_yscale("log")
    _words(axis, x, value)
    axis.legend(fontsize=8, frameon=False)
    return axis


def plot_rates(table: pd.DataFrame, axis=None, *, group: str = "category", bar: str = "source"):
    """Rates of false negatives with their Wilson intervals, by group, a bar for each label.

    Args:
        table: Such as :func:`mmkg.analysis.false_negatives` gives.
        axis: Where to draw; a new figure if None.
        group: Column along the axis.
        bar: Column that tells bars apart.

    Returns:
        The matplotlib axis.
    """
    _check(table, "rate_at_least", "low", "high", group, bar)
    axis = _axis(axis)
    groups, bars = list(dict.fromkeys(table[group].astype(str))), list(dict.fromkeys(table[bar].astype(str)))
    groups = sorted(groups)
    width = 0.8 / len(bars)
    for number, label in enumerate(bars):
        part = table[table[bar].astype(str) == label]
        place = np.array([groups.index(g) for g in part[group].astype(str)]) + (number - (len(bars) - 1) / 2) * width
        rate = part.rate_at_least.to_numpy()
        error = np.stack([rate - part.low, part.high - rate]).clip(min=0)
        colour = COLOURS[number % len(COLOURS)]
        axis.bar(place, rate, width * 0.92, color=colour, label=label, alpha=0.85)
        axis.errorbar(place, rate, error, fmt="none", ecolor="#333333", elinewidth=0.8, capsize=1.5)
    axis.set_xticks(range(len(groups)), groups)
    _words(axis, group, "rate_at_least")
    axis.legend(fontsize=8, frameon=False)
    return axis


def plot_frontier(tables: pd.DataFrame | Mapping[str, pd.DataFrame], axis=None, *, hardness: str = "above"):
    """Hardness against falseness, a point for each temperature.

    Args:
        tables: A frontier, or several by label; see :func:`mmkg.analysis.frontier`.
        axis: Where to draw; a new figure if None.
        hardness: Column along the axis.

    Returns:
        The matplotlib axis.
    """
    tables = {"": tables} if isinstance(tables, pd.DataFrame) else tables
    axis, splits = _axis(axis), []
    for number, (label, table) in enumerate(tables.items()):
        _check(table, hardness, "false_at_least", "epsilon")
        part, colour = table.sort_values("epsilon"), COLOURS[number % len(COLOURS)]
        axis.plot(part[hardness], part.false_at_least, color=colour, marker="o", markersize=4, label=str(label))
        points = part[[hardness, "false_at_least"]].to_numpy()
        apart = np.ptp(points, axis=0).clip(min=1e-12) * 0.04  # nearer than this, labels would lie on one another
        labelled = np.full(2, np.inf)
        for epsilon, point in zip(part.epsilon, points, strict=True):
            if (np.abs(point - labelled) > apart).any():
                axis.annotate(f"ε {epsilon:g}", point, xytext=(4, -3), textcoords="offset points", fontsize=7)
                labelled = point
        splits += table.attrs.get("splits", [])
    _words(axis, hardness, "false_at_least")
    if splits:
        axis.set_title(f"held-out facts of {' and '.join(dict.fromkeys(splits))}", fontsize=8, color="#555555")
    if set(tables) != {""}:
        axis.legend(fontsize=8, frameon=False)
    return axis


def plot_attribution(table: pd.DataFrame, axis=None, *, value: str = "fall", x: str = "step"):
    """How much each modality makes of the negatives' probability, over time.

    Args:
        table: Such as :func:`mmkg.analysis.attribution` gives.
        axis: Where to draw; a new figure if None.
        value: ``"fall"``, ``"fall_median"`` or ``"decisive"``.
        x: Column along the axis.

    Returns:
        The matplotlib axis.
    """
    _check(table, value, "modality", x)
    axis = _axis(axis)
    for modality, part in table.groupby("modality", sort=False):
        part = part.sort_values(x)
        axis.plot(part[x], part[value], color=MODALITY_COLOURS[modality], label=modality, marker="o", markersize=2.5)
    axis.axhline(0, color="#999999", linewidth=0.6)
    _words(axis, x, value)
    axis.legend(fontsize=8, frameon=False)
    return axis


def _axis(axis):
    if axis is not None:
        return axis
    from matplotlib.figure import Figure  # not pyplot: nothing global, no window

    return Figure(figsize=(6, 4), layout="constrained").subplots()


def _check(table: pd.DataFrame, *columns: str) -> None:
    """Raise DataError where there is nothing to draw."""
    if missing := [c for c in columns if c not in table]:
        raise DataError(f"the table has no column {missing[0]!r}", cure="make it with the function that the plot names")
    if not len(table):
        raise DataError("the table is empty: nothing to draw", cure="look at another census")


def _words(axis, x: str, y: str) -> None:
    axis.set_xlabel(LABELS.get(x, x), fontsize=9)
    axis.set_ylabel(LABELS.get(y, y), fontsize=9)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", color="#e5e5e5", linewidth=0.6)
    axis.set_axisbelow(True)
