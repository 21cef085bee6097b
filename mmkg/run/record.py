"""What is written down about a run: on what, with what, how long, and each look at the test split."""

from __future__ import annotations

import contextlib
import csv
import datetime
import hashlib
import json
import math
import platform
import resource
import shlex
import subprocess
import sys
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import torch

import mmkg
from mmkg.datasets import MultimodalKG
from mmkg.files import atomic_write
from mmkg.run.config import RunConfig
from mmkg.training import TrainResult
from mmkg.types import Features


def provenance(
    config: RunConfig,
    dataset: MultimodalKG,
    features: dict[str, Features],
    result: TrainResult,
    device: torch.device,
    command: str | None,
) -> dict:
    """A run's settings, course and cost as a JSON-able dict.

    Args:
        config: Settings.
        dataset: What was trained on.
        features: What the sampler looked at, by modality.
        result: What training came to.
        device: Where it ran.
        command: What was typed; the process's own arguments if None.
    """
    modalities = [m for m in config.sampler.modalities if m == "structure" or m in features]
    return {
        "dataset": config.dataset,
        "split_policy": getattr(dataset, "split_policy", "as released"),
        "scorer": config.scorer,
        "sampler": config.sampler.name if config.draws_negatives else None,
        "objective": config.objective,
        "modalities": modalities if config.looks_at_features else [],
        "features": {m: _told(f) for m, f in features.items()},
        "seed": config.train.seed,
        "config": asdict(config),
        "trained_on": ["train", "val"] if config.refit else ["train"],
        "selection": _selection(config),
        "steps": result.steps,
        "steps_per_epoch": result.steps_per_epoch,
        "best_step": result.best_step,
        "stopped": result.stopped,
        "history": result.history,
        "wall_seconds": round(result.seconds, 1),
        "peak_memory_mb": round(peak_memory_mb()),
        "peak_gpu_memory_mb": round(torch.cuda.max_memory_allocated() / 2**20) if device.type == "cuda" else None,
        "device": device_name(device),
        "versions": versions(),
        "command": command or command_typed(),
        "date": datetime.date.today().isoformat(),
    }


def _selection(config: RunConfig) -> str:
    """By what the model that was kept was chosen."""
    if config.refit:
        return "none: the last step, for a number of epochs chosen on validation by another run"
    if not config.train.validate_every:
        return "none: the last step"
    return "realistic MRR on validation, filtered with train and validation facts"


def _told(features: Features) -> dict:
    """Where features come from and how large they are, without long lists."""
    kept = {k: v for k, v in features.provenance.items() if isinstance(v, (str, int, float))}
    return {**kept, "shape": list(features.shape)}


def versions() -> dict[str, str]:
    """Versions of what a result depends on, and the commit where this is a clone with git."""
    found = {name: metadata.version(name) for name in ("torch", "torch-geometric", "numpy", "accelerate")}
    found |= {"python": platform.python_version(), "mmkg": mmkg.__version__}
    here = Path(__file__).parent
    try:
        told = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True)
    except OSError:  # no git
        return found
    return found | ({"commit": told.stdout.strip()} if told.returncode == 0 else {})


def write_json(path: Path, value) -> None:
    """Write JSON whole or not at all; NaN and infinities, which JSON lacks, become null."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_write(path) as file:
        file.write(f"{text}\n".encode())


def plain(value):
    """The same value with None for every number that is none."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
    """Hash of the graph: names of entities and relations in order, triples, and which split each belongs to."""
    hashed = hashlib.blake2b(json.dumps([data.entity_names, data.relation_names]).encode(), digest_size=16)
    for tensor in (data.edge_index, data.edge_type, data.train_mask, data.val_mask, data.test_mask):
        hashed.update(tensor.cpu().contiguous().numpy().tobytes())
    return hashed.hexdigest()


def reset_peak_memory() -> None:
    """Forget what was before this run, where the system can (Linux; the GPU)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_memory_mb() -> float:
    """Largest resident memory of this process since :func:`reset_peak_memory`, or in all where that cannot be reset."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(x for x in lines if x.startswith("VmHWM:")).split()[1]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss counts bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def command_typed() -> str:
    """The process's own command, as it would be typed again."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def device_name(device: torch.device) -> str:
    """What the run ran on, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"
