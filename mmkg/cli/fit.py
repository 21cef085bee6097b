"""The command that trains a model."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from mmkg.cli.options import OBJECTIVE_NAMES, SAMPLER_NAMES, SCORER_NAMES, Json, Name, Policy, Root, begins, one_of
from mmkg.errors import DataError
from mmkg.terminal import print_evaluation

FUSE_WITH = "image,text"


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
        list[str] | None, typer.Option(help="NAME=VALUE, what else the sampler takes; may be given several times.")
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
    epsilon: Annotated[float, typer.Option(help="Temperature of MMRNS's draws at the first step.")] = 10.0,
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
    """Train a model and keep it in a folder, with its validation metrics.

    Example: mmkg train worldmoji --scorer rotate --sampler mmrns --steps 1000
    """
    lists = {"modalities": modalities, "fuse_with": fuse_with}
    given = locals() | {
        k: tuple(m.strip() for m in v.split(",")) for k, v in lists.items()
    }  # settings by name, as typed
    from dataclasses import fields

    from mmkg.run import Run, RunConfig, SamplerConfig
    from mmkg.training import OBJECTIVES, TrainConfig, process_number

    if fusion is None and fuse_with != FUSE_WITH:
        raise DataError(f"fuse-with {fuse_with} and no fusion", cure="add --fusion linear, or leave it out")
    if validate_every is None:
        validate_every = 0 if refit else 500 if epochs is None else 5
    given |= {"validate_every": validate_every, "checkpoint_every": 500 if epochs is None else 5, "name": sampler}
    given |= {"options": {} if split_policy is None else {"split_policy": split_policy}}
    given |= {"memory_mb": _mebibytes(pool_memory)}

    def settings(kind: type, *but: str) -> dict:
        return {f.name: given[f.name] for f in fields(kind) if f.name in given and f.name not in but}

    config = RunConfig(
        **settings(RunConfig, "sampler", "train"),
        sampler=SamplerConfig(**settings(SamplerConfig, "options"), options=options_of(sampler_option or [])),
        train=TrainConfig(**settings(TrainConfig, "memory_mb")),
    )
    against = sampler if objective not in OBJECTIVES or config.draws_negatives else objective
    folder = out or Path("runs") / f"{Path(dataset).name}-{scorer}-{against}-{seed}"
    callbacks: list[Any] = []
    if census or census_every is not None:
        from mmkg.analysis import Census
        from mmkg.run import open_dataset

        if not config.draws_negatives:
            raise DataError(f"objective {objective} draws no negatives to take a census of", cure="leave --census out")
        data = open_dataset(config, features=False, progress=False).topology
        bound: dict[str, Any] = {} if census_every is None else {"every": census_every, "overhead": None}
        callbacks.append(Census(data, folder / "census", resume=resume, **bound))
    run = Run.train(config, folder, resume=resume, progress=not json, callbacks=callbacks)
    if process_number():
        return  # the first of several processes tells
    result = {"run": str(folder)} | (run.evaluate("val") if validate_every else {})
    print_evaluation(result, json)


def _mebibytes(word: str | None) -> float | str | None:
    """The memory of the pool: a number, ``auto`` or None."""
    if word is None or word == "auto":
        return word
    try:
        return float(word)
    except ValueError:
        raise DataError(f"pool-memory {word!r}", cure="give MiB, or auto") from None


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
