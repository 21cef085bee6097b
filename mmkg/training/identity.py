"""What a checkpoint was made from and with, and what is another today: in words, before a number is overwritten."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmkg.errors import DataError
from mmkg.files import atomic_write

FREE = ("chunk", "memory", "training", "device")
"""Beginnings of settings that change how something is computed and not what."""

VOCABULARIES = ("entity_names", "relation_names")
NAMES_FILE = "names.json"

Names = dict[str, list[str]]


def identity(data, modules: dict[str, torch.nn.Module]) -> dict[str, dict]:
    """What must be the same for a state to be taken up again.

    Args:
        data: Graph with masks, and names if it has any.
        modules: What is trained, by name.

    Returns:
        JSON-able: for the dataset counts and hashes, for each module its kind, plain settings and shapes.
    """
    triples = torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], dim=1)  # [E, 3]
    told: dict[str, Any] = {"entities": int(data.num_nodes), "relations": int(data.num_relations)}
    for split in ("train", "val"):  # another test split changes nothing that training sees
        mine = triples[data[f"{split}_mask"]]
        told[f"{split} triples"] = f"{len(mine)}, hash {_of_tensor(mine)}"
    for key in VOCABULARIES:
        if (names := getattr(data, key, None)) is not None:
            told[key] = f"{len(names)}, hash {_of_names(names)}"
    return {"dataset": told} | {name: _of_module(module) for name, module in modules.items()}


def save_names(folder: Path, names: Names) -> None:
    """Keep the vocabularies beside the checkpoints, once, for what is told when they differ."""
    if names and not (folder / NAMES_FILE).exists():
        with atomic_write(folder / NAMES_FILE) as file:
            file.write(json.dumps(names).encode())


def check_identity(folder: Path, then: dict[str, dict] | None, now: dict[str, dict], names: Names) -> None:
    """Refuse the state of something else.

    Args:
        folder: Of the checkpoints.
        then: What the checkpoint says it was made from; None in checkpoints of before.
        now: What there is.
        names: Today's vocabularies.

    Raises:
        DataError: Naming each thing that differs, and of vocabularies the names.
    """
    if then is None or not (lines := differences(then, now)):
        return
    try:
        before = json.loads((folder / NAMES_FILE).read_text(encoding="utf-8"))
        lines += [x for key in names if (x := vocabulary_differences(key, before.get(key, ()), names[key]))]
    except (OSError, ValueError, AttributeError):
        pass  # the hashes have told that they differ, if they do
    problem = f"the checkpoint is of something else ({'; '.join(lines)})"
    raise DataError(problem, file=folder, cure="give the dataset, scorer and sampler it was made with, or a new folder")


def differences(then: dict[str, dict], now: dict[str, dict]) -> list[str]:
    """What differs between two identities, one line each."""
    lines = []
    for part in [*then, *(x for x in now if x not in then)]:
        one, other = then.get(part, {}), now.get(part, {})
        for key in [*one, *(x for x in other if x not in one)]:
            if one.get(key) != other.get(key):
                lines.append(f"{part} {key}: {one.get(key, 'none')} then, {other.get(key, 'none')} now")
    return lines


def vocabulary_differences(what: str, then: Sequence[str], now: Sequence[str], most: int = 3) -> str:
    """Which names of two vocabularies differ, in words; empty if none.

    Args:
        what: Kind of the names.
        then: Names by id.
        now: Names by id.
        most: How many are named.

    Example:
        >>> vocabulary_differences("entities", ["a", "b", "c"], ["a", "c", "d"])
        "entities: gone 'b'; new 'd'; first other id 1, 'b' then, 'c' now"
    """
    if list(then) == list(now):
        return ""
    told = []
    for word, names, others in (("gone", then, set(now)), ("new", now, set(then))):
        if found := [n for n in names if n not in others]:
            more = f" and {len(found) - most} more" if len(found) > most else ""
            told.append(f"{word} {', '.join(map(repr, found[:most]))}{more}")
    for number, (one, other) in enumerate(zip(then, now, strict=False)):
        if one != other:
            told.append(f"first other id {number}, {one!r} then, {other!r} now")
            break
    return f"{what}: {'; '.join(told)}"


def _of_module(module: torch.nn.Module) -> dict:
    """Kind, plain settings and shapes of a module."""
    settings = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, (bool, int, float, str)) and not key.startswith(("_", *FREE))
    }
    shapes = {f"shape of {key}": list(value.shape) for key, value in module.state_dict().items()}
    return {"kind": type(module).__name__} | settings | shapes


def _of_tensor(ids: Tensor) -> str:
    return hashlib.blake2b(ids.cpu().contiguous().numpy(), digest_size=8).hexdigest()


def _of_names(names: Sequence[str]) -> str:
    return hashlib.blake2b(json.dumps(list(names)).encode(), digest_size=8).hexdigest()
