"""Commands that show the negatives of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mmkg.cli.options import Json, RunFolder, RunRoot
from mmkg.terminal import print_json, print_table


def negatives(
    run: RunFolder,
    k: Annotated[int, typer.Option("-k", min=1, help="Negatives a question.")] = 5,
    questions: Annotated[int, typer.Option(min=1, help="How many validation triples to look at.")] = 5,
    picture: Annotated[Path | None, typer.Option(help="PNG or SVG file to draw them in.")] = None,
    root: RunRoot = None,
    json: Json = False,
) -> None:
    """Show the hardest negatives that a run's MMRNS sampler finds, and through which modality.

    Example: mmkg negatives runs/worldmoji-rotate-mmrns-0 --picture hard.png
    """
    from mmkg.analysis import draw_negatives, hard_negatives, named, spread, told
    from mmkg.errors import DataError
    from mmkg.run import Run
    from mmkg.samplers import MMRNS

    loaded = Run.load(run, root=root, sampler=True, progress=not json)
    if not isinstance(loaded.sampler, MMRNS):
        by = loaded.config.sampler.name if loaded.sampler is not None else "none at all"
        raise DataError(f"negatives of this run are drawn by {by}", file=run, cure="train with --sampler mmrns")
    image = loaded.dataset.features("image")
    triples = spread(loaded.triples("val"), questions, None if image is None else image.present)
    known = loaded.facts(("train",)), loaded.facts()
    step = loaded.best_step
    table = hard_negatives(loaded.sampler, loaded.model, triples, *known, sides=("tail",), k=k, step=step)
    names = loaded.data.entity_labels, loaded.data.relation_names
    if json:
        typer.echo(named(table, *names).to_json(orient="records", force_ascii=False))
    else:
        print_table(told(table, *names), title="Hardest negatives: probability, and cosine to the answer by modality")
    if picture is not None:
        caption = getattr(loaded.dataset, "attribution", "")
        draw_negatives(table, *names, loaded.dataset.image_path, picture, caption=caption)
        if not json:
            typer.echo(picture)


def gallery(
    run: RunFolder,
    other: Annotated[Path | None, typer.Option(help="A second run of the same graph to compare with.")] = None,
    out: Annotated[Path | None, typer.Option(help="HTML file to write; RUN/gallery.html if not given.")] = None,
    questions: Annotated[int, typer.Option(help="How many, of all relations in turn.")] = 40,
    k: Annotated[int, typer.Option("-k", help="Negatives a question, under each sampler.")] = 5,
    side: Annotated[str, typer.Option(help="What to ask for: tail, head or both.")] = "tail",
    relation: Annotated[list[str] | None, typer.Option(help="Ask about this relation alone; may be repeated.")] = None,
    split: Annotated[str, typer.Option(help="Where questions come from: val or train.")] = "val",
    candidates: Annotated[int, typer.Option(min=1, help="Entities that MMRNS looks at, if there are more.")] = 20_000,
    max_mb: Annotated[float, typer.Option(help="Largest size of the page, in millions of bytes.")] = 10.0,
    seed: Annotated[int, typer.Option(help="Of what is drawn for the page.")] = 0,
    root: RunRoot = None,
    json: Json = False,
) -> None:
    """Write a page to look at: true answers beside the hardest negatives of two samplers, and what made them hard.

    Example: mmkg gallery runs/worldmoji/latest --relation borders
    """
    from mmkg.analysis import gallery as make
    from mmkg.run import Run

    runs = [None if r is None else Run.load(r, root=root, sampler=True, progress=not json) for r in (run, other)]
    sides: Any = ("tail", "head") if side == "both" else (side,)  # what is no side, gallery says
    made = make(
        runs[0],
        out,
        other=runs[1],
        questions=questions,
        k=k,
        sides=sides,
        split=split,
        relations=relation,
        candidates=candidates,
        max_mb=max_mb,
        seed=seed,
        progress=not json,
    )
    if json:
        print_json({"page": str(made.path), "bytes": made.path.stat().st_size, "notes": made.notes})
        return
    for note in made.notes:
        typer.echo(f"note: {note}")
    shown = f"{made.table.question.nunique()} questions, {made.path.stat().st_size / 1e6:.1f} MB"
    typer.echo(f"{made.path}: {shown}; open it in a browser")
