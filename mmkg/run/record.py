"""What is written down about a run: on what, with what, how long, and each look at the test split."""

from __future__ import annotations

import csv
import datetime
import hashlib
import platform
import resource
import shlex
import sys
from dataclasses import asdict
from pathlib import Path

import torch

import mmkg
from mmkg.run.config import RunConfig
from mmkg.training import TrainResult


def provenance(config: RunConfig, result: TrainResult, device: torch.device, command: str | None) -> dict:
    """A run's settings, course and cost as a JSON-able dict."""
    return {
        "dataset": config.dataset,
        "options": config.options,
        "config": asdict(config),
        "selection": "realistic MRR on validation, filtered with train and validation facts",
        "steps": result.steps,
        "best_step": result.best_step,
        "stopped": result.stopped,
        "history": result.history,
        "wall_seconds": round(result.seconds, 1),
        "peak_memory_mb": round(peak_memory_mb()),
        "device": device_name(device),
        "versions": {"mmkg": mmkg.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "command": command or shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
    }


def note_look(path: Path, dataset: str, result: dict) -> None:
    """Append a look at the test split to a CSV."""
    new = not path.exists()
    now = datetime.datetime.now().isoformat("T", "seconds")
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["date", "dataset", "split", "queries", "mrr"])
        writer.writerow([now, dataset, result["split"], result["queries"], result["metrics"]["realistic"]["mrr"]])


def fingerprint(data) -> str:
    """Hash of the names of entities and relations, in order."""
    joined = "\n".join([*data.entity_names, "", *data.relation_names])
    return hashlib.blake2b(joined.encode(), digest_size=16).hexdigest()


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, plus the largest allocation on the GPU."""
    unit = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss counts bytes there, KiB elsewhere
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return peak + (torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0)


def device_name(device: torch.device) -> str:
    """What the run ran on, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"
