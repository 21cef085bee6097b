"""Members of a ``tar.gz`` read into memory: nothing is ever unpacked, so nothing can land outside a folder."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from mmkg.datasets.lines import Lines, lines_of
from mmkg.errors import DataError

LIMIT = 1 << 29  # bytes unpacked: ten times any benchmark, far less than an archive made to fill the memory


def read_members(path: Path, names: Sequence[str]) -> dict[str, Lines]:
    """Lines of some members of an archive.

    Args:
        path: The ``tar.gz``.
        names: Exact names of the members wanted.

    Returns:
        Lines by name; errors call a member ``<archive>/<name>``.

    Raises:
        DataError: If the archive is cut short or altered, or lacks a member or holds it twice, or if anything in it is
            neither a plain file nor a folder, or has a name that points outside.
    """
    cure = f"delete {path} and fetch it again"
    content: dict[str, bytes] = {}
    try:
        with gzip.open(path) as stream:
            unpacked = stream.read(LIMIT + 1)  # to the end, where gzip keeps its checksum
        if len(unpacked) > LIMIT:
            raise DataError(f"unpacks to more than {LIMIT >> 20} MiB", file=path, cure=cure)
        with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as archive:
            members = archive.getmembers()
            for member in members:
                _check(member, path)
                if member.name in names and member.isreg():
                    if member.name in content:
                        raise DataError(f"holds {member.name!r} twice", file=path, cure=cure)
                    content[member.name] = archive.extractfile(member).read()
    except DataError:
        raise
    except (OSError, EOFError, ValueError, OverflowError, zlib.error, tarfile.TarError) as error:
        raise DataError(f"not a whole tar.gz ({error or type(error).__name__})", file=path, cure=cure) from error
    for name in names:
        if name not in content:
            inside = ", ".join(repr(member.name) for member in members[:8]) or "nothing"
            raise DataError(f"lacks {name!r}; holds {inside}", file=path, cure=cure)
    return {name: lines_of(content[name], path / name) for name in names}


def _check(member: tarfile.TarInfo, path: Path) -> None:
    name, cure = PurePosixPath(member.name.replace("\\", "/")), "do not use this archive; fetch it from its source"
    if name.is_absolute() or ".." in name.parts:
        raise DataError(f"member {member.name!r} points outside the archive", file=path, cure=cure)
    if member.issparse() or not (member.isreg() or member.isdir()):
        raise DataError(f"member {member.name!r} is a link or another thing than a file", file=path, cure=cure)
