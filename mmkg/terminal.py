"""What a command line shows: tables, and errors and warnings in one line each."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

import typer


def print_table(rows: list[dict], title: str = "") -> None:
    """Print rows as a table; names in it are text and no markup."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if title:
        console.print(Text(title, style="bold"))
    table = Table(box=SIMPLE)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    for column in columns:
        table.add_column(Text(column))
    for row in rows:
        table.add_row(*(Text(str(row.get(column, ""))) for column in columns))
    console.print(table)


def main_guard(command: Callable[[], None]) -> None:
    """Run a command: errors and warnings in one line on stderr, a traceback with ``--debug`` only.

    Exit status 0 when all went well, 1 for bad input, 2 for a wrong command line, 130 when stopped.
    """
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    from mmkg.errors import MMKGError

    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: _tell("warning", message)  # without file and line of ours
            command()
    except KeyboardInterrupt:
        if debug:
            raise
        typer.echo("stopped", err=True)
        sys.exit(130)
    except (MMKGError, ValueError, OSError, RuntimeError) as error:
        memory = type(error).__name__ == "OutOfMemoryError"
        if debug or (isinstance(error, RuntimeError) and not memory):
            raise
        if memory:
            error = f"out of memory ({error}). Cure: a smaller --batch-size, --pool or --dim"
        _tell("error", error)
        sys.exit(130 if type(error).__name__ == "TrainingInterrupted" else 1)


def _tell(what: str, message: object) -> None:
    typer.echo(f"{what}: {' '.join(str(message).split())}", err=True)
