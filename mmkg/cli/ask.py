"""Commands that ask a trained run: how good it is, what it answers, its embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mmkg.cli.options import SPLIT_NAMES, Json, RunFolder, RunRoot, begins
from mmkg.terminal import print_evaluation, print_json, print_table


def evaluate(
    run: RunFolder,
    split: Annotated[
        str,
        typer.Option(help="val, or test: each look at test is noted in the run.", autocompletion=begins(SPLIT_NAMES)),
    ] = "val",
    root: RunRoot = None,
    json: Json = False,
) -> None:
    """Filtered ranking on both sides: MRR, MR and Hits@k under three tie rules, by side and relation category.

    Example: mmkg evaluate runs/worldmoji-rotate-mmrns-0
    """
    from mmkg.run import Run

    loaded = Run.load(run, root=root, progress=not json)
    print_evaluation({"run": str(run)} | loaded.evaluate(split, progress=not json), json)


def predict(
    run: RunFolder,
    relation: Annotated[str | None, typer.Option(help="Name of the relation; leave out to ask for it.")] = None,
    head: Annotated[str | None, typer.Option(help="Name of the head; leave out to ask for it.")] = None,
    tail: Annotated[str | None, typer.Option(help="Name of the tail; leave out to ask for it.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many answers.")] = 10,
    new: Annotated[Path | None, typer.Option(help="Picture of an entity that the graph does not hold.")] = None,
    text: Annotated[str | None, typer.Option(help="Text of an entity that the graph does not hold.")] = None,
    fact: Annotated[
        list[str] | None, typer.Option(help='What is known of it: "?|borders|France", ? being the new entity.')
    ] = None,
    new_is: Annotated[str, typer.Option(help="Whether the new entity is the head or the tail.")] = "head",
    new_only: Annotated[bool, typer.Option("--new-only", help="Leave out facts that are known.")] = False,
    root: RunRoot = None,
    json: Json = False,
) -> None:
    """Answer (head, relation, ?), (?, relation, tail) or (head, ?, tail) by name; of all three, say how plausible.

    Of an entity that the graph does not hold, give a picture, a text or both, to a run trained with --fusion.

    Example: mmkg predict runs/worldmoji-rotate-mmrns-0 --head France --relation borders

    Example: mmkg predict runs/fused --new my.png --text "A small country in the Alps." --relation borders
    """
    from mmkg.run import NewEntity, Run, predict_new

    loaded = Run.load(run, root=root, progress=False)
    if new is not None or text is not None or fact:
        if head is not None or tail is not None:
            raise typer.BadParameter("a new entity takes the place of --head or --tail: leave them out, see --new-is")
        if relation is None:
            raise typer.BadParameter("of a new entity only entities can be asked for: give --relation")
        facts: Any = [tuple(part.strip() for part in one.split("|")) for one in fact or []]
        entity = NewEntity(new, text, facts)
        answers = predict_new(loaded, entity, relation, new_is=new_is, k=k, include_known=not new_only)
        asked = f"new entity, {relation}, ?" if new_is == "head" else f"?, {relation}, new entity"
        _print_answers(answers.to_dict("records"), asked, json)
        return
    found = loaded.predict(head=head, relation=relation, tail=tail, k=k, include_known=not new_only)
    if isinstance(found, dict):
        if json:
            print_json(found)
            return
        known = "a known fact" if found["known"] else "not a known fact"
        typer.echo(f"{head}, {relation}, {tail}: score {found['score']:.3f}, {known}")
        for side in ("tail", "head"):
            typer.echo(f"  better than {found[f'percentile_{side}']:.1f} % of the candidates for the {side}")
        return
    asked = ", ".join("?" if name is None else name for name in (head, relation, tail))
    _print_answers(found.to_dict("records"), asked, json)


def _print_answers(rows: list[dict], asked: str, json: bool) -> None:
    """Print the answers to a question, best first."""
    if json:
        print_json(rows)
        return
    shown = [{**r, "score": f"{r['score']:.3f}", "known": "known" if r["known"] else ""} for r in rows]
    print_table(shown, title=asked)


def export(
    run: RunFolder,
    out: Annotated[Path | None, typer.Option(help="Folder to write; RUN/export if not given.")] = None,
    root: RunRoot = None,
    json: Json = False,
) -> None:
    """Write a run's embeddings with names as Parquet, and as safetensors.

    Example: mmkg export runs/worldmoji-rotate-mmrns-0 --out embeddings
    """
    from mmkg.run import Run
    from mmkg.run import export as write

    paths = write(Run.load(run, root=root, progress=False), out or run / "export")
    if json:
        print_json([str(p) for p in paths])
    else:
        for path in paths:
            typer.echo(path)
