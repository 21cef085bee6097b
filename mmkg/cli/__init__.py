"""The command line, thin: every command is a call that a Python user can make as well.

Libraries that take seconds to import are imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from mmkg import __version__
from mmkg.cli.ask import evaluate, export, predict
from mmkg.cli.data import audit, datasets, patterns, report
from mmkg.cli.fit import train
from mmkg.cli.health import doctor
from mmkg.cli.look import gallery, negatives
from mmkg.terminal import main_guard, print_evaluation, print_json, print_table

__all__ = ["app", "main", "main_guard", "print_evaluation", "print_json", "print_table", "train"]

COMMANDS = (
    datasets,
    audit,
    patterns,
    report,
    train,
    evaluate,
    predict,
    negatives,
    gallery,
    export,
    doctor,
)  # as --help lists them

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mmkg {__version__}")
        raise typer.Exit


@app.callback(epilog="Exit status: 0 all well, 1 bad input or a problem found, 2 a wrong command line, 130 stopped.")
def every_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show an error's traceback.")] = False,
) -> None:
    """Complete multimodal knowledge graphs: train, evaluate, and ask by name. Errors are one line.

    Example: mmkg train worldmoji --steps 1000
    """


for command in COMMANDS:
    app.command()(command)


def main() -> None:
    """Entry point of the command ``mmkg``."""
    main_guard(app)
