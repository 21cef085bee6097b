"""Pictures of entities to features: one vector per region."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from os import PathLike, fspath
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mmkg.encoders.half import to_half
from mmkg.encoders.pictures import UnreadableError, decode_picture, read_bytes, strict_pillow
from mmkg.encoders.pooling import pool_patches, region_boxes
from mmkg.encoders.protocols import PictureEncoder
from mmkg.encoders.shards import ShardCache, fill
from mmkg.encoders.vision_encoders import VisionEncoder
from mmkg.errors import DataError
from mmkg.types import Features

_READERS = 4


def encode_images(
    paths: Sequence[Path | str | None],
    encoder: PictureEncoder | None = None,
    *,
    regions: tuple[int, int] = (4, 6),
    cache: Path | None = None,
    batch_size: int = 16,
    progress: bool = True,
) -> Features:
    """Encode the picture of each entity.

    Args:
        paths: For each entity its picture file, or None where it has none.
        encoder: Encoder of pictures; BEiT (``microsoft/beit-base-patch16-224``) through transformers if None.
        regions: Rows and columns of regions; each is the average of the patches that it covers. R = rows * cols.
        cache: Folder that remembers encoded pictures, so that a stopped run goes on where it was; None for none.
        batch_size: Pictures encoded at a time, >= 1.
        progress: Whether to show a progress bar.

    Returns:
        Features with values ``[M, R, D]`` in float16 for the M entities that have a picture, row-major over the grid of
        regions, and the regions' boxes (None if there is no picture at all). Pictures that cannot be read count as
        absent: a warning says how many, and ``provenance["unreadable"]`` lists ``[path, reason]`` of each.

    Raises:
        DataError: An argument is out of range, or the encoder gave another shape than it says.
        NumericsError: The encoder gave a value that float16 cannot hold.
    """
    if len(regions) != 2 or min(regions) < 1 or batch_size < 1:
        raise DataError(f"regions {regions}, batch_size {batch_size}: two counts and one, all at least 1")
    files = _check_paths(paths)
    encoder = VisionEncoder() if encoder is None else encoder
    # the number stands for how pictures are decoded and pooled: raise it when that changes
    count, identity = regions[0] * regions[1], f"image-1 {encoder.fingerprint} {tuple(regions)}"
    shards = ShardCache(cache, encoder.name, identity, (count, encoder.dim))
    key_of, reasons = _content_keys(files, shards)

    wanted = [i for i, file in enumerate(files) if file in key_of]
    out = np.empty((len(wanted), count, encoder.dim), np.float16)  # [M or more, R, D]
    rows_of: dict[bytes, list[int]] = {}
    paths_of: dict[bytes, list[str]] = {}
    for m, i in enumerate(wanted):
        rows_of.setdefault(key_of[files[i]], []).append(m)
    for file, key in key_of.items():
        paths_of.setdefault(key, []).append(file)

    def produce(missing: list[bytes]) -> Iterator[tuple[int, list[bytes], np.ndarray]]:
        for batch in _decoded(missing, paths_of, shards, batch_size):
            bad = {key: picture for key, picture in batch if isinstance(picture, UnreadableError)}
            reasons.update({file: str(error) for key, error in bad.items() for file in paths_of[key]})
            keys = [key for key, _ in batch if key not in bad]
            values = np.empty((0, count, encoder.dim), np.float16)
            if keys:
                patches = torch.as_tensor(encoder.encode([p for key, p in batch if key not in bad]))  # [b, H, W, D]
                _check_grid(patches.shape, len(keys), encoder, shards)
                pooled = pool_patches(patches, regions)  # [b, R, D]
                seen = [paths_of[key][0] for key in keys]
                values = to_half(pooled, lambda r, seen=seen: f"the picture {seen[r]}")  # type: ignore[misc]
            yield len(batch), keys, values

    label, device = f"pictures ({encoder.name})", getattr(encoder, "device", None)
    with strict_pillow():
        encoded = fill(out, rows_of, produce, shards, label=label, progress=progress, device=device)
    present = [i for i in wanted if files[i] not in reasons]
    if len(present) < len(wanted):
        out = _without_gaps(out, [m for m, i in enumerate(wanted) if files[i] not in reasons])  # [M, R, D]
    row = torch.full((len(files),), -1, dtype=torch.int64)  # [N]
    row[present] = torch.arange(len(present))
    provenance = {
        "modality": "image",
        "encoder": encoder.name,
        "fingerprint": encoder.fingerprint,
        "regions": list(regions),
        "grid": None if shards.note is None else list(shards.note),
        "entities": len(files),
        "present": len(present),
        "absent": sum(file is None for file in files),
        "unreadable": [[file, reason] for file, reason in reasons.items()],
        "distinct": len({key_of[files[i]] for i in present}),
        "encoded": encoded,
    }
    if reasons:
        lost = sum(file in reasons for file in files)
        file, reason = next(iter(reasons.items()))
        warnings.warn(
            f"{len(reasons)} picture{'s' * (len(reasons) != 1)} cannot be read, {lost} of {len(files)} entities "
            f"count{'s' * (lost == 1)} as without a picture; "
            f"all are listed in provenance['unreadable'], the first: {file} ({reason})",
            stacklevel=2,
        )
    boxes = None if shards.note is None else region_boxes((shards.note[0], shards.note[1]), regions)  # [R, 4]
    mask = torch.ones(len(present), count, dtype=torch.bool)  # [M, R]
    return Features(torch.from_numpy(out), mask, row, boxes, provenance)


def _check_paths(paths: Sequence[Path | str | None]) -> list[str | None]:
    """The paths as text."""
    if isinstance(paths, str | PathLike):
        raise DataError(f"paths is {paths!r}, expected one path (or None) for each entity")
    for i, path in enumerate(paths):
        if path is not None and not isinstance(path, str | PathLike):
            raise DataError(f"picture of entity {i} is {path!r:.60}, expected a path or None")
    return [None if path is None else fspath(path) for path in paths]


def _content_keys(files: list[str | None], shards: ShardCache) -> tuple[dict[str, bytes], dict[str, str]]:
    """Key of each distinct file's content, and the reasons of those that cannot be read."""

    def key(file: str) -> bytes | UnreadableError:
        try:
            return shards.key(read_bytes(Path(file)))
        except UnreadableError as error:
            return error

    distinct = list(dict.fromkeys(file for file in files if file is not None))
    with ThreadPoolExecutor(_READERS) as pool:
        results = dict(zip(distinct, pool.map(key, distinct), strict=True))
    keys = {file: result for file, result in results.items() if isinstance(result, bytes)}
    return keys, {file: str(result) for file, result in results.items() if not isinstance(result, bytes)}


def _decoded(
    missing: list[bytes], paths_of: dict[bytes, list[str]], shards: ShardCache, batch_size: int
) -> Iterator[list[tuple[bytes, Image.Image | UnreadableError]]]:
    """Batches of decoded pictures; the next batch is decoded by threads while the encoder works on this one."""

    def decode(key: bytes) -> Image.Image | UnreadableError:
        try:
            data = read_bytes(Path(paths_of[key][0]))
            if shards.key(data) != key:  # what is cached under a key must be that content
                raise UnreadableError("changed while it was being encoded; run again")
            return decode_picture(data)
        except UnreadableError as error:
            return error

    batches = [missing[start : start + batch_size] for start in range(0, len(missing), batch_size)]
    pool = ThreadPoolExecutor(_READERS)
    try:
        ahead: list[Future] = [pool.submit(decode, key) for key in batches[0]]
        for i, batch in enumerate(batches):
            pictures = [future.result() for future in ahead]
            ahead = [pool.submit(decode, key) for key in batches[i + 1]] if i + 1 < len(batches) else []
            yield list(zip(batch, pictures, strict=True))
    finally:
        pool.shutdown(cancel_futures=True)


def _check_grid(shape: torch.Size, count: int, encoder: PictureEncoder, shards: ShardCache) -> None:
    """Remember the encoder's grid with the shards, and insist that it is one and the same."""
    if len(shape) != 4 or shape[0] != count or shape[3] != encoder.dim:
        raise DataError(f"{encoder.name} gave {tuple(shape)} for {count} pictures, expected [n, H, W, {encoder.dim}]")
    grid = (int(shape[1]), int(shape[2]))
    if shards.note is not None and shards.note != grid:
        raise DataError(f"{encoder.name} gave a grid of {grid} after one of {shards.note}: boxes would differ")
    shards.note = grid


def _without_gaps(out: np.ndarray, keep: list[int]) -> np.ndarray:
    """The rows to keep, moved to the front of the same memory: a copy might not fit."""
    for new, old in enumerate(keep):
        if new != old:
            out[new] = out[old]
    return out[: len(keep)]
