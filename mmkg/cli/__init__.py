"""The command line, thin: every command is a call that a Python user can make as well.

Libraries that take seconds to import are imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import typer

from mmkg.cli.ask import evaluate, export, predict
from mmkg.cli.data import audit, datasets, patterns, report
from mmkg.cli.fit import train
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
)  # as --help lists them

app = typer.Typer(
    help="Complete multimodal knowledge graphs: train, evaluate, and ask by name. "
    "Errors are one line; --debug adds the traceback.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in COMMANDS:
    app.command()(command)


def main() -> None:
    """Entry point of the command ``mmkg``."""
    main_guard(app)
