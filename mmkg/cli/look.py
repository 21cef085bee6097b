"""Commands that show the negatives of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmkg.cli.options import Json, RunFolder, RunRoot
from mmkg.terminal import print_table


def negatives(
    run: RunFolder,
    k: Annotated[int, typer.Option("-k", min=1, help="Negatives a question.")] = 5,
    questions: Annotated[int, typer.Option(min=1, help="How many validation triples to look at.")] = 5,
    picture: Annotated[Path | None, typer.Option(help="PNG or SVG file to draw them in.")] = None,
    root: RunRoot = None,
    json: Json = False,
) -> None:
    """Show the hardest negatives that a run's MMRNS sampler finds, and through which modality."""
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
