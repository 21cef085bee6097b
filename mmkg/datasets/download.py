"""Raw files: found beside the graph, in ``MMKG_RAW``, or fetched once and checked."""

from __future__ import annotations

import hashlib
import http.client
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from mmkg.errors import DataError
from mmkg.files import written_whole


@dataclass(frozen=True)
class Remote:
    """A released file.

    Args:
        url: Where it lies.
        sha256: Of its content, in hexadecimal; None where it is not known, and then not checked.
    """

    url: str
    sha256: str | None = None


def fetch(remote: Remote, path: Path, hint: str, timeout: float = 30.0) -> Path:
    """Download a file, with a progress bar, and check its content.

    Args:
        remote: The file.
        path: Where it is to lie.
        hint: Folder inside ``MMKG_RAW`` where it is looked for, told in the error.
        timeout: Seconds without an answer that count as failure.

    Raises:
        DataError: If it cannot be had or is not what was released; nothing is left at ``path`` then.
    """
    cure = f"put {path.name} at {path}, or set MMKG_RAW to a folder that holds {hint}/{path.name}"
    with written_whole(path) as part:
        digest = hashlib.sha256()
        try:
            with urllib.request.urlopen(remote.url, timeout=timeout) as answer, open(part, "wb") as file:
                size = int(answer.headers.get("Content-Length") or 0) or None
                with tqdm(total=size, unit="B", unit_scale=True, desc=f"download {path.name}") as bar:
                    while block := answer.read(1 << 20):
                        file.write(block)
                        digest.update(block)
                        bar.update(len(block))
        except (OSError, ValueError, http.client.HTTPException) as error:  # URLError is an OSError
            reason = getattr(error, "reason", None) or error
            raise DataError(f"missing, and {remote.url} cannot be fetched ({reason})", file=path, cure=cure) from error
        if remote.sha256 is not None and digest.hexdigest() != remote.sha256:
            raise DataError(
                f"{remote.url} holds another file than was released (sha256 {digest.hexdigest()[:12]}…, expected "
                f"{remote.sha256[:12]}…)",
                file=path,
                cure=cure,
            )
    return path
