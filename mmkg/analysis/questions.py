"""What the tables made from a census share: checks of what is given, and groups of rows."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mmkg.errors import DataError

QUESTION = ["row", "h", "r", "t", "side"]
"""Columns that tell the questions of a probe apart."""


def checked(census: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The census, if it holds something and these columns.

    Raises:
        DataError: If it does not.
    """
    if missing := [c for c in columns if c not in census]:
        raise DataError(f"the census has no column {missing[0]!r}", cure="give a table of mmkg.analysis.read_census")
    if not len(census):
        cure = "train for longer, make the probe smaller, or allow it more time with overhead="
        raise DataError("the census is empty", cure=cure)
    return census


def drawn_by(census: pd.DataFrame, source: str) -> pd.DataFrame:
    """Rows of one source.

    Raises:
        DataError: If it drew nothing.
    """
    rows = census[census.source == source]
    if not len(rows):
        cure = "take the census with reference=True" if source == "uniform" else "look at another one"
        raise DataError(f"the census has no negatives of source {source!r}", cure=cure)
    return rows


def grouping(census: pd.DataFrame, by: str | Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Rows and the columns to group them by: the source, which is never mixed, and those asked for.

    With ``"patterns"`` a row counts under each pattern of its relation; under "none" if there is none.
    """
    columns = list(dict.fromkeys(["source", *([by] if isinstance(by, str) else by)]))
    checked(census, *columns)
    if "patterns" in columns:
        each = census.patterns.astype(str).replace("", "none").str.split(",")
        census = census.assign(patterns=each).explode("patterns", ignore_index=True)
    return census, columns
