"""A run's log, a line at a time, and its losses and validation by step as JSON."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any, TextIO

from mmkg.errors import DataError
from mmkg.run import folder as names
from mmkg.run.config import RunConfig
from mmkg.run.record import device_name, write_json
from mmkg.training import Reports, TrainingInterrupted

SHOWN = ("mrr", "mr", "hits@1", "hits@10")  # in the log; the JSON has all


class Journal(Reports):
    """A callback that writes down how a training goes.

    ``log.txt`` has a line for each report, validation and end, with the time; it is there at once, and a resumed
    training goes on in it. ``metrics.json`` holds the same for programs, without times, so that equal trainings have
    equal files; it is written with each checkpoint and at the end.

    Args:
        folder: Folder of the run, which is there when training begins.
        config: Settings of the run, which the log begins with in short.
        every: Steps between two reports; a hundredth of the training if None.

    Raises:
        DataError: In a resumed training, if ``metrics.json`` is damaged.
    """

    def __init__(self, folder: str | Path, config: RunConfig, *, every: int | None = None) -> None:
        super().__init__(every)
        self.folder, self.config = Path(folder), config
        self._losses: list[dict[str, Any]] = []
        self._log: TextIO | None = None

    def on_step(self, trainer, step: int, losses: dict[str, float]) -> None:
        """Begin with the first step, and report if it is time."""
        if self._log is None:
            self._begin(trainer, step)
        super().on_step(trainer, step, losses)

    def on_report(self, trainer, step: int, losses: dict[str, float]) -> None:
        """Write mean losses."""
        self._losses.append({"step": step} | losses)
        parts = {name: value for name, value in losses.items() if name != "loss"}
        told = f" ({_told(parts)})" if len(parts) > 1 else ""
        self._write(f"step {step} of {trainer.config.steps}: {_told({'loss': losses['loss']})}{told}")

    def on_validation(self, trainer, step: int, metrics: dict[str, float]) -> None:
        """Write metrics."""
        best = ", the best so far" if trainer.result.best_step == step else ""
        shown = {name: metrics[name] for name in SHOWN if name in metrics}
        self._write(f"step {step} of {trainer.config.steps}: validation {_told(shown)}{best}")

    def on_checkpoint(self, trainer, step: int) -> None:
        """Write the JSON."""
        self._write_metrics(trainer)

    def on_end(self, trainer, error: BaseException | None) -> None:
        """Write what is left and how it ended."""
        if self._log is None:
            return  # not a step was made: it had ended before
        super().on_end(trainer, error)
        if isinstance(error, TrainingInterrupted):
            self._write(str(error))
        elif error is not None:
            self._write(f"ended by {type(error).__name__} after step {trainer.step}: {' '.join(str(error).split())}")
        else:
            why = f", without gain for {trainer.waited} validations" if trainer.result.stopped == "patience" else ""
            kept = f"; kept is the model of step {trainer.result.best_step}" if trainer.result.history else ""
            self._write(f"ended after step {trainer.step}{why}{kept}")
        self._write_metrics(trainer)
        self._log.close()

    def _begin(self, trainer, step: int) -> None:
        path = self.folder / names.METRICS
        if step > 1 and path.exists():
            # what lies beyond the checkpoint that training goes on from is reported anew
            self._losses = [entry for entry in read_metrics(path)["losses"] if entry["step"] < step]
        self._log = open(self.folder / names.LOG, "a", encoding="utf-8")  # noqa: SIM115 (closed at the end)
        resumed = "" if step == 1 else f"resumed after step {step - 1}: "
        self._write(f"{resumed}{_what(self.config)}, on {device_name(trainer.device)}")

    def _write(self, line: str) -> None:
        now = datetime.datetime.now().isoformat(" ", "seconds")
        self._log.write(f"{now}  {line}\n")
        self._log.flush()  # to be read while the run goes on

    def _write_metrics(self, trainer) -> None:
        result = trainer.result
        validation = [
            {"step": entry["step"]} | {k.removeprefix("valid_"): v for k, v in entry.items() if k.startswith("valid_")}
            for entry in result.history
        ]
        told: dict[str, Any] = {
            "step": trainer.step,
            "steps": trainer.config.steps,
            "steps_per_epoch": result.steps_per_epoch,
        }
        if validation:
            told["best_step"] = result.best_step
        write_json(self.folder / names.METRICS, told | {"losses": self._losses, "validation": validation})


def read_metrics(path: Path) -> dict[str, Any]:
    """What a run's ``metrics.json`` holds.

    Raises:
        DataError: If it is missing or damaged.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(entry["step"], int) for part in ("losses", "validation") for entry in found[part]):
            raise TypeError("a step that is no number")
        return found
    except FileNotFoundError:
        raise DataError("no such file", file=path, cure="give the folder of a run") from None
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"not the metrics of a run ({error!r})", file=path, cure="delete it") from None


def _what(config: RunConfig) -> str:
    """What a run trains, in words."""
    how = f" against {config.sampler.name}" if config.draws_negatives else ""
    return f"{config.scorer} on {config.dataset}, {config.objective}{how}, seed {config.train.seed}"


def _told(values: dict[str, float]) -> str:
    """Numbers as the log shows them: ``mrr 0.2513, mr 112.7``."""
    return ", ".join(f"{name} {value:{'.1f' if name == 'mr' else '.4g'}}" for name, value in values.items())
