"""Commands about a dataset: which there are, what is wrong with one, what its relations are like."""

from __future__ import annotations

from json import dumps, loads
from pathlib import Path
from typing import Annotated, Any

import typer

from mmkg.cli.options import Json, MinConfidence, MinSupport, Name, OwnRoot, Policy, Root
from mmkg.terminal import counted, print_json, print_table


def datasets(root: Root = "datasets", json: Json = False) -> None:
    """List the datasets: what they are and what of them is here.

    Example: mmkg datasets --root datasets
    """
    from mmkg.run import DATASETS

    rows = []
    for name, kind in DATASETS.items():
        about = next(line.strip() for line in (kind.__doc__ or "").splitlines() if line.strip()).replace("``", "")
        ready = any((Path(root) / kind.folder / "processed").glob("graph*.pt"))
        rows.append({"name": name, "class": f"mmkg.datasets.{kind.__name__}", "processed": ready, "about": about})
    if json:
        print_json(rows)
    else:
        print_table(rows, title=f"Datasets (processed ones are under {root})")


def audit(
    dataset: Name,
    root: OwnRoot = None,
    split_policy: Policy = None,
    min_support: MinSupport = 5,
    csv: Annotated[Path | None, typer.Option(help="Folder to write all tables to, as CSV, and the page.")] = None,
    duplicates: Annotated[
        bool, typer.Option("--duplicates", help="List entities that may be one, with what speaks for it and against.")
    ] = False,
    alike: Annotated[float, typer.Option(help="Cosine of texts or pictures from which a pair is listed.")] = 0.95,
    json: Json = False,
) -> None:
    """Look for duplicates, overlap, leaks, loops, the unseen and the missing in a dataset, and say what to do.

    Example: mmkg audit worldmoji --csv audit/
    """
    from mmkg import graph

    opened = opened_dataset(dataset, root, split_policy, progress=not json)
    features = {m: opened.features(m) for m in ("image", "text")}
    found = graph.audit(opened.topology, features, opened.report, min_support=min_support)
    if csv is not None:
        found.save(csv)
    pairs = None
    if duplicates:
        from mmkg.linking import near_duplicates

        there = {m: f for m, f in features.items() if f is not None}
        pairs = near_duplicates(opened.topology, there, threshold=alike)
        if csv is not None:
            pairs.to_csv(csv / "duplicates.csv", index=False)
    if json:
        told = loads(found.to_json())
        rows = {} if pairs is None else {"duplicates": loads(pairs.to_json(orient="records", force_ascii=False))}
        typer.echo(dumps(told | rows, ensure_ascii=False) if rows else found.to_json())
    elif pairs is not None:
        looked = " and ".join([*there, "labels"])
        shown = pairs.head(30).round(3).astype(str).replace("nan", "").to_dict("records")
        print_table(shown, title=f"{len(pairs):,} pairs of entities that may be one, by {looked}; likely ones first")
    else:
        typer.echo(found.page())
        typer.echo("\nAll rules, an example for each finding, and the tables: --csv FOLDER, or --json")


def patterns(
    dataset: Name,
    root: OwnRoot = None,
    split_policy: Policy = None,
    min_support: MinSupport = 5,
    min_confidence: MinConfidence = 0.6,
    k: Annotated[int, typer.Option("-k", min=1, help="Rules of each kind to show.")] = 5,
    json: Json = False,
) -> None:
    """Find symmetric, inverse, implied, transitive, composed and reflexive relations, and how often each rule holds.

    Example: mmkg patterns worldmoji -k 3
    """
    from mmkg.graph import mine_patterns

    data = opened_dataset(dataset, root, split_policy, progress=not json).topology
    found = mine_patterns(data, min_support=min_support, min_confidence=min_confidence, progress=not json)
    typer.echo(found.table().to_json(orient="records", force_ascii=False) if json else found.page(k=k))


def report(
    dataset: Name,
    out: Annotated[Path | None, typer.Option(help="HTML file to write; NAME-report.html here if not given.")] = None,
    root: OwnRoot = None,
    split_policy: Policy = None,
    min_support: MinSupport = 5,
    min_confidence: MinConfidence = 0.6,
    paths: Annotated[bool, typer.Option("--paths/--no-paths", help="Look for compositions of relations.")] = True,
    k: Annotated[int, typer.Option("-k", min=1, help="Rules of each kind to show.")] = 10,
    json: Json = False,
) -> None:
    """Write a page about a dataset: what its relations are like, what is wrong with it, who has pictures and texts.

    Example: mmkg report worldmoji --out worldmoji.html
    """
    from mmkg.analysis import report as make

    opened = opened_dataset(dataset, root, split_policy, progress=not json)
    path = out or Path(f"{Path(dataset).resolve().name}-report.html")
    options: dict[str, Any] = {"min_support": min_support, "min_confidence": min_confidence, "paths": paths, "k": k}
    made = make(opened, path, progress=not json, **options)
    if json:
        print_json({"page": str(made.path), "bytes": made.path.stat().st_size, "notes": made.notes})
        return
    number = made.audit.findings.severity.value_counts().get
    problems, rules = counted(number("problem", 0), "problem"), counted(len(made.patterns), "rule")
    typer.echo(f"{made.path}: {problems}, {number('caution', 0)} to look at, {rules}; open it in a browser")


def opened_dataset(dataset: str, root: str | None, split_policy: str | None, progress: bool):
    """A dataset by the name or folder that a command was given, without features."""
    from mmkg import run

    if split_policy and dataset != "db15k":
        raise typer.BadParameter("only db15k has split policies")
    options = {"split_policy": split_policy} if split_policy else {}
    if root is not None and dataset not in run.DATASETS:
        options["root"] = root
    config = run.RunConfig(dataset=dataset, root=root or "datasets", options=options)
    run.build.check_names(config)
    return run.open_dataset(config, features=False, progress=progress)
