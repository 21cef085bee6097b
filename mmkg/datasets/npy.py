"""Features from a ``.npy`` file whose rows belong to the names in ``entities.txt`` beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from mmkg.datasets.readers import read_lines, repeated
from mmkg.errors import DataError
from mmkg.types import Features

NAMES = "entities.txt"


def read_npy(
    path: Path,
    keys: Sequence[Sequence[str]],
    *,
    rows: int,
    width: int | None = None,
    exact: bool = True,
    progress: bool = True,
) -> Features:
    """Read the row of each entity that has one.

    Args:
        path: The file, of shape ``[L, D]`` (one region each) or ``[L, R, D]``.
        keys: Names under which an entity may stand in ``entities.txt``, the first that is there counts; length ``N``.
        rows: Regions ``R``.
        width: Columns ``D``; those of the file if None.
        exact: Only True: a row that lacks regions cannot be told from one that has them.
        progress: Not used; it takes no time.

    Returns:
        Features ``[M, R, D]`` in float16. ``provenance`` counts entities that have none and rows that nobody asked for.

    Raises:
        DataError: If the file is cut short, of another shape or length than it should be, or holds NaN or more than
            float16 can; or if ``entities.txt`` is missing or names one twice.
    """
    if not exact:
        raise ValueError("read_npy reads arrays of exactly R rows")
    cure = f"fetch {path.name} and {NAMES} again, or move {path.name} away to go without it"
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise DataError(f"not a whole .npy file ({reason})", file=path, cure=cure) from error
    if isinstance(array, np.ndarray) and array.ndim == 2:
        array = array[:, None]  # [L, 1, D]
    names = _names(path.with_name(NAMES))
    _check(array, path, len(names), rows, width, cure)
    place = {name: at for at, name in enumerate(names)}
    at = [next((place[key] for key in own if key in place), -1) for own in keys]
    taken = np.array([row for row in at if row >= 0], dtype=np.int64)  # [M]
    row = torch.full((len(keys),), -1, dtype=torch.long)
    row[torch.tensor(at) >= 0] = torch.arange(len(taken))
    values = np.asarray(array[taken], dtype=np.float16)
    provenance = {"file": path.name, "entities": len(keys), "present": len(taken), "absent": len(keys) - len(taken)}
    provenance["keys_in_file"] = len(names)
    return Features(values, torch.ones(values.shape[:2], dtype=torch.bool), row, None, provenance)


def _names(path: Path) -> list[str]:
    """Names in the order of the rows."""
    lines = read_lines(path)
    again = repeated(np.asarray(lines.text.dictionary_encode().indices))
    lines.fail_where(again, "name given twice: {line}", "keep one line for each row of the features")
    return [name.strip() for name in lines.text.to_pylist()]


def _check(array: np.ndarray, path: Path, length: int, rows: int, width: int | None, cure: str) -> None:
    shape, kind = list(getattr(array, "shape", ())), getattr(array, "dtype", type(array).__name__)
    regions = f"{rows}, " if rows != 1 else ""
    shape_ok = len(shape) == 3 and shape[1] == rows and (width is None or shape[2] == width)
    if not shape_ok or not np.issubdtype(kind, np.floating):
        shown = [shape[0], shape[2]] if len(shape) == 3 and shape[1] == 1 else shape
        wanted = f"[{length}, {regions}{'D' if width is None else width}] of floating point"
        raise DataError(f"holds {kind} {shown}, expected {wanted}", file=path, cure=cure)
    if shape[0] != length:
        raise DataError(f"has {shape[0]} rows, {NAMES} beside it has {length} names", file=path, cure=cure)
    bad = ~(np.abs(array) <= np.finfo(np.float16).max).all(axis=(1, 2))  # true for NaN, too
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        value = array[at][~(np.abs(array[at]) <= np.finfo(np.float16).max)].flat[0]
        raise DataError(f"row {at} holds {value}, which is no float16 number", file=path, cure=cure)
