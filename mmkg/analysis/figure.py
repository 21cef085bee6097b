"""A picture of hard negatives: each question's true answer beside the negatives that look like it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from mmkg.errors import DataError

BARS = ("image", "text", "structure")
COLOURS = {"image": "#c2410c", "text": "#1d4ed8", "structure": "#15803d"}


def draw_negatives(
    table: pd.DataFrame,
    labels: list[str],
    relation_names: list[str],
    picture: Callable[[int], Path | None],
    path: str | Path,
    *,
    title: str = "",
    caption: str = "",
    dpi: int = 110,
) -> Path:
    """Draw the table of :func:`mmkg.analysis.hard_negatives`, a question a row: the true answer, then its negatives.

    Args:
        table: Hard negatives by id.
        labels: Names of entities, ``N`` strings.
        relation_names: Names of relations, ``R`` strings.
        picture: Gives the file of an entity's picture, or None.
        path: PNG or SVG file to write.
        title: Above all.
        caption: Beneath all, such as the pictures' attribution.
        dpi: Dots an inch of a PNG.

    Returns:
        The path.

    Raises:
        DataError: If the table is empty.
    """
    from matplotlib.figure import Figure  # not pyplot: nothing global, no window
    from matplotlib.patches import Rectangle

    if table.empty:
        raise DataError("the table is empty: no negatives to draw", cure="ask about other triples")
    questions = list(table.groupby(["head", "relation", "tail", "side"], sort=False))
    wide = 1 + max(len(rows) for _, rows in questions)
    figure = Figure(figsize=(1.75 * wide, 2.35 * len(questions)), layout="constrained")
    axes = figure.subplots(len(questions), wide, squeeze=False)
    for line, ((head, relation, tail, side), rows) in zip(axes, questions, strict=True):
        for cell in line:
            cell.axis("off")
        true, given = (tail, head) if side == "tail" else (head, tail)
        asked = (
            f"{labels[given]}, {relation_names[relation]}, ?"
            if side == "tail"
            else (f"?, {relation_names[relation]}, {labels[given]}")
        )
        _show(line[0], picture(int(true)), labels[true], edge="#111111")
        line[0].text(0.5, 0.1, "the true answer", ha="center", fontsize=7, color="#555555", transform=line[0].transAxes)
        line[0].set_title(_wrap(asked, 24), fontsize=9, fontweight="bold", loc="left", parse_math=False)
        for cell, (_, row) in zip(line[1:], rows.iterrows(), strict=False):
            name = labels[row["negative"]]
            _show(cell, picture(int(row["negative"])), name, edge="#b91c1c" if row["held_out"] else "#cccccc")
            told = f"p = {row['probability']:.4f}" + ("\nheld-out fact" if row["held_out"] else "")
            cell.set_title(told, fontsize=8, color="#b91c1c" if row["held_out"] else "#444444")
            _bars(cell, row)
    handles = [Rectangle((0, 0), 1, 1, color=COLOURS[m]) for m in BARS]
    words = [f"{m} similarity" for m in BARS]
    figure.legend(handles, words, loc="outside upper right", ncols=3, fontsize=8, frameon=False)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, parse_math=False)
    if caption:
        figure.supxlabel(caption, fontsize=7, color="#555555", parse_math=False)
    figure.savefig(path, dpi=dpi, facecolor="white")
    return Path(path)


def _wrap(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(text, width, max_lines=3, placeholder=" …"))


def _show(cell, path: Path | None, name: str, edge: str) -> None:
    """The picture with a frame and the name beneath, or a grey field where there is none that can be read."""
    from mmkg.encoders.pictures import UnreadableError, decode_picture, read_bytes

    inner = cell.inset_axes([0.14, 0.3, 0.72, 0.7])
    inner.set_xticks([])
    inner.set_yticks([])
    for spine in inner.spines.values():
        spine.set_color(edge)
    shown, why = None, "no picture"
    try:
        shown = None if path is None else decode_picture(read_bytes(path))
    except UnreadableError:
        why = "picture cannot be read"
    if shown is None:
        inner.set_facecolor("#f1f1f1")
        inner.text(0.5, 0.5, why, ha="center", va="center", fontsize=7, color="#888888", wrap=True)
    else:
        inner.imshow(shown)
    cell.text(0.5, 0.27, _wrap(name, 20), ha="center", va="top", fontsize=8, transform=cell.transAxes, parse_math=False)


def _bars(cell, row: pd.Series) -> None:
    """A bar for each similarity, from -1 to 1; none where the modality is missing."""
    inner = cell.inset_axes([0.14, 0.0, 0.72, 0.13])
    inner.axis("off")
    inner.set_xlim(-1, 1)
    inner.axvline(0, color="#999999", linewidth=0.6)
    for place, name in enumerate(BARS):
        if pd.notna(row[name]):
            inner.barh(-place, row[name], color=COLOURS[name], height=0.8)
    inner.set_ylim(-2.6, 0.6)
