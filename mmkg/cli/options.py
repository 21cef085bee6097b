"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Root = Annotated[str, typer.Option(help="Folder that holds datasets.")]
Name = Annotated[str, typer.Argument(help="Name of a dataset, see mmkg datasets; or your own folder.")]
OwnRoot = Annotated[
    str | None, typer.Option(help="Folder that holds datasets; for your own folder, where else to write.")
]
Policy = Annotated[str | None, typer.Option("--split-policy", help="DB15K: clean or published.")]
RunFolder = Annotated[Path, typer.Argument(help="Folder of a run, as written by mmkg train.")]
RunRoot = Annotated[str | None, typer.Option("--root", help="Folder of datasets, if it is not where it was.")]
