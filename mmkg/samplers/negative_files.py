"""Negatives on disk: Parquet files in parts, each there in full or not at all, that say of what graph they are."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmkg.errors import DataError
from mmkg.files import written_whole

NAME = re.compile(r"part-(\d+)-(\d+)\.parquet")
WORDS = pa.dictionary(pa.int32(), pa.string())
DAMAGED = (pa.ArrowException, OSError, ValueError)  # what Arrow says to bytes that are no Parquet
VOLATILE = ("date", "versions", "command")  # of the provenance; may differ between the parts of one series


def column(name: str, kind: pa.DataType, means: str) -> pa.Field:
    """A column that says in the file what it means."""
    return pa.field(name, kind, metadata={"means": means})


STREAM = pa.schema(
    [
        column("step", pa.int32(), "optimisation steps done before the draw"),
        column("epoch", pa.int32(), "passes over the training triples done before it"),
        column("row", pa.int32(), "row of the batch (in a census: of the probe set)"),
        column("h", pa.int32(), "head of the true triple"),
        column("r", pa.int32(), "its relation"),
        column("t", pa.int32(), "its tail"),
        column("side", WORDS, "the side that the negative replaces: head or tail"),
        column("source", WORDS, "who drew: sampler, or uniform for a census's reference"),
        column("place", pa.int16(), "0 for the first draw of the question, 1 for the second, and so on"),
        column("negative", pa.int32(), "the entity drawn"),
    ]
)
"""What a replay needs; a census adds to it."""


class NegativeFiles:
    """A series of Parquet parts in a folder.

    Args:
        folder: Where they are; made with the first part.
        schema: Columns, those of :data:`STREAM` first.
        provenance: JSON-able; kept in every part.
    """

    def __init__(self, folder: str | Path, schema: pa.Schema, provenance: dict) -> None:
        self.folder, self.schema, self.provenance = Path(folder), schema, provenance

    def paths(self) -> list[Path]:
        """The parts in the order of their steps."""
        return part_paths(self.folder)

    def write(self, columns: dict[str, np.ndarray | Sequence], first: int, last: int) -> Path:
        """Write one part, whole or not at all.

        Args:
            columns: A value for each row, by the schema's names.
            first: Least step in it.
            last: Greatest step in it.
        """
        arrays = [_array(columns[field.name], field.type) for field in self.schema]
        schema = self.schema.with_metadata({"mmkg": json.dumps(self.provenance)})
        path = self.folder / f"part-{first:09d}-{last:09d}.parquet"
        with written_whole(path) as temporary:
            pq.write_table(pa.Table.from_arrays(arrays, schema=schema), temporary, compression="zstd")
        return path

    def check_empty(self) -> None:
        """Raise DataError where parts are there already."""
        if there := self.paths():
            cure = "choose another folder, move it away, or say that training is resumed"
            raise DataError(f"holds {len(there)} parts of negatives already", file=self.folder, cure=cure)

    def drop_from(self, step: int) -> int:
        """Remove what was drawn at a step or later: training goes on from there and draws it again.

        Returns:
            The number of parts touched.

        Raises:
            DataError: If the parts are of another graph, sampler or probe.
        """
        touched = 0
        for path in self.paths():
            self._check(path)
            first, last = (int(x) for x in NAME.fullmatch(path.name).groups())
            if last < step:
                continue
            if first < step:  # a part that was not closed at the checkpoint
                table = pq.read_table(path, partitioning=None)
                with written_whole(self.folder / f"part-{first:09d}-{step - 1:09d}.parquet") as temporary:
                    pq.write_table(table.filter(pc.field("step") < step), temporary, compression="zstd")
            path.unlink()
            touched += 1
        return touched

    def _check(self, path: Path) -> None:
        then, now = settled(provenance_of(path)), settled(self.provenance)
        if other := sorted(k for k in {*then, *now} if then.get(k) != now.get(k)):
            told = "; ".join(f"{k}: {then.get(k)!r} then, {now.get(k)!r} now" for k in other)
            raise DataError(f"negatives of another run ({told})", file=path, cure="resume with the same, or move them")


def sampler_settings(sampler) -> dict:
    """Class and plain settings of a sampler, for the provenance."""
    plain = {k: v for k, v in vars(sampler).items() if isinstance(v, (bool, int, float, str)) and k != "training"}
    return {"class": type(sampler).__name__} | {k: v for k, v in sorted(plain.items()) if not k.startswith("_")}


def settled(provenance: dict) -> dict:
    """What must be the same in all parts of a series."""
    return {k: v for k, v in json.loads(json.dumps(provenance)).items() if k not in VOLATILE}


def part_paths(folder: Path) -> list[Path]:
    """The parts in a folder in the order of their steps."""
    return sorted(p for p in folder.glob("part-*.parquet") if NAME.fullmatch(p.name))


def provenance_of(path: Path) -> dict:
    """What a part says of itself.

    Raises:
        DataError: If it is no Parquet file or not one of negatives.
    """
    try:
        return dict(json.loads((pq.read_schema(path).metadata or {})[b"mmkg"]))
    except (*DAMAGED, KeyError, TypeError) as error:
        raise DataError(f"no whole file of negatives ({error})", file=path, cure="remove it, or record anew") from None


def read_negatives(path: str | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """A census or a stream of negatives.

    Args:
        path: Folder of parts, or one Parquet file that holds the columns of :data:`STREAM`.
        columns: Which to read; all if None.

    Returns:
        One row a negative in the order of the draws; ``attrs["provenance"]`` says where it comes from. Texts are
        categories.

    Raises:
        DataError: If nothing is there, a file is damaged, a column is missing, or parts are of different series.
    """
    path = Path(path)
    paths = [path] if path.is_file() else part_paths(path)
    if not paths:
        cure = "give the folder that a census or a recorder wrote; a census that could not afford a probe wrote none"
        raise DataError("no negatives", file=path, cure=cure)
    told = [provenance_of(p) for p in paths]
    for other, provenance in zip(paths, told, strict=True):
        if settled(provenance) != settled(told[0]):
            raise DataError(f"is of another series than {paths[0].name}", file=other, cure="keep series apart")
    tables = []
    for part in paths:
        there = pq.read_schema(part).names
        if missing := [c for c in columns or STREAM.names if c not in there]:
            raise DataError(f"no column {missing[0]!r}", file=part, cure="give a census or a stream of negatives")
        try:
            tables.append(pq.read_table(part, columns=None if columns is None else list(columns), partitioning=None))
            tables[-1].validate(full=True)
        except DAMAGED as error:
            raise DataError(f"damaged ({error})", file=part, cure="remove it, or record anew") from None
    try:
        frame = pa.concat_tables(tables).unify_dictionaries().to_pandas()
    except DAMAGED as error:
        raise DataError(f"damaged, or of different columns ({error})", file=path, cure="record anew") from None
    frame.attrs["provenance"] = told[-1]
    return frame


def _array(values, kind: pa.DataType) -> pa.Array:
    """Values as an Arrow array; NaN in numbers stays NaN, None becomes null."""
    if kind == WORDS:
        return pa.array(values, pa.string()).dictionary_encode()
    return pa.array(values, kind, from_pandas=False)
