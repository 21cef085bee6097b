"""When to look on: at planned steps, as far as the time that it takes can be afforded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

REMEMBERED = 3  # the dearest of so many last probes is what the next one is expected to cost


class Schedule:
    r"""Probes at planned steps that together take at most a share of the time of training.

    A probe is planned for the first step, every ``every`` steps, and the last step. It is made at the first step at or
    after its plan at which

    .. math:: \text{spent} + \text{expected} \le \text{share} \cdot \text{training}

    so that the bound holds at every moment, not only at the end, up to the error of one expectation, which later probes
    wait off. ``training`` is the time since the first step without that of the probes. ``expected`` is the dearest of
    the last three probes; before the first it is what training takes for as many questions, which costs more, as it
    computes gradients as well. A probe that is still waiting when the next is due is made once.

    Args:
        every: Steps between two plans, at least 1; a fiftieth of the training if None.
        share: Largest share of the time of training; None for no bound.
        clock: Seconds, from any origin.
    """

    def __init__(
        self, every: int | None = None, share: float | None = 0.05, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        if every is not None and every < 1:
            raise ValueError(f"every is {every}, must be at least 1")
        if share is not None and not share > 0:
            raise ValueError(f"share is {share}, must be above 0 (None for no bound)")
        self.every, self.share, self.clock = every, share, clock
        self.spent, self.waited = 0.0, 0
        self.probes: list[dict[str, float]] = []
        self._started: float | None = None

    def begin(self, step: int, total: int, batches: float) -> None:
        """Start the clock, once.

        Args:
            step: The step at which the looking on begins.
            total: Steps of the whole training.
            batches: Size of a probe in batches of training.
        """
        self.every = self.every or max(1, total // 50)
        self._started, self._first, self._next, self._total, self._batches = self.clock(), step, step, total, batches

    @property
    def training(self) -> float:
        """Seconds of training since the first step, without those of the probes."""
        return self.clock() - self._started - self.spent

    def due(self, step: int) -> bool:
        """Whether to probe after this step."""
        if step < self._next and step != self._total:
            return False
        if self.share is None:
            return True
        training = self.training
        if self.probes:
            expected = max(probe["seconds"] for probe in self.probes[-REMEMBERED:])
        elif step == self._first:
            return False  # nothing has been timed yet
        else:
            expected = self._batches * training / (step - self._first)
        affordable = training > 0 and self.spent + expected <= self.share * training
        self.waited += not affordable
        return affordable

    @contextmanager
    def probing(self, step: int) -> Iterator[dict]:
        """Count the time of a probe.

        Yields:
            The probe's entry in :attr:`probes`, free to be added to.
        """
        entry: dict[str, float] = {"step": step}
        before = self.clock()
        try:
            yield entry
        finally:
            self.spend(self.clock() - before)
        entry["seconds"] = self.clock() - before
        entry["training_seconds"] = self.training
        self.probes.append(entry)
        self._next = (step // self.every + 1) * self.every

    def spend(self, seconds: float) -> None:
        """Count time that was taken beside a probe."""
        self.spent += seconds

    def cost(self) -> dict:
        """What it has cost so far: ``probes`` (number), ``seconds``, ``training_seconds``, their ``share``, the
        ``bound`` on it, ``every`` (steps) and ``steps_waited`` (at which a probe was due and could not be afforded).
        """
        training = self.training if self._started is not None else 0.0
        return {
            "probes": len(self.probes),
            "seconds": self.spent,
            "training_seconds": training,
            "share": self.spent / training if training > 0 else 0.0,
            "bound": self.share,
            "every": self.every,
            "steps_waited": self.waited,
        }
