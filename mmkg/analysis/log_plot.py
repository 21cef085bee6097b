"""Curves over logarithmic axes, ready to be drawn into a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 560, 330
LEFT, RIGHT, TOP, BOTTOM = 58, 26, 14, 46
MOST_POINTS = 240


@dataclass
class LogPlot:
    """Curves in the coordinates of a drawing of :data:`WIDTH` by :data:`HEIGHT`.

    Args:
        curves: By title, each as an SVG path.
        x_ticks: Places and labels along the horizontal axis.
        y_ticks: Places and labels along the vertical axis.
    """

    curves: dict[str, str]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]


def survival(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of all entities that have at least so many.

    Args:
        counts: A count for each entity, shape ``[N]``.

    Returns:
        The different counts above zero, ascending, and the shares, both ``[n]``.

    Example:
        >>> [v.tolist() for v in survival(np.array([0, 1, 1, 4]))]
        [[1, 4], [0.75, 0.25]]
    """
    value, number = np.unique(counts, return_counts=True)
    share = number[::-1].cumsum()[::-1] / max(len(counts), 1)
    return value[value > 0], share[value > 0]


def log_plot(series: Mapping[str, tuple[np.ndarray, np.ndarray]], shares: bool = False) -> LogPlot | None:
    """Lay curves out over logarithmic axes.

    Args:
        series: By title, values above zero of x and y, each ``[n]``.
        shares: Whether y is a share, to be written in per cent.

    Returns:
        The plot; None where there is no point to draw.
    """
    series = {title: (np.asarray(x, float), np.asarray(y, float)) for title, (x, y) in series.items() if len(x)}
    if not series:
        return None
    low, high = (_decades(np.concatenate([xy[axis] for xy in series.values()])) for axis in (0, 1))

    def place(value: np.ndarray, bounds: tuple[int, int], start: float, end: float) -> np.ndarray:
        return start + (np.log10(value) - bounds[0]) / (bounds[1] - bounds[0]) * (end - start)

    curves = {}
    for title, (x, y) in series.items():
        across = place(x, low, LEFT, WIDTH - RIGHT)
        up = place(y, high, HEIGHT - BOTTOM, TOP)
        # of points closer than a pixel one is enough; the first and the last stay
        keep = np.unique(np.concatenate([[0, len(x) - 1], _apart(across, (WIDTH - LEFT - RIGHT) / MOST_POINTS)]))
        curves[title] = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(across[keep], up[keep], strict=True))
        if len(keep) == 1:
            curves[title] += "h0"  # a lone point is drawn as a dot
    ticks = []
    axes = (low, LEFT, WIDTH - RIGHT, False), (high, HEIGHT - BOTTOM, TOP, shares)
    for bounds, start, end, share in axes:
        powers = range(bounds[0], bounds[1] + 1, max(1, (bounds[1] - bounds[0] + 5) // 6))
        ticks.append([(float(place(np.array(10.0**p), bounds, start, end)), _label(p, share)) for p in powers])
    return LogPlot(curves, *ticks)


def _decades(values: np.ndarray) -> tuple[int, int]:
    """Powers of ten that hold all values, at least one apart."""
    low, high = int(np.floor(np.log10(values.min()) + 1e-9)), int(np.ceil(np.log10(values.max()) - 1e-9))
    return (low, high) if high > low else (low, low + 1)


def _apart(across: np.ndarray, least: float) -> np.ndarray:
    """Positions of the first point in each stretch of the axis."""
    return np.unique((across / least).astype(np.int64), return_index=True)[1]


def _label(power: int, share: bool) -> str:
    power = power + 2 if share else power
    return (f"{10**power:,}" if power >= 0 else f"{10.0**power:.{-power}f}") + (" %" if share else "")
