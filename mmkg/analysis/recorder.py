"""A stream of negatives: everything that a sampler drew in training, to be replayed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmkg.graph.vocabulary import vocabulary
from mmkg.samplers.negative_files import STREAM, NegativeFiles, sampler_settings

ROWS = 2_000_000  # kept in memory at most


class Recorder:
    """A callback of the trainer (see :class:`mmkg.training.Callback`) that writes down all negatives.

    Files are closed at every checkpoint, so that a run that is stopped and resumed has a stream without a gap.
    :class:`mmkg.samplers.Replay` gives it again. What was not ``valid`` is left out.

    Args:
        data: The graph that is trained on; only its names and sizes are read.
        folder: Where to write.
        resume: Whether training is resumed: what the folder holds from the first step on is recorded anew.
        provenance: JSON-able, kept in every file.

    Raises:
        DataError: If the folder holds a stream and training is not resumed, or one of another graph or sampler.
    """

    def __init__(self, data, folder: str | Path, *, resume: bool = False, provenance: dict | None = None) -> None:
        told = {"kind": "stream", "vocabulary": vocabulary(data)} | (provenance or {})
        self.files = NegativeFiles(folder, STREAM, told)
        if not resume:
            self.files.check_empty()
        self._parts: list[dict[str, np.ndarray]] = []
        self._rows, self._started = 0, False

    def on_step(self, trainer, step, losses) -> None:
        """Nothing."""

    def on_validation(self, trainer, step, metrics) -> None:
        """Nothing."""

    def on_negatives(self, trainer, step, batch, side, negatives, scores) -> None:
        """Take down what was drawn."""
        if not self._started:
            self.files.provenance |= {"sampler": sampler_settings(trainer.sampler), "seed": trainer.config.seed}
            self.files.drop_from(step - 1)
            self._started = True
        row, place = negatives.valid.nonzero(as_tuple=True)  # [n], [n]
        drawn = {
            "row": row,
            "h": batch.head[row],
            "r": batch.relation[row],
            "t": batch.tail[row],
            "place": place,
            "negative": negatives.ids[row, place],
        }
        part = {name: values.cpu().numpy().astype(np.int32) for name, values in drawn.items()}
        count = len(part["row"])
        for name, value in (("step", step - 1), ("epoch", trainer.epoch)):
            part[name] = np.full(count, value, dtype=np.int32)
        part["side"] = np.full(count, side, dtype=object)
        self._parts.append(part)
        self._rows += count
        if self._rows >= ROWS:
            self._write()

    def on_checkpoint(self, trainer, step) -> None:
        """Put on the disk what is in memory."""
        self._write()

    def on_end(self, trainer, error) -> None:
        """Nothing: what is in memory since the last checkpoint will be drawn anew."""

    def _write(self) -> None:
        if self._rows:
            columns = {name: np.concatenate([part[name] for part in self._parts]) for name in self._parts[0]}
            columns["source"] = np.full(self._rows, "sampler", dtype=object)
            columns["place"] = columns["place"].astype(np.int16)
            self.files.write(columns, int(columns["step"].min()), int(columns["step"].max()))
        self._parts, self._rows = [], 0
