"""The command that trains a model."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from mmkg.cli.options import (
    OBJECTIVE_NAMES,
    SAMPLER_NAMES,
    SCORER_NAMES,
    TRACKER_NAMES,
    Json,
    Name,
    Policy,
    Root,
    begins,
    one_of,
)
from mmkg.errors import DataError
from mmkg.terminal import print_evaluation

FUSE_WITH, FUSE_SCALE, STEPS = "image,text", "channels", 2000


def train(
    dataset: Name,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write; if not given, runs/DATASET-SCORER-SAMPLER (or OBJECTIVE)-SEED."),
    ] = None,
    root: Root = "datasets",
    scorer: Annotated[
        str,
        typer.Option(help=one_of(SCORER_NAMES), autocompletion=begins(SCORER_NAMES)),
    ] = "rotate",
    sampler: Annotated[
        str,
        typer.Option(help=one_of(SAMPLER_NAMES), autocompletion=begins(SAMPLER_NAMES)),
    ] = "mmrns",
    sampler_option: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE, what else the sampler takes; may be given several times."),
    ] = None,
    objective: Annotated[
        str,
        typer.Option(help=one_of(OBJECTIVE_NAMES), autocompletion=begins(OBJECTIVE_NAMES)),
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
    fusion: Annotated[
        str | None, typer.Option(help="Make pictures and texts part of the embeddings: linear, gated or back_fill.")
    ] = None,
    fuse_with: Annotated[str, typer.Option(help="With which of image,text.")] = FUSE_WITH,
    fuse_scale: Annotated[
        str, typer.Option(help="Scale of what is fused: channels suits adam, length suits adagrad.")
    ] = FUSE_SCALE,
    epsilon: Annotated[float, typer.Option(help="Temperature of MMRNS's draws at the first step.")] = 10.0,
    gumbel_gradient: Annotated[str, typer.Option(help="descend, reverse or none.")] = "descend",
    steps: Annotated[int | None, typer.Option(help=f"Optimisation steps; default {STEPS}.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the train triples, instead of steps.")] = None,
    batch_size: Annotated[int, typer.Option(help="Positive triples a step.")] = 256,
    both_sides: Annotated[bool, typer.Option("--both-sides", help="Ask for tails and heads in each step.")] = False,
    together: Annotated[int, typer.Option(help="Triples of one question that stay together in a batch.")] = 1,
    optimizer: Annotated[str, typer.Option(help="adam, adagrad, row_adagrad or row_adam.")] = "adam",
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
    track: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Experiment tracker to tell: {one_of(TRACKER_NAMES)[:-1]}; may be given several times.",
            autocompletion=begins(TRACKER_NAMES),
        ),
    ] = None,
    census: Annotated[
        bool, typer.Option("--census", help="Note what the sampler draws over training, in the run's census/.")
    ] = False,
    census_every: Annotated[
        int | None,
        typer.Option(min=1, help="Steps between its probes, whatever they cost; within 5 % of the time if not given."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of initialisation, batches and negatives.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the latest checkpoint.")] = False,
    json: Json = False,
) -> None:
    """Train a model and keep it in a folder, with its validation metrics, a log and curves.

    Ctrl-C keeps what there is; the same command and --resume goes on, to the same result.

    Example: mmkg train worldmoji --scorer rotate --sampler mmrns --steps 1000

    Example: mmkg train worldmoji --sampler uniform --track tensorboard --out runs/uniform
    """
    given = locals()  # settings by name, as typed
    from dataclasses import fields

    from mmkg.run import Run, RunConfig, SamplerConfig
    from mmkg.run.folder import RESULT, has_checkpoint
    from mmkg.training import OBJECTIVES, TrainConfig, process_number

    for name, typed, unless in (("with", fuse_with, FUSE_WITH), ("scale", fuse_scale, FUSE_SCALE)):
        if fusion is None and typed != unless:
            raise DataError(f"fuse-{name} {typed} and no fusion", cure="add --fusion linear, or leave it out")
    if steps is not None and epochs is not None:
        raise DataError(f"{steps} steps and {epochs} epochs", cure="give one of the two")
    if validate_every is None:
        validate_every = 0 if refit else 500 if epochs is None else 5
    given |= {"validate_every": validate_every, "checkpoint_every": 500 if epochs is None else 5, "name": sampler}
    given |= {"options": {} if split_policy is None else {"split_policy": split_policy}}
    given |= {
        "modalities": listed(modalities),
        "fuse_with": listed(fuse_with),
        "steps": STEPS if steps is None else steps,
        "memory_mb": number_or_word(pool_memory),
    }

    def settings(kind: type, *but: str) -> dict:
        return {f.name: given[f.name] for f in fields(kind) if f.name in given and f.name not in but}

    config = RunConfig(
        **settings(RunConfig, "sampler", "train"),
        sampler=SamplerConfig(**settings(SamplerConfig, "options"), options=options_of(sampler_option or [])),
        train=TrainConfig(**settings(TrainConfig, "memory_mb")),
    )
    against = sampler if objective not in OBJECTIVES or config.draws_negatives else objective
    folder = out or Path("runs") / f"{Path(dataset).name}-{scorer}-{against}-{seed}"
    begun = (folder / RESULT).exists() or has_checkpoint(folder)
    if resume and not begun and not process_number():
        typer.echo(f"{folder}: nothing to go on from, starting anew", err=True)
    callbacks = [census_of(config, folder, census_every, resume)] if census or census_every is not None else []
    run = Run.train(config, folder, resume=resume, progress=not json, callbacks=callbacks, track=track or ())
    if process_number():
        return  # the first of several processes tells
    result = {"run": str(folder)} | (run.evaluate("val") if validate_every else {})
    print_evaluation(result, json)


def census_of(config, folder: Path, every: int | None, resume: bool):
    """The callback that takes a run's census in its folder; with ``every`` at exactly these steps."""
    from mmkg.analysis import Census
    from mmkg.run import open_dataset

    if not config.draws_negatives:
        problem = f"objective {config.objective} draws no negatives to take a census of"
        raise DataError(problem, cure="leave --census out")
    data = open_dataset(config, features=False, progress=False).topology
    bound: dict[str, Any] = {} if every is None else {"every": every, "overhead": None}
    return Census(data, folder / "census", resume=resume, **bound)


def listed(words: str) -> tuple[str, ...]:
    """The words of ``image, text``."""
    return tuple(word.strip() for word in words.split(","))


def number_or_word(text: str | None) -> float | str | None:
    """A number where it is one."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def options_of(words: list[str]) -> dict:
    """Options by name out of words such as ``cache_size=30``; a value that is no JSON is taken as text."""
    options = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise DataError(f"sampler option {word!r}", cure="write NAME=VALUE, such as cache_size=30")
        try:
            options[name] = json_module.loads(value)
        except json_module.JSONDecodeError:
            options[name] = value
    return options
