"""Losses now and then, as means: what is written down while a model is trained."""

from __future__ import annotations

from mmkg.errors import DataError
from mmkg.training.callbacks import Callback

REPORTS = 100  # a training, where nothing else is asked for


class Reports(Callback):
    """Means of the losses over every so many steps, for those who write them down.

    Args:
        every: Steps between two reports, at least 1; a hundredth of the training if None.

    Raises:
        DataError: If ``every`` is below 1.
    """

    def __init__(self, every: int | None = None) -> None:
        if every is not None and every < 1:
            raise DataError(f"a report every {every} steps", cure="give 1 or more")
        self.every = every
        self._sums: dict[str, float] = {}  # since the last report
        self._steps = 0

    def on_report(self, trainer, step: int, losses: dict[str, float]) -> None:
        """After every so many steps, and at the end if there were steps since.

        Args:
            trainer: Who trains.
            step: The latest step, from 1.
            losses: Means over the steps since the last report, by name; a part that some of them lacked counts as zero
                there, so that parts add up to ``loss``.
        """

    def on_step(self, trainer, step: int, losses: dict[str, float]) -> None:
        """Add up, and report if it is time."""
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._steps += 1
        if step % (self.every or max(1, trainer.config.steps // REPORTS)) == 0:
            self._report(trainer, step)

    def on_end(self, trainer, error: BaseException | None) -> None:
        """Report what is left."""
        if self._steps:
            self._report(trainer, trainer.step)

    def _report(self, trainer, step: int) -> None:
        means = {name: total / self._steps for name, total in self._sums.items()}
        self._sums, self._steps = {}, 0
        self.on_report(trainer, step, means)
