"""A run's losses and validation as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmkg.errors import DataError
from mmkg.files import written_whole
from mmkg.run import folder as names
from mmkg.run.journal import read_metrics

TOTAL, BEST = "#111111", "#c2410c"
PARTS = ("#1d4ed8", "#15803d", "#a16207", "#7e22ce", "#0e7490")
FAR = 30.0  # from so many times the smallest on, losses are drawn on a logarithmic axis


def draw_curves(folder: str | Path) -> Path:
    """Draw the losses over the steps, and under them the validation MRR with the best step marked, if there was any.

    Args:
        folder: Folder of a run, which may still be trained.

    Returns:
        The path of the PNG, in that folder.

    Raises:
        DataError: If the folder's ``metrics.json`` is missing, damaged, or without a single loss.
    """
    folder = Path(folder)
    metrics = read_metrics(folder / names.METRICS)
    if not metrics["losses"]:
        raise DataError("no losses to draw", file=folder / names.METRICS, cure="train for a step at least")
    # not by pyplot, which would keep the figure and might open windows
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    validated = bool(metrics["validation"])
    figure = Figure(figsize=(8, 6 if validated else 3.6), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.subplots(2 if validated else 1, 1, sharex=True, squeeze=False)[:, 0]
    _draw_losses(axes[0], metrics["losses"])
    if validated:
        _draw_validation(axes[1], metrics["validation"], metrics["best_step"])
    for axis in axes:
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=10)
    axes[-1].set_xlabel("step", fontsize=11)
    axes[-1].set_xlim(0, None)
    axes[0].set_title(f"step {metrics['step']} of {metrics['steps']}")
    figure.subplots_adjust(left=0.11, right=0.97, top=0.94 if validated else 0.9, bottom=0.09 if validated else 0.15)
    path = folder / names.CURVES
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", facecolor="white")
    return path


def _draw_losses(axis, losses: list[dict[str, Any]]) -> None:
    """The loss, and its parts if there are several, as means since the report before."""
    columns = list(dict.fromkeys(name for entry in losses for name in entry if name != "step"))
    if len(columns) == 2:  # the loss and what is all of it
        columns = ["loss"]
    drawn = []
    for number, name in enumerate(columns):
        points = [(entry["step"], entry[name]) for entry in losses if entry.get(name) is not None]
        x, y = zip(*points, strict=True) if points else ((), ())
        drawn += y
        colour = TOTAL if name == "loss" else PARTS[(number - 1) % len(PARTS)]
        mark = "o" if len(points) == 1 else ""  # a line of one point is not seen
        axis.plot(x, y, mark + "-", color=colour, linewidth=2 if name == "loss" else 1.2, label=_label(name))
    if min(drawn, default=0) > 0 and max(drawn) > FAR * min(drawn):
        axis.set_yscale("log")
    axis.set_ylabel("mean loss", fontsize=11)


def _draw_validation(axis, validation: list[dict[str, Any]], best_step: int) -> None:
    """The MRR of each validation, and which of them was best."""
    steps, mrr = [entry["step"] for entry in validation], [entry["mrr"] for entry in validation]
    axis.plot(steps, mrr, "o-", color=PARTS[0], linewidth=2, markersize=4, label="validation MRR")
    best = dict(zip(steps, mrr, strict=True))[best_step]
    axis.plot([best_step], [best], "o", color=BEST, markersize=9, label=f"best: {best:.4f} at step {best_step}")
    axis.set_ylabel("filtered MRR on validation", fontsize=11)
    axis.set_ylim(0, None)


def _label(name: str) -> str:
    return "loss" if name == "loss" else f"part: {name}"
