"""Training stops at the first number that is none, and says where, on which triples, and what is still good."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from mmkg.errors import NumericsError
from mmkg.training.questions import Asked
from mmkg.types import Batch

CURE = "lower the learning rate, or clip the gradient"
SHOWN = 3


class Guard:
    """Looks at each step's loss and gradients.

    Args:
        modules: What is trained, by name.
        last_good: Gives the latest checkpoint, or None.
    """

    def __init__(self, modules: dict[str, torch.nn.Module], last_good) -> None:
        self.names = {p: f"{name}.{key}" for name, m in modules.items() for key, p in m.named_parameters()}
        self.last_good = last_good

    def loss(self, value: float, parts: dict[str, Tensor], step: int, asked: Asked) -> None:
        """Raise NumericsError where a loss is NaN or infinite.

        Args:
            value: The loss.
            parts: What adds up to it.
            step: Number of the step, from 1.
            asked: The questions that it was of, side by side.
        """
        if not math.isfinite(value):
            bad = [name for name, part in parts.items() if not math.isfinite(float(part.detach()))]
            self._stop(f"the loss is {value}" + (f" (of {', '.join(bad)})" if bad else ""), step, asked)

    def gradients(self, step: int, asked: Asked) -> None:
        """Raise NumericsError where a gradient holds NaN or an infinity; arguments as in :meth:`loss`."""
        found = {p: p.grad for p in self.names if p.grad is not None}
        if not found:
            return
        # sums are cheap, none is finite over a number that is not, and one look serves all
        sums = torch.stack([_values(g).sum().float() for g in found.values()])
        if bool(torch.isfinite(sums).all()):
            return
        for parameter, gradient in found.items():
            values = _values(gradient)
            bad = ~torch.isfinite(values)
            if bad.any():  # else large numbers, whose sum overflows
                told = f"the gradient of {self.names[parameter]} is {float(values[bad][0])}"
                self._stop(f"{told} at {int(bad.sum())} of {bad.numel()} places", step, asked)

    def _stop(self, problem: str, step: int, asked: Asked) -> None:
        rows = (_rows(question.batch) for questions in asked for question in questions)
        triples = list(dict.fromkeys(row for part in rows for row in part))  # both sides may ask the same ones
        path: Path | None = self.last_good()
        kept = "no checkpoint was written yet" if path is None else f"the last good checkpoint is {path}"
        raise NumericsError(
            f"{problem} at step {step}; first triples (h, r, t) of the batch's {len(triples)}: "
            f"{', '.join(str(list(t)) for t in triples[:SHOWN])}; {kept}. Cure: {CURE}",
            step=step,
            triples=triples,
            checkpoint=path,
        )


def _values(gradient: Tensor) -> Tensor:
    return gradient._values() if gradient.is_sparse else gradient  # as they lie: no need to join equal rows


def _rows(batch: Batch):
    return zip(batch.head.tolist(), batch.relation.tolist(), batch.tail.tolist(), strict=True)
