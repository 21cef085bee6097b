"""Checkpoints: one safetensors file each, written whole or not at all, checked before it is believed."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mmkg.errors import DataError
from mmkg.files import unwritable, written_whole

Tree = dict[str, Any]


def save_tree(path: Path, tensors: dict[str, Tensor], meta: Tree) -> None:
    """Write tensors and a JSON-able tree to one file, whole or not at all.

    Args:
        path: File to write; its folder is made if need be.
        tensors: Tensors by name.
        meta: Anything that JSON can hold.

    Raises:
        DataError: If it cannot be written: the disk is full, say. What stood there stays.
    """
    # clones: safetensors refuses tensors that share memory
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    told = json.dumps(meta)
    try:
        with written_whole(path) as temporary:
            save_file(plain, temporary, metadata={"mmkg": told, "blake2b": _digest(plain, told)})
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))  # the system's own, hidden in a text
        cause = OSError(int(number[1]) if number else errno.EIO, str(error))
        raise unwritable(path, cause, "choose another folder") from error
    except OSError as error:
        raise unwritable(path, error, "choose another folder") from error


def load_tree(path: Path) -> tuple[dict[str, Tensor], Tree]:
    """Tensors and tree of a file written by :func:`save_tree`.

    Raises:
        DataError: If the file is missing, damaged or of another kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            kept = file.metadata() or {}
            meta = json.loads(kept["mmkg"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError:
        raise DataError("no such file", file=path, cure="check the path of the run") from None
    except (SafetensorError, KeyError, json.JSONDecodeError, OSError) as error:
        raise DataError(
            f"not a whole mmkg file ({error})", file=path, cure="delete it and take an earlier one"
        ) from None
    if kept.get("blake2b", given := _digest(tensors, kept["mmkg"])) != given:  # files of before have none
        raise DataError("altered since it was written", file=path, cure="delete it and take an earlier one")
    return tensors, meta


def _digest(tensors: dict[str, Tensor], told: str) -> str:
    """Hash of all that a file holds: a disk that forgets or alters bytes changes no length."""
    state = hashlib.blake2b(told.encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        state.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        # bytes as they lie; numpy lacks some of torch's types
        state.update(memoryview(tensor.reshape(-1).view(torch.uint8).numpy()))
    return state.hexdigest()


def flatten_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], Tree]:
    """Split an optimiser's state into tensors by name and a JSON-able rest."""
    state = optimizer.state_dict()
    tensors, rest = {}, {}
    for number, entries in state["state"].items():
        for key, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{number}.{key}"] = value
            else:
                rest[f"{number}.{key}"] = value
    return tensors, {"rest": rest, "groups": state["param_groups"]}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], meta: Tree) -> None:
    """Give an optimiser the state that :func:`flatten_optimizer` took from its like."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in [*tensors.items(), *meta["rest"].items()]:
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": meta["groups"]})


class Checkpoints:
    """The latest checkpoints of a run in a folder.

    Args:
        folder: Where they lie; made if missing.
        keep: How many of the latest stay.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder, self.keep = Path(folder), keep

    def paths(self) -> list[Path]:
        """Checkpoints, latest first."""
        found = [p for p in self.folder.glob("step-*.safetensors") if re.fullmatch(r"step-\d+", p.stem)]
        return sorted(found, key=lambda p: int(p.stem.removeprefix("step-")), reverse=True)

    def newest(self) -> Path | None:
        """The latest checkpoint's file; None if there is none."""
        return next(iter(self.paths()), None)

    def save(self, step: int, tensors: dict[str, Tensor], meta: Tree) -> Path:
        """Write the checkpoint of a step and delete those beyond the number to keep."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"step-{step:08d}.safetensors"
        save_tree(path, tensors, meta)
        for old in self.paths()[self.keep :]:
            old.unlink(missing_ok=True)
        return path

    def latest(self) -> tuple[dict[str, Tensor], Tree] | None:
        """The latest whole checkpoint; damaged ones are passed over with a warning; None if there is none."""
        for path in self.paths():
            try:
                return load_tree(path)
            except DataError as error:
                warnings.warn(f"passed over a damaged checkpoint: {error}", stacklevel=2)
        return None
