"""What an encoder must offer; any object of this shape will do."""

from __future__ import annotations

from typing import Protocol

import torch
from PIL.Image import Image
from torch import Tensor


class TextEncoder(Protocol):
    """Sentences to vectors.

    Attributes:
        name: Short name that may stand in a file name.
        dim: Width D of a vector.
        fingerprint: Hash of all that decides the values; the cache's keys contain it.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - the class says it

    @property
    def dim(self) -> int: ...  # noqa: D102

    @property
    def fingerprint(self) -> str: ...  # noqa: D102

    def encode(self, sentences: list[str]) -> Tensor:
        """Vectors of some sentences, shape ``[n, D]``."""
        ...


class PictureEncoder(Protocol):
    """Pictures to grids of patch vectors.

    Attributes:
        name: Short name that may stand in a file name.
        dim: Width D of a vector.
        fingerprint: Hash of all that decides the values; the cache's keys contain it.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - the class says it

    @property
    def dim(self) -> int: ...  # noqa: D102

    @property
    def fingerprint(self) -> str: ...  # noqa: D102

    def encode(self, pictures: list[Image]) -> Tensor:
        """Patch vectors of some RGB pictures, shape ``[n, H, W, D]``; the grid covers the whole of each picture."""
        ...


def pick_device(device: str | torch.device | None) -> torch.device:
    """The device asked for, or the accelerator if there is one, or the CPU."""
    if device is not None:
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
