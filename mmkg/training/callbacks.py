"""Places at which others may look on while a model is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from mmkg.types import Batch, Negatives, Side

if TYPE_CHECKING:
    from mmkg.training.trainer import Trainer


class Callback:
    """Looks on; each method does nothing unless overridden. Tensors are to be read, not changed."""

    def on_step(self, trainer: Trainer, step: int, losses: dict[str, float]) -> None:
        """After each optimisation step (1-based), with the step's losses by name."""

    def on_negatives(
        self, trainer: Trainer, step: int, batch: Batch, side: Side, negatives: Negatives, scores: Tensor
    ) -> None:
        """After negatives have been drawn and scored (``[B, K]``), before the gradient."""

    def on_validation(self, trainer: Trainer, step: int, metrics: dict[str, float]) -> None:
        """After each look at the validation split."""

    def on_checkpoint(self, trainer: Trainer, step: int) -> None:
        """Before the state after a step is saved: now and then, at Ctrl-C, at the end. What goes with it is due now."""

    def on_end(self, trainer: Trainer, error: BaseException | None) -> None:
        """When training ends, however it does: what was opened is closed now.

        Args:
            trainer: Who trained.
            error: What ended it before its time, :class:`~mmkg.training.TrainingInterrupted` after Ctrl-C; else None.
        """
