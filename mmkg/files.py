"""Files that are there in full or not at all."""

from __future__ import annotations

import errno
import glob
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import psutil

from mmkg.errors import DataError

STALE_SECONDS = 86_400  # a temporary file that nobody has written to for so long was left by a writer that is dead
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path to write to, whose file takes its real name only when it is complete.

    For what is written by functions that take a path; :func:`atomic_write` is for what is written piece by piece.

    Args:
        path: Where the file is to be; its folder is made if need be.

    Yields:
        A path beside ``path``, another one for every writer. When the block ends well, the file there is flushed to the
        disk and renamed; when the block raises, Ctrl-C included, it is removed and what stood at ``path`` stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent, f".{glob.escape(path.name)}.*.tmp")
    # a name of its own for every writer: two processes, or two threads, never write into the same file
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode  # who may read it, by the user's own mask; safetensors lets the owner alone
        temporary.unlink()
        yield temporary
        temporary.chmod(mode)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that appears under its name only when it is complete, see :func:`written_whole`.

    Args:
        path: Where the file is to be; its folder is made if need be.

    Yields:
        A binary file beside ``path``.
    """
    with written_whole(path) as temporary, open(temporary, "wb") as file:
        yield file


def unwritable(path: Path, error: OSError, elsewhere: str = "name another place with root=") -> DataError:
    """What to tell a user where a file cannot be written.

    Args:
        path: The file.
        error: What the system says.
        elsewhere: How to write to another place.
    """
    what = "make room on the disk" if error.errno in FULL else "make it writable"
    problem = f"cannot be written ({error.strerror or error})"
    return DataError(problem, file=path, cure=f"{what}, or {elsewhere}")


def sweep(folder: Path, pattern: str = ".*.tmp") -> None:
    """Remove what writers left half-written that were killed more than a day ago.

    Age is told by clocks, which jump, so that what a process of this machine may still be writing stays.

    Args:
        folder: Where to look.
        pattern: Names of temporary files.
    """
    for path in folder.glob(pattern):
        with suppress(OSError):  # another process was faster, or the folder is read-only
            if time.time() - path.stat().st_mtime > STALE_SECONDS and not _written_now(path):
                path.unlink()


def _written_now(path: Path) -> bool:
    """Whether the process that a temporary file is named after is there (or another one of its number)."""
    number = re.search(r"\.(\d+)-[0-9a-f]{8}\.tmp$", path.name)
    return number is not None and psutil.pid_exists(int(number[1]))


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the system lets a folder be opened (Windows does not)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass  # some network file systems refuse; the rename itself has happened
    finally:
        os.close(handle)
