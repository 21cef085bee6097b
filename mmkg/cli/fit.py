"""The command that trains a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmkg.cli.options import Json, Name, Policy, Root
from mmkg.terminal import print_evaluation


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
    objective: Annotated[str, typer.Option(help="self_adversarial or one_vs_all.")] = "self_adversarial",
    dim: Annotated[int, typer.Option(help="Embedding size as the scorer's paper counts it.")] = 100,
    margin: Annotated[float, typer.Option(help="Margin of distance scorers.")] = 6.0,
    alpha: Annotated[float, typer.Option(help="Temperature of self-adversarial weights; 0 for none.")] = 0.5,
    negatives: Annotated[int, typer.Option(help="Negatives for each positive.")] = 20,
    pool: Annotated[int, typer.Option(help="Candidates among which MMRNS draws; 0 for all entities.")] = 500,
    modalities: Annotated[
        str, typer.Option(help="What MMRNS looks at, out of image,text,structure.")
    ] = "image,text,structure",
    fusion: Annotated[
        str | None, typer.Option(help="Make pictures and texts part of the embeddings: linear, gated or back_fill.")
    ] = None,
    fuse_with: Annotated[str, typer.Option(help="With which of image,text.")] = "image,text",
    gumbel_gradient: Annotated[str, typer.Option(help="descend, reverse or none.")] = "descend",
    steps: Annotated[int, typer.Option(help="Optimisation steps.")] = 2000,
    batch_size: Annotated[int, typer.Option(help="Positive triples a step.")] = 256,
    learning_rate: Annotated[float, typer.Option(help="Adam's rate for the scorer.")] = 1e-3,
    sampler_learning_rate: Annotated[float, typer.Option(help="Adam's rate for the sampler.")] = 1e-4,
    validate_every: Annotated[int, typer.Option(help="Steps between two validations; 0 for none.")] = 500,
    patience: Annotated[int | None, typer.Option(help="Validations without gain after which to stop.")] = None,
    precision: Annotated[str, typer.Option(help="no (float32), bf16 or fp16.")] = "no",
    split_policy: Policy = None,
    warm_start: Annotated[str | None, typer.Option(help="Run whose embeddings to start from.")] = None,
    seed: Annotated[int, typer.Option(help="Of initialisation, batches and negatives.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the latest checkpoint.")] = False,
    json: Json = False,
) -> None:
    """Train a model and keep it in a folder, with its validation metrics.

    Example: mmkg train worldmoji --scorer rotate --sampler mmrns --steps 1000
    """
    from mmkg.run import Run, RunConfig, SamplerConfig
    from mmkg.training import TrainConfig

    config = RunConfig(
        dataset=dataset,
        root=root,
        options={} if split_policy is None else {"split_policy": split_policy},
        scorer=scorer,
        dim=dim,
        margin=margin,
        objective=objective,
        alpha=alpha,
        sampler=SamplerConfig(
            name=sampler,
            negatives=negatives,
            pool=pool,
            modalities=tuple(m.strip() for m in modalities.split(",")),
            gumbel_gradient=gumbel_gradient,
        ),
        train=TrainConfig(
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            sampler_learning_rate=sampler_learning_rate,
            validate_every=validate_every,
            patience=patience,
            precision=precision,
            seed=seed,
        ),
        warm_start=warm_start,
        fusion=fusion,
        fuse_with=tuple(m.strip() for m in fuse_with.split(",")),
    )
    folder = out or Path("runs") / f"{Path(dataset).name}-{scorer}-{sampler}-{seed}"
    run = Run.train(config, folder, resume=resume, progress=not json)
    result = {"run": str(folder)} | (run.evaluate("val") if validate_every else {})
    print_evaluation(result, json)
