"""The command line, thin: every command is a call that a Python user can make as well."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmkg.terminal import main_guard, print_evaluation, print_json, print_table

# Libraries that take seconds to import are imported inside the commands, so that --help answers at once.

app = typer.Typer(
    help="Complete multimodal knowledge graphs: train, evaluate, and ask by name. "
    "Errors are one line; --debug adds the traceback.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Root = Annotated[str, typer.Option(help="Folder that holds datasets.")]
Name = Annotated[str, typer.Argument(help="Name of a dataset, see mmkg datasets; or your own folder.")]
OwnRoot = Annotated[
    str | None, typer.Option(help="Folder that holds datasets; for your own folder, where else to write.")
]
Policy = Annotated[str | None, typer.Option("--split-policy", help="DB15K: clean or published.")]
RunFolder = Annotated[Path, typer.Argument(help="Folder of a run, as written by mmkg train.")]
RunRoot = Annotated[str | None, typer.Option("--root", help="Folder of datasets, if it is not where it was.")]


@app.command()
def datasets(root: Root = "datasets", json: Json = False) -> None:
    """List the datasets: what they are and what of them is here."""
    from mmkg.run import DATASETS

    rows = []
    for name, kind in DATASETS.items():
        about = next(line.strip() for line in (kind.__doc__ or "").splitlines() if line.strip())
        ready = any((Path(root) / kind.folder / "processed").glob("graph*.pt"))
        rows.append({"name": name, "class": f"mmkg.datasets.{kind.__name__}", "processed": ready, "about": about})
    if json:
        print_json(rows)
    else:
        print_table(rows, title=f"Datasets (processed ones are under {root})")


@app.command()
def audit(
    dataset: Name,
    root: OwnRoot = None,
    split_policy: Policy = None,
    min_support: Annotated[int, typer.Option(min=1, help="Pairs of relations from which a rule counts.")] = 5,
    csv: Annotated[Path | None, typer.Option(help="Folder to write all tables to, as CSV, and the page.")] = None,
    json: Json = False,
) -> None:
    """Look for duplicates, overlap, leaks, loops, the unseen and the missing in a dataset, and say what to do."""
    from mmkg import graph

    opened = _opened(dataset, root, split_policy, progress=not json)
    features = {m: opened.features(m) for m in ("image", "text")}
    found = graph.audit(opened.topology, features, opened.report, min_support=min_support)
    if csv is not None:
        found.save(csv)
    if json:
        typer.echo(found.to_json())
    else:
        typer.echo(found.page())
        typer.echo("\nAll rules, an example for each finding, and the tables: --csv FOLDER, or --json")


@app.command()
def patterns(
    dataset: Name,
    root: OwnRoot = None,
    split_policy: Policy = None,
    min_support: Annotated[int, typer.Option(help="Pairs of entities for which a rule must hold.")] = 5,
    min_confidence: Annotated[float, typer.Option(help="Share of a rule's pairs for which it must hold.")] = 0.6,
    k: Annotated[int, typer.Option("-k", min=1, help="Rules of each kind to show.")] = 5,
    json: Json = False,
) -> None:
    """Find symmetric, inverse, implied, transitive, composed and reflexive relations, and how often each rule holds."""
    from mmkg.graph import mine_patterns

    data = _opened(dataset, root, split_policy, progress=not json).topology
    found = mine_patterns(data, min_support=min_support, min_confidence=min_confidence, progress=not json)
    typer.echo(found.table().to_json(orient="records", force_ascii=False) if json else found.page(k=k))


@app.command()
def train(
    dataset: Name,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; runs/DATASET-SCORER-SAMPLER-SEED if not given.")
    ] = None,
    root: Root = "datasets",
    scorer: Annotated[
        str,
        typer.Option(
            help="transe, transh, transd, rotate, protate, pairre, mure, distmult, complex, quate, rescal, tucker, cp, "
            "simple or autosf."
        ),
    ] = "rotate",
    sampler: Annotated[str, typer.Option(help="uniform or mmrns.")] = "mmrns",
    objective: Annotated[
        str,
        typer.Option(help="self_adversarial, margin, logistic, sampled_cross_entropy, one_vs_all or k_vs_all."),
    ] = "self_adversarial",
    dim: Annotated[int, typer.Option(help="Embedding size as the scorer's paper counts it.")] = 100,
    margin: Annotated[float, typer.Option(help="Margin of distance scorers.")] = 6.0,
    reciprocal: Annotated[bool, typer.Option("--reciprocal", help="Ask for heads by relations of their own.")] = False,
    initial_std: Annotated[float | None, typer.Option(help="Spread at the start, of bilinear scorers.")] = None,
    objective_margin: Annotated[float, typer.Option(help="Of the objective margin.")] = 1.0,
    label_smoothing: Annotated[float, typer.Option(help="Of one_vs_all and k_vs_all, from 0 to below 1.")] = 0.0,
    alpha: Annotated[float, typer.Option(help="Temperature of self-adversarial weights; 0 for none.")] = 0.5,
    negatives: Annotated[int, typer.Option(help="Negatives for each positive.")] = 20,
    pool: Annotated[int, typer.Option(help="Candidates among which MMRNS draws; 0 for all entities.")] = 500,
    pool_kind: Annotated[
        str, typer.Option(help="random, or typed: what the graph shows at a relation's side.")
    ] = "random",
    pool_memory: Annotated[str | None, typer.Option(help="MiB that MMRNS's pool may take, or auto.")] = None,
    modalities: Annotated[
        str, typer.Option(help="What MMRNS looks at, out of image,text,structure.")
    ] = "image,text,structure",
    gumbel_gradient: Annotated[str, typer.Option(help="descend, reverse or none.")] = "descend",
    steps: Annotated[int, typer.Option(help="Optimisation steps.")] = 2000,
    epochs: Annotated[int | None, typer.Option(help="Passes over the train triples, instead of steps.")] = None,
    batch_size: Annotated[int, typer.Option(help="Positive triples a step.")] = 256,
    both_sides: Annotated[bool, typer.Option("--both-sides", help="Ask for tails and heads in each step.")] = False,
    together: Annotated[int, typer.Option(help="Triples of one question that stay together in a batch.")] = 1,
    optimizer: Annotated[str, typer.Option(help="adam, adagrad or row_adagrad.")] = "adam",
    schedule: Annotated[str, typer.Option(help="Of the rates: constant, linear or cosine.")] = "linear",
    regulariser: Annotated[str | None, typer.Option(help="n3, l2 or dura.")] = None,
    regulariser_weight: Annotated[float, typer.Option(help="Its weight.")] = 0.0,
    relation_weight: Annotated[float, typer.Option(help="Weight of relation prediction beside the task.")] = 0.0,
    learning_rate: Annotated[float, typer.Option(help="The scorer's rate.")] = 1e-3,
    sampler_learning_rate: Annotated[float, typer.Option(help="Adam's rate for the sampler.")] = 1e-4,
    validate_every: Annotated[
        int | None, typer.Option(help="Steps between two validations, or epochs; 0 for none; default 500, or 5 epochs.")
    ] = None,
    patience: Annotated[int | None, typer.Option(help="Validations without gain after which to stop.")] = None,
    precision: Annotated[str, typer.Option(help="no (float32), bf16 or fp16.")] = "no",
    split_policy: Policy = None,
    warm_start: Annotated[str | None, typer.Option(help="Run whose embeddings to start from.")] = None,
    refit: Annotated[bool, typer.Option("--refit", help="Train on train and validation, without selection.")] = False,
    seed: Annotated[int, typer.Option(help="Of initialisation, batches and negatives.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the latest checkpoint.")] = False,
    json: Json = False,
) -> None:
    """Train a model and keep it in a folder, with its validation metrics.

    Example: mmkg train worldmoji --scorer rotate --sampler mmrns --steps 1000
    """
    given = locals() | {"modalities": tuple(m.strip() for m in modalities.split(","))}  # settings by name, as typed
    from dataclasses import fields

    from mmkg.run import Run, RunConfig, SamplerConfig
    from mmkg.training import TrainConfig

    if validate_every is None:
        validate_every = 0 if refit else 500 if epochs is None else 5
    given |= {"validate_every": validate_every, "checkpoint_every": 500 if epochs is None else 5, "name": sampler}
    given |= {"options": {} if split_policy is None else {"split_policy": split_policy}}
    given |= {"memory_mb": pool_memory if pool_memory in (None, "auto") else float(pool_memory)}

    def settings(kind: type, *but: str) -> dict:
        return {f.name: given[f.name] for f in fields(kind) if f.name in given and f.name not in but}

    config = RunConfig(
        **settings(RunConfig, "sampler", "train"),
        sampler=SamplerConfig(**settings(SamplerConfig)),
        train=TrainConfig(**settings(TrainConfig, "memory_mb")),
    )
    folder = out or Path("runs") / f"{Path(dataset).name}-{scorer}-{sampler}-{seed}"
    run = Run.train(config, folder, resume=resume, progress=not json)
    result = {"run": str(folder)} | (run.evaluate("val") if validate_every else {})
    print_evaluation(result, json)


@app.command()
def evaluate(
    run: RunFolder,
    split: Annotated[str, typer.Option(help="val, or test: each look at test is noted in the run.")] = "val",
    root: RunRoot = None,
    json: Json = False,
) -> None:
    """Filtered ranking on both sides: MRR, MR and Hits@k under three tie rules, by side and relation category."""
    from mmkg.run import Run

    loaded = Run.load(run, root=root, progress=not json)
    print_evaluation({"run": str(run)} | loaded.evaluate(split, progress=not json), json)


@app.command()
def predict(
    run: RunFolder,
    relation: Annotated[str, typer.Option(help="Name of the relation.")],
    head: Annotated[str | None, typer.Option(help="Name of the head; leave out to ask for it.")] = None,
    tail: Annotated[str | None, typer.Option(help="Name of the tail; leave out to ask for it.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many answers.")] = 10,
    new_only: Annotated[bool, typer.Option("--new-only", help="Leave out facts that are known.")] = False,
    root: RunRoot = None,
    json: Json = False,
) -> None:
    """Answer (head, relation, ?) or (?, relation, tail) by name; with both, say how plausible the triple is.

    Example: mmkg predict runs/worldmoji-rotate-mmrns-0 --head France --relation borders
    """
    from mmkg.run import Run

    loaded = Run.load(run, root=root, progress=False)
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
    rows = found.to_dict("records")
    if json:
        print_json(rows)
    else:
        asked = f"{head}, {relation}, ?" if head is not None else f"?, {relation}, {tail}"
        shown = [{**r, "score": f"{r['score']:.3f}", "known": "known" if r["known"] else ""} for r in rows]
        print_table(shown, title=asked)


@app.command()
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


@app.command()
def export(
    run: RunFolder,
    out: Annotated[Path | None, typer.Option(help="Folder to write; RUN/export if not given.")] = None,
    root: RunRoot = None,
    json: Json = False,
) -> None:
    """Write a run's embeddings with names as Parquet, and as safetensors."""
    from mmkg.run import Run
    from mmkg.run import export as write

    paths = write(Run.load(run, root=root, progress=False), out or run / "export")
    if json:
        print_json([str(p) for p in paths])
    else:
        for path in paths:
            typer.echo(path)


def _opened(dataset: str, root: str | None, split_policy: str | None, progress: bool):
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


def main() -> None:
    """Entry point of the command ``mmkg``."""
    main_guard(app)


if __name__ == "__main__":
    main()
