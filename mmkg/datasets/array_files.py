"""Features from one array, ``.npy`` or ``.safetensors``, whose rows belong to the names in ``entities.txt``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from tqdm import tqdm

from mmkg.datasets.lines import read_lines, repeated
from mmkg.errors import DataError
from mmkg.types import Features

NAMES, MASK = "entities.txt", "mask"
CHUNK = 2**24  # values converted and checked at once


def read_array(
    path: Path,
    keys: Sequence[Sequence[str]],
    *,
    rows: int | None = None,
    width: int | None = None,
    exact: bool = True,
    progress: bool = True,
) -> Features:
    """Read the row of each entity that has one.

    The names of the rows stand in ``<stem>.entities.txt`` or else in ``entities.txt`` beside the file, one a line. A
    mask says which regions or sentences are there, where not all are: boolean ``[L, R]`` (``[L]`` for ``[L, D]``), as
    the tensor ``mask`` of a ``.safetensors`` file, or in ``<stem>.mask.npy`` beside an ``.npy`` file. What it leaves
    out is not read; an entity of which it leaves nothing has no features.

    Args:
        path: The file, of shape ``[L, D]`` (one region or sentence each) or ``[L, R, D]``; a ``.safetensors`` file
            holds that tensor under any name, and no other but the mask.
        keys: Names under which an entity may stand in ``entities.txt``, the first that is there counts; length ``N``.
        rows: Regions or sentences ``R``; those of the file if None.
        width: Columns ``D``; those of the file if None.
        exact: Only True: without a mask, a row that lacks regions cannot be told from one that has them.
        progress: Show a bar.

    Returns:
        Features ``[M, R, D]`` in float16. ``provenance`` counts entities that have none, rows of others, and rows of
        which the mask leaves nothing.

    Raises:
        DataError: If the file is cut short, pickled, of another shape or length than it should be, holds NaN or more
            than float16 can, or has a row for nobody; or if ``entities.txt`` is missing or names one twice.
    """
    if not exact:
        raise ValueError("read_array reads arrays of exactly R rows")
    cure = f"write {path.name} and its {NAMES} again, or move {path.name} away to go without it"
    names = _names(path)
    array = (_open_safetensors if path.suffix == ".safetensors" else _open_npy)(path, cure)
    _check(array, path, len(names), rows, width, cure)
    length, regions, columns = array.shape[0], array.shape[1] if len(array.shape) == 3 else 1, array.shape[-1]
    mask = np.ones((length, regions), dtype=bool) if array.mask is None else array.mask.reshape(length, regions)

    place = {name: at for at, name in enumerate(names)}
    at = np.array([next((place[key] for key in own if key in place), -1) for own in keys], dtype=np.int64)  # [N]
    if length and not (at >= 0).any():
        wanted = next((own[0] for own in keys if own), "")
        raise DataError(
            f"not one of {len(keys)} entities stands in its {NAMES}; the first name there is {names[0]!r}, and an "
            f"entity's is {wanted!r}",
            file=path,
            cure="write the entities' raw names, as in data.entity_names, or move the file away",
        )
    others = length - len(np.unique(at[at >= 0]))
    content = np.append(mask.any(1), True)  # [L + 1], the last for entities without a row, and where there is none
    hollow = ~content[at]  # [N]
    at[hollow] = -1
    wanted = at[at >= 0]  # [M], rows of the file in the order of entities
    values = np.zeros((len(wanted), regions, columns), dtype=np.float16)  # [M, R, D]
    order = np.argsort(wanted, kind="stable")
    step = max(1, CHUNK // max(1, regions * columns))
    for start in tqdm(range(0, length, step), desc=f"read {path.name}", disable=not progress, leave=False):
        stop = min(start + step, length)
        half = _half(array.take(start, stop).reshape(-1, regions, columns), mask[start:stop], path, names, start, cure)
        low, high = np.searchsorted(wanted[order], (start, stop))
        values[order[low:high]] = half[wanted[order[low:high]] - start]
    row = torch.full((len(keys),), -1, dtype=torch.long)
    row[torch.from_numpy(at) >= 0] = torch.arange(len(wanted))
    provenance = {"file": path.name, "entities": len(keys), "present": len(wanted), "absent": len(keys) - len(wanted)}
    provenance |= {"keys_in_file": length, "rows_of_others": others, "rows_without_content": int(hollow.sum())}
    return Features(values, torch.from_numpy(mask[wanted]), row, None, provenance)


def names_file(path: Path) -> Path:
    """Where the names of a file's rows stand: in a file of its own, or in one that it shares."""
    own = path.with_name(f"{path.stem}.{NAMES}")
    return own if own.is_file() else path.with_name(NAMES)


def mask_file(path: Path) -> Path:
    """Where the mask of an ``.npy`` file lies, if it has one."""
    return path.with_name(f"{path.stem}.{MASK}.npy")


def _names(path: Path) -> list[str]:
    """Names in the order of the rows, letter by letter."""
    file = names_file(path)
    if not file.is_file():
        cure = f"write {path.stem}.{NAMES} or {NAMES} beside it: one entity's name a line, in the order of the rows"
        raise DataError("nothing says whose its rows are", file=path, cure=cure)
    lines = read_lines(file)
    again = repeated(np.asarray(lines.text.dictionary_encode().indices))
    lines.fail_where(again, "name given twice: {line}", "keep one line for each row of the features")
    return lines.text.to_pylist()


@dataclass
class Opened:
    """An array in a file, of which nothing is read yet.

    Args:
        shape: ``[L, D]`` or ``[L, R, D]``, if it is as it should be.
        kind: Type of its values.
        floating: Whether they are floating-point numbers.
        take: Gives the rows from one number to another.
        mask: Booleans ``[L]`` or ``[L, R]``, or None.
        mask_file: Where the mask comes from.
    """

    shape: tuple[int, ...]
    kind: object
    floating: bool
    take: Callable[[int, int], np.ndarray]
    mask: np.ndarray | None
    mask_file: Path


def _open_npy(path: Path, cure: str) -> Opened:
    array, beside = _load_npy(path, cure), mask_file(path)
    mask = np.asarray(_load_npy(beside, cure)) if beside.is_file() else None
    floating = np.issubdtype(array.dtype, np.floating)
    return Opened(array.shape, array.dtype, floating, lambda a, b: np.asarray(array[a:b]), mask, beside)


def _load_npy(path: Path, cure: str) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header raises anything: ValueError, TokenError, OverflowError
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise DataError(f"not a whole .npy file ({reason})", file=path, cure=cure) from error
    if not isinstance(array, np.ndarray):  # numpy looks at what is inside, not at the name
        raise DataError("an .npz file under another name", file=path, cure="save one array with numpy.save")
    return array


def _open_safetensors(path: Path, cure: str) -> Opened:
    try:
        file = safe_open(path, framework="pt")
        names = [name for name in file.keys() if name != MASK]  # noqa: SIM118 (not a dict)
        if len(names) != 1:
            shown = ", ".join(map(repr, names)) or "no tensor"
            raise DataError(f"holds {shown}, expected one tensor of features", file=path, cure=cure)
        tensor = file.get_slice(names[0])
        shape, kind = tuple(tensor.get_shape()), tensor.get_dtype()
        mask = file.get_tensor(MASK).numpy() if MASK in file.keys() else None  # noqa: SIM118
    except (SafetensorError, OSError, TypeError) as error:  # TypeError: a mask of a type that numpy lacks
        raise DataError(f"not a whole .safetensors file ({error})", file=path, cure=cure) from error

    def take(start: int, stop: int) -> np.ndarray:
        part: Tensor = tensor[start:stop]
        return (part if part.dtype in (torch.float16, torch.float32, torch.float64) else part.float()).numpy()

    return Opened(shape, kind, "F" in kind, take, mask, path)  # F16, F32, F64, BF16, F8_…


def _check(array: Opened, path: Path, length: int, rows: int | None, width: int | None, cure: str) -> None:
    """Insist on shapes and types, before anything is read."""
    shape = array.shape
    wanted = [shape[1] if len(shape) == 3 else 1, shape[-1] if shape else 0]  # regions and columns as they are
    wanted = [given if given is not None else found for given, found in zip((rows, width), wanted, strict=True)]
    allowed = [wanted, wanted[1:]] if wanted[0] == 1 else [wanted]
    if list(shape[1:]) not in allowed or len(shape) < 2 or 0 in shape[1:] or not array.floating:
        expected = "[L, D] or [L, R, D]" if rows is None and width is None else str([length, *allowed[-1]])
        problem = f"holds {array.kind} {list(shape)}, expected {expected} of floating point"
        raise DataError(problem, file=path, cure=cure)
    if shape[0] != length:
        problem = f"has {shape[0]} rows, {names_file(path).name} beside it has {length} names"
        raise DataError(problem, file=path, cure=cure)
    if array.mask is not None and (array.mask.dtype != bool or array.mask.shape != shape[:-1]):
        problem = f"mask holds {array.mask.dtype} {list(array.mask.shape)}, expected bool {list(shape[:-1])}"
        raise DataError(problem, file=array.mask_file, cure=cure)


def _half(chunk: np.ndarray, mask: np.ndarray, path: Path, names: list[str], start: int, cure: str) -> np.ndarray:
    """Values ``[l, R, D]`` in float16, zero where the mask ``[l, R]`` says so, and checked where it does not."""
    with np.errstate(over="ignore", invalid="ignore"):
        half = np.array(chunk, dtype=np.float16)
    half[~mask] = 0
    bad = ~np.isfinite(half)
    if bad.any():
        at = int(np.flatnonzero(bad.any(axis=(1, 2)))[0])
        problem = f"row {start + at} ({names[start + at]!r}) holds {chunk[at][bad[at]][0]}, which is no float16 number"
        raise DataError(problem, file=path, cure=cure)
    return half
