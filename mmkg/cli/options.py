"""Options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

# Names that a shell completes and help tells; here and not imported, for the rooms that know them import torch. Tests
# hold them equal to DATASETS, SCORERS, SAMPLERS, OBJECTIVES and TRACKERS.
DATASET_NAMES = ("worldmoji", "db15k", "fb15k", "fb15k_237", "mkg_w", "mkg_y", "wn18", "wn18rr")
SCORER_NAMES = (
    *("transe", "transh", "transd", "rotate", "protate", "pairre", "mure", "distmult", "complex", "quate"),
    *("rescal", "tucker", "cp", "simple", "autosf"),
)
SAMPLER_NAMES = (
    *("uniform", "bernoulli", "shared", "frequency", "typed", "in_batch", "sans", "nscaching"),
    *("kbgan", "mans", "mmrns"),
)
OBJECTIVE_NAMES = ("self_adversarial", "margin", "logistic", "sampled_cross_entropy", "one_vs_all", "k_vs_all")
TRACKER_NAMES = ("tensorboard", "wandb", "mlflow")
SPLIT_NAMES = ("val", "test")


def one_of(names: Sequence[str]) -> str:
    """The names as help lists them: "a, b or c."."""
    return f"{', '.join(names[:-1])} or {names[-1]}."


def begins(names: Sequence[str]) -> Callable[[str], list[str]]:
    """What a shell offers for the beginning of a word: names that begin so."""
    return lambda incomplete: [name for name in names if name.startswith(incomplete)]


Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Root = Annotated[str, typer.Option(help="Folder that holds datasets.")]
Name = Annotated[
    str,
    typer.Argument(
        help="Name of a dataset, see mmkg datasets; or your own folder.", autocompletion=begins(DATASET_NAMES)
    ),
]
OwnRoot = Annotated[
    str | None, typer.Option(help="Folder that holds datasets; for your own folder, where else to write.")
]
Policy = Annotated[str | None, typer.Option("--split-policy", help="DB15K: clean or published.")]
MinSupport = Annotated[int, typer.Option(min=1, help="Pairs of entities for which a rule must hold.")]
MinConfidence = Annotated[float, typer.Option(help="Share of a rule's pairs for which it must hold.")]
RunFolder = Annotated[Path, typer.Argument(help="Folder of a run, as written by mmkg train.")]
RunRoot = Annotated[str | None, typer.Option("--root", help="Folder of datasets, if it is not where it was.")]
