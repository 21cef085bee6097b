"""Ask a sampler for a draw and leave everything as if nobody had asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor


@contextmanager
def undisturbed(module: torch.nn.Module, device: torch.device, seed: int) -> Iterator[None]:
    """Put a module's state and torch's random numbers back at the end.

    Parameters, buffers and plain attributes are kept and restored in place: numbers, and tensors, arrays, lists, dicts
    and sets of them, however nested. Other objects, such as features, are taken to be read only.

    Args:
        module: What may change while it is asked.
        device: Where it draws.
        seed: Of torch's own random numbers meanwhile, for a module that does not keep to the generator it is given.
    """
    restore = [_keeper(part.__dict__) for part in module.modules()]
    cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if cuda else []):
        torch.random.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        try:
            with torch.no_grad():
                yield
        finally:
            with torch.no_grad():
                for put_back in restore:
                    put_back()


def _keeper(value) -> Callable[[], object]:
    """A function that gives back the same object with the contents that it has now."""
    if isinstance(value, Tensor):
        kept = value.detach().clone()
        return lambda: _put_tensor(value, kept)
    if isinstance(value, np.ndarray) and not isinstance(value, np.memmap) and value.dtype != object:
        array = value.copy()
        return lambda: _put_array(value, array)
    if isinstance(value, torch.Generator):
        state = value.get_state()
        return lambda: value.set_state(state)
    if isinstance(value, list):
        items = [_keeper(item) for item in value]
        return lambda: _put_list(value, items)
    if isinstance(value, dict):
        entries = {key: _keeper(item) for key, item in value.items()}
        return lambda: _put_dict(value, entries)
    if isinstance(value, set):
        members = set(value)
        return lambda: _put_set(value, members)
    return lambda: value


def _put_tensor(tensor: Tensor, kept: Tensor) -> Tensor:
    if tensor.shape != kept.shape:
        tensor.resize_(kept.shape)
    if not torch.equal(tensor, kept):  # untouched ones stay untouched: nobody's version counter moves
        tensor.copy_(kept)
    return tensor


def _put_array(array: np.ndarray, kept: np.ndarray) -> np.ndarray:
    np.copyto(array, kept)
    return array


def _put_list(where: list, items: list) -> list:
    where[:] = [put_back() for put_back in items]
    return where


def _put_dict(where: dict, entries: dict) -> dict:
    kept = {key: put_back() for key, put_back in entries.items()}
    if where.keys() != kept.keys() or any(where[key] is not value for key, value in kept.items()):
        where.clear()
        where.update(kept)
    return where


def _put_set(where: set, members: set) -> set:
    where.clear()
    where.update(members)
    return where
