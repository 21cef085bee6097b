"""The processed graph on disk: topology and names in one file that holds no code and is never half written."""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import torch

from mmkg.errors import DataError
from mmkg.files import written_whole

FORMAT = 1  # one more whenever the same files would give another graph: what older code made is then made again


def fingerprint(files: list[Path], *more: str) -> str:
    """A hash of the content of some files and of some texts: what a processed graph was made from."""
    digest = hashlib.blake2b(digest_size=16)
    for text in (f"format {FORMAT}", *more):
        digest.update(f"{len(text)}:{text}".encode())
    for path in files:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest())
    return digest.hexdigest()


def describe(function: Callable | None) -> str:
    """What a transform does, as far as can be told: its ``repr``, and of a plain function its code and surroundings.

    PyG compares by ``repr`` alone, under which any two lambdas of a place are one.
    """
    parts: list[object] = [function]
    code = getattr(function, "__code__", None)
    if code is not None:
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        parts += [code.co_code.hex(), code.co_names, code.co_consts, function.__defaults__, cells]
    return re.sub(r" at 0x[0-9a-f]+", "", repr(parts))


def write_processed(path: Path, data: dict | None, report: dict, made_from: str) -> None:
    """Write a graph; on any error nothing is left at ``path`` that was not there before.

    Args:
        path: The file.
        data: What ``Data.to_dict`` gives, or None where ``pre_filter`` refused the graph.
        report: Counts about the graph.
        made_from: Its :func:`fingerprint`.
    """
    with written_whole(path) as part:
        torch.save({"format": FORMAT, "made_from": made_from, "data": data, "report": report}, part)
        try:
            read_processed(part)  # what a pre_transform left in the graph may be more than tensors, texts and numbers
        except DataError as error:
            cure = "let pre_transform leave tensors, numbers, texts and lists of them only, or use transform instead"
            raise DataError("the processed graph would need code to be read again", file=path, cure=cure) from error


def read_processed(path: Path) -> dict:
    """Read what :func:`write_processed` wrote. A file that would execute code is refused: there is no way around."""
    cure = "delete it; it is made again from the raw files"
    try:
        payload = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError("refused: not a file of plain tensors and texts", file=path, cure=cure) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise DataError("cannot be read, cut short or not a processed graph", file=path, cure=cure) from error
    if not isinstance(payload, dict) or set(payload) != {"format", "made_from", "data", "report"}:
        raise DataError("not a processed graph of mmkg", file=path, cure=cure)
    return payload
