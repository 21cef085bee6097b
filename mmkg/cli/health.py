"""The command that says what a machine has and what it lacks."""

from __future__ import annotations

from dataclasses import asdict

import typer

from mmkg.cli.options import Json, Root
from mmkg.terminal import counted, print_json, print_table


def doctor(root: Root = "datasets", json: Json = False) -> None:
    """Look at versions, devices, caches and raw data, and say what is missing and what to do about it.

    Exit status 1 if something does not work as it is; what only some users need is "absent" and no problem.

    Example: mmkg doctor --root datasets
    """
    from mmkg.run import examine

    checks = examine(root)
    if json:
        print_json([asdict(check) for check in checks])
    else:
        for part in dict.fromkeys(check.part for check in checks):
            rows = [{k: v for k, v in asdict(c).items() if k != "part"} for c in checks if c.part == part]
            print_table(rows, title=part)
    problems = [check for check in checks if check.state == "problem"]
    if not json:
        typer.echo(counted(len(problems), "problem") if problems else "no problems")
    if problems:
        raise typer.Exit(1)
