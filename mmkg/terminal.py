"""What a command line shows: tables for people, JSON for programs, errors and warnings in one line each."""

from __future__ import annotations

import json as json_module
import logging
import sys
import warnings
from collections.abc import Callable

import typer


def print_json(value) -> None:
    """Print a value for a program to read; NaN is no JSON and an error."""
    typer.echo(json_module.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


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
        table.add_column(Text(column), overflow="fold")  # an address that is cut leads nowhere
    for row in rows:
        table.add_row(*(Text(str(row.get(column, ""))) for column in columns))
    console.print(table)


def counted(number: int, word: str) -> str:
    """A number of things in words.

    Example:
        >>> counted(1, "rule"), counted(1200, "rule")
        ('1 rule', '1,200 rules')
    """
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def print_evaluation(result: dict, json: bool) -> None:
    """Print the metrics of a run, or as much of them as there is."""
    if json:
        print_json(result)
        return
    if "metrics" in result:
        rows = []
        for rule, values in result["metrics"].items():
            rows.append({"ties": rule} | {k: _number(v, 1 if k == "mr" else 4) for k, v in values.items()})
        print_table(rows, title=f"{result['split']}: filtered, both sides, {result['queries']} queries")
        rows = [
            {"by": r["grouping"], "": r["label"], "queries": r["count"]}
            | {m: _number(r[m]) for m in ("mrr", "hits@10")}
            for r in result["breakdown"]
        ]
        print_table(rows, title="the same by side, relation category and modality (realistic ranks)")
    typer.echo(f"run: {result['run']}")


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def main_guard(command: Callable[[], None]) -> None:
    """Run a command: errors and warnings in one line on stderr, a traceback with ``--debug`` only.

    Exit status 0 when all went well, 1 for bad input, 2 for a wrong command line, 130 when stopped.
    """
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    from mmkg.errors import MMKGError

    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # else it tells users of its font cache
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: _tell("warning", message)  # without file and line of ours
            command()
    except KeyboardInterrupt:
        if debug:
            raise
        typer.echo("stopped", err=True)
        sys.exit(130)
    except (MMKGError, ValueError, OSError, RuntimeError, MemoryError) as error:
        memory = False
        if isinstance(error, (RuntimeError, MemoryError)) and not isinstance(error, MMKGError):
            from mmkg.memory import ran_out  # it imports torch, which took its time already if this happens

            memory = ran_out(error)
        if debug or (isinstance(error, RuntimeError) and not memory):
            raise
        if memory:
            told = str(error) or type(error).__name__
            _tell("error", f"out of memory ({told}). Cure: a smaller --batch-size, --pool or --dim")
        else:
            _tell("error", error)
        sys.exit(130 if type(error).__name__ == "TrainingInterrupted" else 1)


def _tell(what: str, message: object) -> None:
    typer.echo(f"{what}: {' '.join(str(message).split())}", err=True)
