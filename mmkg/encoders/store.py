"""Features on disk: memory-mapped values, small parts beside them, checked on the way in and on the way out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from mmkg.errors import DataError
from mmkg.files import atomic_write
from mmkg.types import Features

FORMAT, VERSION = "mmkg-features", 1
_CURE = "delete {stem}.* and build the features again"
_CHUNK = 64 * 2**20  # values are converted and checked so many elements at a time
_SAMPLE = 64


def save_features(stem: Path, features: Features) -> None:
    """Write features as ``<stem>.npy``, ``<stem>.safetensors`` and ``<stem>.json``.

    Each file appears complete or not at all, the JSON last; features without their JSON are never read.

    Args:
        stem: Path without ending; a name with dots is taken as it is.
        features: What to write; values ``[M, R, D]`` become float16.

    Raises:
        DataError: Shapes disagree, or a value is NaN, infinite or beyond float16's 65504; the entity is named.
    """
    stem = Path(stem)
    _check(features.values.shape, features.mask, features.row, features.boxes, stem)
    files = _files(stem)
    shape = tuple(int(n) for n in features.values.shape)
    rows = max(1, _CHUNK // max(1, shape[1] * shape[2]))
    # from here to the end there is no JSON: a reader finds nothing rather than new parts beside old ones
    files["json"].unlink(missing_ok=True)
    with atomic_write(files["npy"]) as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, shape[0], rows):
            file.write(_half_chunk(features, start, rows, stem).tobytes())
        size = file.tell()
    tensors = {"mask": features.mask.bool().cpu().contiguous(), "row": features.row.long().cpu().contiguous()}
    if features.boxes is not None:
        tensors["boxes"] = features.boxes.float().cpu().contiguous()
    small = save_tensors(tensors)
    with atomic_write(files["safetensors"]) as file:
        file.write(small)
    about = {
        "format": FORMAT,
        "version": VERSION,
        "shape": shape,
        "dtype": "float16",
        "entities": features.row.numel(),
        "npy_bytes": size,
        "npy_sample": _sample(np.load(files["npy"], mmap_mode="r" if size and 0 not in shape else None)),
        "safetensors_blake2b": hashlib.blake2b(small, digest_size=16).hexdigest(),
        "provenance": features.provenance,
    }
    with atomic_write(files["json"]) as file:
        file.write(json.dumps(about, indent=1, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace"))


def load_features(stem: Path) -> Features:
    """Read features that :func:`save_features` wrote; values stay on the disk until rows are asked for.

    Args:
        stem: Path without ending.

    Returns:
        Features with memory-mapped values ``[M, R, D]``, float16, read-only.

    Raises:
        DataError: Files are missing, truncated, damaged, pickled or of another format; file, value and cure are named.
    """
    stem = Path(stem)
    files, cure = _files(stem), _CURE.format(stem=stem)
    if not files["json"].is_file():
        started = [path.name for kind, path in files.items() if path.exists()]
        raise DataError(
            f"only {', '.join(started)} is there: writing was stopped half-way" if started else "no such features",
            file=files["json"],
            cure=cure if started else "check the path, or build the features",
        )
    try:
        about = json.loads(files["json"].read_text(encoding="utf-8"))
        if about["format"] != FORMAT or about["version"] != VERSION or about["dtype"] != "float16":
            raise ValueError(
                f"{about['format']} {about['version']} {about['dtype']}, expected {FORMAT} {VERSION} float16"
            )
        shape = tuple(int(n) for n in about["shape"])
        entities, size, sample = int(about["entities"]), int(about["npy_bytes"]), str(about["npy_sample"])
        checksum, provenance = str(about["safetensors_blake2b"]), dict(about["provenance"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"not a description of features ({error!r})", file=files["json"], cure=cure) from error
    values = _load_values(files["npy"], shape, size, sample, cure)
    mask, row, boxes = _load_small(files["safetensors"], checksum, cure)
    _check(shape, mask, row, boxes, files["safetensors"], cure)
    if row.numel() != entities:
        raise DataError(f"{row.numel()} entities, {entities} announced", file=files["safetensors"], cure=cure)
    return Features(values, mask, row, boxes, provenance)


def _files(stem: Path) -> dict[str, Path]:
    """The three files; not ``with_suffix``, which would cut ``v1.5`` to ``v1``."""
    return {kind: stem.with_name(f"{stem.name}.{kind}") for kind in ("npy", "safetensors", "json")}


def _check(
    shape: tuple[int, ...], mask: Tensor, row: Tensor, boxes: Tensor | None, file: Path, cure: str | None = None
) -> None:
    """Insist that the parts of features fit together."""
    problem = None
    if len(shape) != 3:
        problem = f"values of shape {tuple(shape)}, expected [M, R, D]"
    elif tuple(mask.shape) != tuple(shape[:2]):
        problem = f"mask of shape {tuple(mask.shape)}, expected {tuple(shape[:2])}"
    elif row.dim() != 1 or row.is_floating_point():
        problem = f"row of shape {tuple(row.shape)}, {row.dtype}; expected integers [N]"
    elif row.numel() and not (int(row.min()) >= -1 and int(row.max()) < shape[0]):
        entity = int(torch.nonzero((row < -1) | (row >= shape[0]))[0])
        problem = f"entity {entity} has row {int(row[entity])}, expected -1 to {shape[0] - 1}"
    elif boxes is not None and tuple(boxes.shape) != (shape[1], 4):
        problem = f"boxes of shape {tuple(boxes.shape)}, expected {(shape[1], 4)}"
    if problem:
        raise DataError(problem, file=file, cure=cure)


def _half_chunk(features: Features, start: int, rows: int, stem: Path) -> np.ndarray:
    """Rows ``[start, start + rows)`` in float16, checked."""
    chunk = features.values[start : start + rows]
    chunk = chunk.detach().cpu().float().numpy() if isinstance(chunk, Tensor) else np.asarray(chunk)  # [m, R, D]
    with np.errstate(over="ignore", invalid="ignore"):
        half = np.ascontiguousarray(chunk, dtype="<f2")
    bad = ~np.isfinite(half).all(axis=(1, 2))  # [m, R, D] -> [m]
    if bad.any():
        m = start + int(bad.argmax())
        owner = torch.nonzero(features.row.cpu() == m).flatten().tolist()
        worst = chunk[m - start][~np.isfinite(half[m - start])][0]
        who = f"entity {owner[0]} (row {m})" if owner else f"row {m}, which belongs to no entity"
        raise DataError(
            f"value {worst} of {who} cannot be stored in float16",
            file=_files(stem)["npy"],
            cure="look at what encoded it, or mask the region and set it to zero",
        )
    return half


def _load_values(path: Path, shape: tuple[int, ...], size: int, sample: str, cure: str) -> np.ndarray:
    """The values ``[M, R, D]``, memory-mapped and looked at."""
    try:
        if path.stat().st_size != size:
            raise ValueError(f"{path.stat().st_size} bytes, expected {size}")
        values = np.load(path, mmap_mode=None if 0 in shape else "r", allow_pickle=False)  # nothing cannot be mapped
    except Exception as error:  # a damaged header raises anything: ValueError, TokenError, OverflowError
        raise DataError(f"values cannot be read ({error})", file=path, cure=cure) from error
    if values.shape != shape or values.dtype != np.dtype("<f2"):
        raise DataError(f"values {values.shape} {values.dtype}, expected {shape} float16", file=path, cure=cure)
    rows = values[_sample_rows(shape[0])]  # [64 or fewer, R, D]
    if not np.isfinite(rows).all():
        raise DataError("NaN or infinity among the values", file=path, cure=cure)
    if _sample(values) != sample:
        raise DataError("values are not those that were written", file=path, cure=cure)
    return values


def _load_small(path: Path, checksum: str, cure: str) -> tuple[Tensor, Tensor, Tensor | None]:
    """Mask ``[M, R]``, row ``[N]`` and boxes ``[R, 4]`` or None, by checksum."""
    try:
        raw = path.read_bytes()
        if hashlib.blake2b(raw, digest_size=16).hexdigest() != checksum:
            raise ValueError("its checksum is another than that in the JSON")
        tensors = load_tensors(raw)
        return tensors["mask"].bool(), tensors["row"].long(), tensors.get("boxes")
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise DataError(f"mask, rows and boxes cannot be read ({error})", file=path, cure=cure) from error


def _sample_rows(count: int) -> np.ndarray:
    """Up to 64 rows, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, _SAMPLE)).round().astype(np.int64))


def _sample(values: np.ndarray) -> str:
    """Hash of a sample of the values ``[M, R, D]``: all of a gigabyte would take seconds at every start."""
    rows = np.ascontiguousarray(values[_sample_rows(values.shape[0])])  # [64 or fewer, R, D]
    return hashlib.blake2b(rows.tobytes(), digest_size=16).hexdigest()
