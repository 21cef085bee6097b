"""Raw files: found beside the graph, in ``MMKG_RAW``, or fetched once and checked."""

from __future__ import annotations

import hashlib
import http.client
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from mmkg.errors import DataError
from mmkg.files import unwritable, written_whole


@dataclass(frozen=True)
class Remote:
    """A released file.

    Args:
        url: Where it lies.
        sha256: Of its content, in hexadecimal; None where it is not known, and then not checked.
    """

    url: str
    sha256: str | None = None


def fetch(remote: Remote, path: Path, cure: str, *, timeout: float = 30.0, progress: bool = True) -> Path:
    """Download a file, with a progress bar, and check its content.

    Args:
        remote: The file.
        path: Where it is to lie.
        cure: Where else it could be put, told in the error.
        timeout: Seconds without an answer that count as failure.
        progress: Show the bar.

    Returns:
        The path.

    Raises:
        DataError: If it cannot be had or written, or is not what was released; nothing is left at ``path`` then.
    """
    try:
        with written_whole(path) as part, open(part, "wb") as file:
            digest = hashlib.sha256()
            for block in _blocks(remote, path, cure, timeout, progress):
                file.write(block)
                digest.update(block)
            if remote.sha256 is not None and digest.hexdigest() != remote.sha256:
                raise DataError(
                    f"{remote.url} holds another file than was released (sha256 {digest.hexdigest()[:12]}…, expected "
                    f"{remote.sha256[:12]}…)",
                    file=path,
                    cure=cure,
                )
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def _blocks(remote: Remote, path: Path, cure: str, timeout: float, progress: bool) -> Iterator[bytes]:
    """A file's content, piece by piece, as many bytes as were announced."""
    received, problem = 0, f"missing, and {remote.url} cannot be fetched"
    try:
        with urllib.request.urlopen(remote.url, timeout=timeout) as answer:
            size = int(answer.headers.get("Content-Length") or 0) or None
            name = f"download {path.name}"
            with tqdm(total=size, unit="B", unit_scale=True, desc=name, disable=not progress) as bar:
                while block := answer.read(1 << 20):
                    received += len(block)
                    yield block
                    bar.update(len(block))
    except (OSError, ValueError, http.client.HTTPException) as error:  # URLError is an OSError
        raise DataError(f"{problem} ({getattr(error, 'reason', None) or error})", file=path, cure=cure) from error
    if size is not None and received != size:
        raise DataError(f"{problem} (it ended after {received:,} of {size:,} bytes)", file=path, cure=cure)
