"""Float16 without silent infinities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mmkg.errors import NumericsError

LARGEST = float(np.finfo(np.float16).max)  # 65504


def to_half(values: Tensor, describe: Callable[[int], str]) -> np.ndarray:
    """Features in float16, or an error where float16 cannot hold them.

    Args:
        values: Features, shape ``[n, ...]``.
        describe: Says in words what row ``i`` is, for the message.

    Returns:
        The same values, shape ``[n, ...]``, float16.

    Raises:
        NumericsError: A value is NaN, infinite, or beyond 65504; the row is named.
    """
    flat = values.detach().float().cpu().flatten(1)  # [n, ...] -> [n, F]
    if flat.numel() == 0:
        return values.detach().cpu().numpy().astype(np.float16)
    largest = flat.abs().amax(dim=1)  # [n, F] -> [n]; NaN stays NaN
    bad = ~(largest <= LARGEST)  # the negation catches NaN too
    if bad.any():
        row = int(torch.nonzero(bad)[0])
        value = largest[row].item()
        kind = f"a value of size {value:g}, beyond float16's {LARGEST:g}" if np.isfinite(value) else f"{value:g}"
        raise NumericsError(f"the encoder gave {kind} for {describe(row)}")
    return flat.reshape(values.shape).numpy().astype(np.float16)
