"""Names and content hashes: what the cache's keys and the features' file names are made of."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import torch
from torch import nn

KEY_BYTES = 16


def digest(*parts: bytes | str) -> bytes:
    """Hash of a sequence of parts; ``("ab", "c")`` and ``("a", "bc")`` differ.

    Args:
        parts: Bytes or text.

    Returns:
        16 bytes.
    """
    state = hashlib.blake2b(digest_size=KEY_BYTES)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        state.update(len(raw).to_bytes(8, "little"))
        state.update(raw)
    return state.digest()


def module_fingerprint(module: nn.Module, *extras: Any) -> str:
    """Hash of a model's weights and of whatever else decides what it computes.

    Args:
        module: The model; parameters and buffers count, the device does not.
        extras: Configurations and settings, anything that ``json`` writes (other objects by their ``str``).

    Returns:
        32 hexadecimal digits.
    """
    state = hashlib.blake2b(digest_size=KEY_BYTES)
    for name, tensor in sorted(module.state_dict().items()):
        state.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        # bytes as they are, so that bfloat16 (which numpy lacks) works too
        state.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())  # [...] -> [bytes]
    state.update(json.dumps(extras, sort_keys=True, default=str).encode())
    return state.hexdigest()


def safe_name(model: str) -> str:
    """A model's name as a part of a file name.

    Args:
        model: A hub name or a path.

    Returns:
        The last part of it, with nothing but letters, digits, ``.``, ``_`` and ``-``.

    Example:
        >>> safe_name("sentence-transformers/all-MiniLM-L6-v2"), safe_name("C:\\\\models\\\\my model/")
        ('all-MiniLM-L6-v2', 'my-model')
    """
    last = re.split(r"[/\\]", model.rstrip("/\\"))[-1]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip(".-") or "model"
