"""A cache of encoded items keyed by content, which survives Ctrl-C, kill, damage and other processes."""

from __future__ import annotations

import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from mmkg.encoders.fingerprints import KEY_BYTES, digest, safe_name
from mmkg.encoders.threads import idle_cores_only
from mmkg.files import atomic_write, sweep

Produce = Callable[[list[bytes]], Iterator[tuple[int, list[bytes], np.ndarray]]]


class ShardCache:
    """Encoded items in shards: npz files that are only ever added, each complete from its first moment.

    Args:
        root: The cache's folder; None keeps nothing.
        name: The encoder's name, for a folder that a person recognises.
        identity: Everything that decides an item's values except the item (fingerprint, options).
        shape: Shape of one item's values.
        flush_seconds: A shard is written at the latest after so long; a killed run loses no more than that.
        flush_items: A shard is written at the latest after so many items.
    """

    def __init__(
        self,
        root: Path | None,
        name: str,
        identity: str,
        shape: tuple[int, ...],
        *,
        flush_seconds: float = 10.0,
        flush_items: int = 1024,
    ) -> None:
        self.shape, self.flush_seconds, self.flush_items = tuple(shape), flush_seconds, flush_items
        self.note: tuple[int, ...] | None = None
        identity = digest(identity, str(self.shape)).hex()
        self.identity = identity
        self.folder = None if root is None else Path(root) / f"{safe_name(name)}-{identity[:12]}"
        self._keys: list[bytes] = []
        self._values: list[np.ndarray] = []
        self._written = time.monotonic()
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            sweep(self.folder)

    def key(self, content: bytes) -> bytes:
        """The key (16 bytes) of an item's content under this cache's encoder and options."""
        return digest(self.identity, content)

    def load(self, rows_of: dict[bytes, list[int]], out: np.ndarray) -> set[bytes]:
        """Copy what is cached to where it is wanted.

        Args:
            rows_of: Rows of ``out`` that want each key.
            out: Array to fill, shape ``[n, *shape]``, float16.

        Returns:
            The keys that were found. Damaged shards are removed with a warning and count as not found.
        """
        found: set[bytes] = set()
        if self.folder is None:
            return found
        for path in sorted(self.folder.glob("*.npz")):
            try:
                keys, values, note = self._read(path, rows_of.keys() - found)
            except FileNotFoundError:
                continue  # another process removed it
            except (OSError, MemoryError) as error:  # the system's trouble is no proof of damage: leave the file alone
                warnings.warn(f"{path}: cannot be read ({error}); its items are encoded anew", stacklevel=2)
                continue
            except Exception as error:  # a damaged zip raises anything: BadZipFile, NotImplementedError, RuntimeError
                warnings.warn(f"{path}: damaged ({error}); removed, its items are encoded anew", stacklevel=2)
                path.unlink(missing_ok=True)
                continue
            for key, value in zip(keys, values, strict=True):
                if key in rows_of and key not in found:
                    out[rows_of[key]] = value
                    found.add(key)
                    self.note = note
        return found

    def _read(self, path: Path, wanted: set[bytes]) -> tuple[list[bytes], np.ndarray, tuple[int, ...]]:
        """Keys ``[n]``, values ``[n, *shape]`` and note of a shard, or nothing of it if nothing is wanted."""
        with np.load(path, allow_pickle=False) as shard:
            table, note = shard["keys"], tuple(int(x) for x in shard["note"])
            if table.dtype != np.uint8 or table.ndim != 2 or table.shape[1] != KEY_BYTES:
                raise ValueError(f"keys of shape {table.shape}, {table.dtype}")
            keys = [row.tobytes() for row in table]
            if wanted.isdisjoint(keys):
                return [], np.empty((0, *self.shape), np.float16), note  # the values are not even read
            values = shard["values"]  # zip's checksum is verified by this reading
        if values.shape != (len(keys), *self.shape) or values.dtype != np.float16:
            raise ValueError(f"values of shape {values.shape}, {values.dtype}")
        if not np.isfinite(values).all():
            raise ValueError("NaN or infinity among its values")
        if self.note is not None and note != self.note:
            raise ValueError(f"note {note} where other shards have {self.note}")
        return keys, values, note

    def add(self, keys: Sequence[bytes], values: np.ndarray) -> None:
        """Keep new items; they reach the disk within ``flush_seconds`` or at :meth:`flush`.

        Args:
            keys: Keys of the items, ``n`` of them.
            values: Their values, shape ``[n, *shape]``, float16.
        """
        if self.folder is None or not keys:
            return
        self._keys.extend(keys)
        self._values.append(values)
        if len(self._keys) >= self.flush_items or time.monotonic() - self._written >= self.flush_seconds:
            self.flush()

    def flush(self) -> None:
        """Write a shard of all that was added since the last one."""
        if self.folder is not None and self._keys:
            table = np.frombuffer(b"".join(self._keys), np.uint8).reshape(-1, KEY_BYTES)  # [n * 16] -> [n, 16]
            with atomic_write(self.folder / f"{uuid.uuid4().hex}.npz") as file:
                note = np.array(self.note or (), np.int64)
                np.savez(file, keys=table, values=np.concatenate(self._values), note=note)  # values [n, *shape]
            self._keys, self._values = [], []
        self._written = time.monotonic()


def fill(
    out: np.ndarray,
    rows_of: dict[bytes, list[int]],
    produce: Produce,
    cache: ShardCache,
    *,
    label: str,
    progress: bool,
    device: torch.device | None = None,
) -> int:
    """Fill an array with items from the cache and with freshly encoded ones.

    Args:
        out: Array to fill, shape ``[n, *shape]``, float16.
        rows_of: Rows of ``out`` that want each key.
        produce: Encodes the keys that it is given, batch by batch: yields how many keys it went through, and keys and
            values ``[m, *shape]`` of those that could be encoded.
        cache: Where finished items are looked up and kept, also when encoding is stopped half-way.
        label: What the progress bar says.
        progress: Whether there is one.
        device: Where ``produce`` computes; None is taken for the CPU.

    Returns:
        How many items were encoded and not found in the cache.
    """
    found = cache.load(rows_of, out)
    missing = [key for key in rows_of if key not in found]
    encoded = 0
    if missing:
        bar = tqdm(total=len(rows_of), initial=len(found), desc=label, disable=not progress)
        try:
            with idle_cores_only(device):
                for seen, keys, values in produce(missing):
                    for key, value in zip(keys, values, strict=True):
                        out[rows_of[key]] = value
                    cache.add(keys, values)
                    encoded += len(keys)
                    bar.update(seen)
        finally:  # Ctrl-C and errors keep what is done
            cache.flush()
            bar.close()
    return encoded
