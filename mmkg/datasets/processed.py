"""The processed graph on disk: topology and names in one file that holds no code and is never half written."""

from __future__ import annotations

import hashlib
import io
import warnings
import zipfile
from pathlib import Path
from pickle import PicklingError

import torch

from mmkg.errors import DataError
from mmkg.files import atomic_write, unwritable

FORMAT = 2  # one more whenever the same files would give another graph: what older code made is then made again


def fingerprint(files: list[Path], *more: str) -> str:
    """A hash of the content of some files and of some texts: what a processed graph was made from."""
    digest = hashlib.blake2b(digest_size=16)
    for text in (f"format {FORMAT}", *more):
        digest.update(f"{len(text)}:{text}".encode())
    for path in files:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest())
    return digest.hexdigest()


def write_processed(path: Path, data: dict | None, report: dict, made_from: str) -> None:
    """Write a graph; on any error nothing is left at ``path`` that was not there before.

    Args:
        path: The file.
        data: What ``Data.to_dict`` gives, or None where ``pre_filter`` refused the graph.
        report: Counts about the graph.
        made_from: Its :func:`fingerprint`.

    Raises:
        DataError: If it would take code to read the graph again, or the disk is full or not to be written to.
    """
    # in memory first: an error of the disk is then an error of the disk, and not whatever torch makes of it
    content = io.BytesIO()
    try:
        torch.save({"format": FORMAT, "made_from": made_from, "data": data, "report": report}, content)
        _load(content, path)  # what a pre_transform left in the graph may be more than tensors, texts and numbers
    except (DataError, PicklingError, TypeError, AttributeError) as error:  # the latter: what no file can hold
        cure = "let pre_transform leave tensors, numbers, texts and lists of them only, or use transform instead"
        raise DataError("the processed graph would need code to be read again", file=path, cure=cure) from error
    try:
        with atomic_write(path) as file:
            file.write(content.getbuffer())
    except OSError as error:
        raise unwritable(path, error) from error


def read_processed(path: Path) -> dict:
    """Read what :func:`write_processed` wrote. A file that would execute code is refused: there is no way around."""
    try:
        content = io.BytesIO(path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", file=path, cure="check its permissions") from error
    return _load(content, path)


def _load(content: io.BytesIO, path: Path) -> dict:
    """What a file holds; ``path`` is what errors call it."""
    cure = "delete it; it is made again from the raw files"
    try:
        with zipfile.ZipFile(content) as archive:  # torch itself does not look at the checksums in its files
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(damaged)
        content.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about files that torch did not write; they are refused
            payload = torch.load(content, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises anything: UnpicklingError, RuntimeError, IndexError, EOFError
        problem = "refused: cut short, damaged, or not a file of plain tensors and texts"
        raise DataError(problem, file=path, cure=cure) from error
    if not isinstance(payload, dict) or set(payload) != {"format", "made_from", "data", "report"}:
        raise DataError("not a processed graph of mmkg", file=path, cure=cure)
    return payload
