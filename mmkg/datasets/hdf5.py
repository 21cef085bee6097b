"""Features from HDF5 files that hold one dataset per key, as MMRNS and MMKB release them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from mmkg.errors import DataError
from mmkg.types import Features


def read_hdf5(
    path: Path,
    keys: Sequence[Sequence[str]],
    *,
    rows: int,
    width: int | None = None,
    exact: bool = True,
    progress: bool = True,
) -> Features:
    """Read one array for each entity that has one.

    Args:
        path: The file.
        keys: Keys under which an entity's array may lie, the first that is there counts; length ``N``.
        rows: Rows ``R`` of an array (regions or sentences). An array ``[D]`` counts as one row.
        width: Columns ``D``; those of the first array if None.
        exact: Whether each array must have exactly ``R`` rows. If not, the first ``R`` are taken and missing ones are
            masked.
        progress: Show a bar.

    Returns:
        Features ``[M, R, D]`` in float16. ``provenance`` counts entities that have none, and the keys of the file.

    Raises:
        DataError: If the file is cut short, has an array for nobody, or an array has another shape, or holds NaN or
            more than float16 can.
    """
    import h5py

    cure = f"fetch {path.name} again, or move it away to go without it"
    values, masks, row = [], [], torch.full((len(keys),), -1, dtype=torch.long)
    try:
        with h5py.File(path, "r") as file:
            total, first = len(file), next(iter(file), None)
            for entity, names in enumerate(tqdm(keys, desc=f"read {path.name}", disable=not progress, leave=False)):
                # names such as AC/DC lie in a group "AC": look each key up instead of walking over the top level
                key = next((k for k in names if k and k in file and isinstance(file[k], h5py.Dataset)), None)
                if key is None:
                    continue
                shape, kind = file[key].shape, file[key].dtype
                width = shape[-1] if width is None and len(shape) in (1, 2) else width
                _check_shape(shape, kind, path, key, rows if exact else None, width, cure)
                array = np.atleast_2d(file[key][:rows] if len(shape) == 2 else file[key][:])  # [n or fewer, D]
                _check_values(array, path, key, cure)
                if not len(array):  # no sentence at all
                    continue
                row[entity] = len(values)
                padded = np.zeros((rows, width), dtype=np.float16)
                padded[: len(array)] = array[:rows]
                values.append(padded)
                masks.append(np.arange(rows) < len(array))
    except DataError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise DataError(f"not a whole HDF5 file ({_first_line(error)})", file=path, cure=cure) from error
    if not values:
        problem = f"not one of {len(keys)} entities has an array in it; its first key is {first!r}"
        raise DataError(problem, file=path, cure="see whether the file belongs to this dataset, or move it away")
    stacked, mask = np.stack(values), torch.from_numpy(np.stack(masks))
    found = len(values)
    provenance = {"file": path.name, "entities": len(keys), "present": found, "absent": len(keys) - found}
    provenance["keys_in_file"] = total
    return Features(stacked, mask, row, None, provenance)


def _check_shape(
    shape: tuple[int, ...], kind: np.dtype, path: Path, key: str, rows: int | None, width: int | None, cure: str
) -> None:
    """Insist on ``[R, D]`` or, of one row, ``[D]``, before anything is read: a few bytes may unpack to gigabytes."""
    whole = shape if len(shape) == 2 else (1, *shape)
    if (
        len(shape) not in (1, 2)
        or whole[1] != width
        or rows not in (None, whole[0])
        or not np.issubdtype(kind, np.floating)
    ):
        wanted = f"[{'n' if rows is None else rows}, {width}]"
        raise DataError(f"key {key!r} holds {kind} {list(shape)}, expected {wanted}", file=path, cure=cure)


def _check_values(array: np.ndarray, path: Path, key: str, cure: str) -> None:
    largest = np.abs(array).max(initial=0.0)
    if not largest <= np.finfo(np.float16).max:  # true for NaN, too
        value = array[~(np.abs(array) <= np.finfo(np.float16).max)][0]
        raise DataError(f"key {key!r} holds {value}, which is no float16 number", file=path, cure=cure)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip("'\"")[:120]
