"""Penalties of the embeddings of a batch."""

from collections.abc import Callable

from mmkg.training.regularisers.dura import DURA
from mmkg.training.regularisers.norms import L2, N3, NormRegulariser

REGULARISERS: dict[str, Callable] = {"n3": N3, "l2": L2, "dura": DURA}
"""Regularisers by the name that the command line knows them under."""

__all__ = ["DURA", "L2", "N3", "REGULARISERS", "NormRegulariser"]
