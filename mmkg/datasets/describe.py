"""What a function does, as a text: two that would leave different graphs must not share one processed file."""

from __future__ import annotations

import functools
import hashlib
import re
from types import CellType, CodeType, FunctionType, MethodType, ModuleType

import numpy as np
import torch

PLAIN = (type(None), bool, int, float, complex, str, bytes)


def describe(function: object) -> str:
    """What a transform is, as far as can be told: names, code, arguments, attributes, and what it looks up.

    PyG compares by ``repr`` alone, under which any two lambdas of a place are one, and so are two objects of a class
    that differ in what they hold.

    Example:
        >>> describe(lambda data: data.num_nodes > 3) == describe(lambda data: data.num_nodes > 4)
        False
    """
    return repr(_parts(function, {}, ()))


def _parts(thing: object, told: dict[int, int], around: tuple[int, ...]) -> object:
    """Nested tuples of plain values, the same in every process.

    Args:
        thing: What is to be described.
        told: Numbers of functions and objects described before, by ``id``: each is described once.
        around: ``id`` of the containers around this one, any of which may hold itself.
    """

    def of(part: object) -> object:
        return _parts(part, told, (*around, id(thing)))

    if isinstance(thing, PLAIN):
        return thing
    if id(thing) in around:
        return "itself"
    if isinstance(thing, (set, frozenset)):
        return "set", sorted(repr(of(item)) for item in thing)
    if isinstance(thing, (list, tuple)):
        return type(thing).__name__, *(of(item) for item in thing)
    if isinstance(thing, dict):
        return "dict", sorted((repr(of(key)), of(value)) for key, value in thing.items())
    if isinstance(thing, torch.Tensor):
        raw = thing.detach().cpu().contiguous().reshape(-1).view(torch.uint8)  # [...] -> [bytes]
        return "tensor", str(thing.dtype), tuple(thing.shape), _digest(raw.numpy())
    if isinstance(thing, np.ndarray):
        return "array", str(thing.dtype), thing.shape, of(thing.tolist()) if thing.dtype.hasobject else _digest(thing)
    if isinstance(thing, CodeType):
        return "code", thing.co_code.hex(), thing.co_names, of(thing.co_consts)  # with the functions inside it
    if isinstance(thing, functools.partial):
        return "partial", of(thing.func), of(thing.args), of(thing.keywords)
    if isinstance(thing, MethodType):
        return "method", of(thing.__func__), of(thing.__self__)
    if id(thing) in told:
        return "told", told[id(thing)]
    told[id(thing)] = len(told)
    name = f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', type(thing).__qualname__)}"
    if isinstance(thing, FunctionType):
        cells = [_cell(cell) for cell in thing.__closure__ or ()]
        surroundings = (thing.__code__, thing.__defaults__, thing.__kwdefaults__, cells, _used(thing))
        return "function", name, *(of(part) for part in surroundings)
    if isinstance(thing, (type, ModuleType)) or not hasattr(thing, "__dict__"):
        return name, re.sub(r" at 0x[0-9a-f]+", "", repr(thing))
    calls = [getattr(type(thing), method, None) for method in ("__call__", "forward")]
    return "object", name, of(vars(thing)), *(of(call) for call in calls if isinstance(call, FunctionType))


def _digest(array: np.ndarray) -> str:
    return hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=16).hexdigest()


def _used(function: FunctionType) -> dict[str, object]:
    """Values and functions of its own module that a function looks up by name."""
    found = {name: function.__globals__.get(name) for name in function.__code__.co_names}
    own = function.__module__
    kept = (*PLAIN, tuple, list, dict, set, frozenset)
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, kept) or (isinstance(value, FunctionType) and value.__module__ == own)
    }


def _cell(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None
