"""A run's folder: the names of its files, and who may write there."""

from __future__ import annotations

from pathlib import Path

from mmkg.errors import DataError
from mmkg.run.config import RunConfig

CONFIG = "config.json"
"""Settings; there from the first step on."""
CHECKPOINTS = "checkpoints"
"""Folder of the latest states, to go on from."""
LOG = "log.txt"
"""What happened when, a line each; grows while the model is trained."""
METRICS = "metrics.json"
"""Losses and validation by step."""
CURVES = "curves.png"
"""The same as a picture."""
PREDICTIONS = "predictions.tsv"
"""Best answers to some questions of validation."""
MODEL = "model.safetensors"
"""The model, and the sampler as it was then."""
NAMES = "names.json"
"""Names of the rows of the model's embeddings."""
RESULT = "result.json"
"""What training came to, on what and with what; written last: a run that has it is whole."""
LOOKS = "test_looks.csv"
"""Each look at the test split."""


def evaluation(split: str) -> str:
    """Metrics of a split, as they were evaluated last."""
    return f"evaluation_{split}.json"


def ranks(split: str) -> str:
    """Ranks of a split's questions."""
    return f"ranks_{split}.safetensors"


def has_checkpoint(folder: Path) -> bool:
    """Whether a run left a state to go on from."""
    return any((folder / CHECKPOINTS).glob("step-*"))


def check_free(folder: Path, config: RunConfig, resume: bool) -> None:
    """Raise DataError unless a run of these settings may be written to a folder, or gone on with there.

    Args:
        folder: The folder; it need not exist.
        config: Settings of the run.
        resume: Whether to go on with what the folder holds.
    """
    if (folder / CONFIG).exists():
        if not resume:
            raise DataError("the folder holds a run already", file=folder, cure="choose another, or --resume")
        if other := config.differences(RunConfig.load(folder / CONFIG)):
            told = "; ".join(f"{k}: {then!r} then, {now!r} now" for k, (now, then) in other.items())
            raise DataError(f"the run has other settings ({told})", file=folder, cure="resume with the same")
    elif folder.exists() and any(folder.iterdir()):
        raise DataError("the folder is not empty and holds no run", file=folder, cure="choose another")
