"""Ctrl-C and SIGTERM finish the step and save; a second Ctrl-C stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType

from mmkg.errors import MMKGError


class TrainingInterrupted(MMKGError):
    """Training was asked to stop and did so after a whole step."""


class GracefulStop:
    """While entered, the first SIGINT or SIGTERM sets ``asked`` instead of ending the process.

    Outside the main thread, where signals cannot be caught, it does nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> GracefulStop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
