"""Losses, validation and settings for experiment trackers: TensorBoard, Weights & Biases, MLflow."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker

from mmkg.errors import DataError
from mmkg.training.reports import Reports

TRACKERS = ("tensorboard", "wandb", "mlflow")
"""Trackers by name; each is the name of its package and of mmkg's extra as well."""

PROJECT = "mmkg"


class Tracking(Reports):
    """A callback that tells trackers, through accelerate, what a training is of and how it goes.

    They get the settings as hyper-parameters, means of the losses as ``train/loss`` and ``train/<part>``, and the
    metrics of each validation as ``validation/mrr`` and so on (``hits@10`` as ``hits_10``: not all take an "@"). All is
    closed when training ends, on Ctrl-C too. Of several processes the first alone tells, as it alone has callbacks.

    TensorBoard's files lie in the folder's ``tensorboard/``, and a resumed training goes on in them. W&B (which has its
    files in ``wandb/`` there) and MLflow keep it in the project ``mmkg`` under the folder's name, a resumed one as
    another run of that name; where and as whom, their own environment variables say, such as ``WANDB_MODE=offline`` and
    ``MLFLOW_TRACKING_URI``.

    Args:
        trackers: Names out of :data:`TRACKERS`, or trackers of your own, see accelerate's ``GeneralTracker``.
        folder: Folder of the run.
        settings: By name; what is no number, text or truth value is told as text.
        every: Steps between two reports of losses; a hundredth of the training if None.

    Raises:
        DataError: If a tracker is unknown or its package missing; in training, if it cannot be started. One that fails
            later is left out with a warning, and training goes on.
    """

    def __init__(
        self,
        trackers: Sequence[str | GeneralTracker],
        folder: str | Path,
        settings: Mapping[str, Any] | None = None,
        *,
        every: int | None = None,
    ) -> None:
        super().__init__(every)
        self.folder, self.settings = Path(folder), {k: _plain(v) for k, v in (settings or {}).items()}
        self._asked = list(dict.fromkeys(trackers))
        self._running: list[GeneralTracker] = []
        self._begun = False
        check_trackers([t for t in self._asked if isinstance(t, str)])

    def on_step(self, trainer, step: int, losses: dict[str, float]) -> None:
        """Start the trackers after the first step, and report if it is time."""
        if not self._begun:
            self._begin(step)
        super().on_step(trainer, step, losses)

    def on_report(self, trainer, step: int, losses: dict[str, float]) -> None:
        """Tell mean losses."""
        self._log({f"train/{name}": value for name, value in losses.items()}, step)

    def on_validation(self, trainer, step: int, metrics: dict[str, float]) -> None:
        """Tell metrics."""
        self._log({f"validation/{name.replace('@', '_')}": value for name, value in metrics.items()}, step)

    def on_end(self, trainer, error: BaseException | None) -> None:
        """Tell what is left, and close."""
        super().on_end(trainer, error)
        self._each(lambda tracker: tracker.finish())
        self._running = []

    def _begin(self, step: int) -> None:
        self._begun = True
        self.folder.mkdir(parents=True, exist_ok=True)
        for asked in self._asked:
            try:
                tracker = self._made(asked, step) if isinstance(asked, str) else asked
                if hasattr(tracker, "start"):  # older versions of accelerate start one when it is made
                    tracker.start()
                self._running.append(tracker)  # from now on it is to be closed
                if asked != "tensorboard" or step == 1:  # else its files hold the settings already
                    tracker.store_init_configuration(self.settings)
            except Exception as error:
                name = asked if isinstance(asked, str) else asked.name
                cure = "set it up as its documentation says (W&B: wandb login, or WANDB_MODE=offline), or leave it out"
                raise DataError(f"the tracker {name} does not start ({error})", cure=cure) from error

    def _made(self, name: str, step: int) -> GeneralTracker:
        """One of accelerate's trackers for this run."""
        run, here = self.folder.resolve().name, str(self.folder)
        options: dict[str, dict[str, Any]] = {
            # purge_step: what lies beyond the checkpoint that training goes on from is told anew
            "tensorboard": {"run_name": "tensorboard", "logging_dir": here, "purge_step": step if step > 1 else None},
            "wandb": {"run_name": PROJECT, "name": run, "dir": here},
            "mlflow": {"experiment_name": PROJECT, "run_name": run},
        }
        return LOGGER_TYPE_TO_CLASS[name](**options[name])

    def _log(self, values: dict[str, float], step: int) -> None:
        self._each(lambda tracker: tracker.log(values, step=step))

    def _each(self, tell: Callable[[GeneralTracker], None]) -> None:
        """Do something with each tracker that still runs; one that fails is told and left out from then on."""
        for tracker in list(self._running):
            try:
                tell(tracker)
            except Exception as error:  # whatever a tracker may raise: it is not worth a training
                warnings.warn(f"the tracker {tracker.name} failed ({error}); training goes on without", stacklevel=2)
                self._running.remove(tracker)


def check_trackers(names: Sequence[str]) -> None:
    """Raise DataError where a tracker is unknown, or its package is missing."""
    for name in names:
        if name not in TRACKERS:
            raise DataError(f"unknown tracker {name!r}", cure=f"choose out of {', '.join(TRACKERS)}")
        if find_spec(name) is None:
            raise DataError(f"the tracker {name} is not installed", cure=f"pip install 'mmkg[{name}]'")


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
