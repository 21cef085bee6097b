"""What a step of MMRNS costs each of two processes that divide its batch by rows, or its pool by ranges of entities.

    python -m benchmarks.pools --pools 500 2000 8000
    python -m benchmarks.pools --entities 5000 --pools 2000 --pictures 16 256

Two processes over gloo, and one alone beside them: a synthetic graph (100 relations by Zipf's law), DistMult with
d = 64, batches of 512, pictures of 4 x 32 (``--pictures``) on the disk, 20 negatives, row-wise Adagrad. Milliseconds
are the first process's own CPU time a step, median, on one thread, that of gloo's threads included, waiting for the
other left out; MiB are what a process hands to gloo in a step for the similarities and their slopes, reckoned from the
shapes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.processes import CONTEXT, free_port, join
from benchmarks.synthetic import synthetic_features, synthetic_graph
from mmkg.samplers import MMRNS
from mmkg.scorers import DistMult
from mmkg.training import Callback, SelfAdversarial, TrainConfig, Trainer

WAYS, WIDTH, BATCH = ("alone", "rows", "ranges"), 64, 512


class Clock(Callback):
    """CPU time of each step."""

    def __init__(self) -> None:
        self.seconds, self.losses, self.last = [], [], time.process_time()

    def on_step(self, trainer: Trainer, step: int, losses: dict[str, float]) -> None:
        """Take the time since the last step."""
        now = time.process_time()
        self.seconds.append(now - self.last)
        self.losses.append(losses["loss"])
        self.last = now


def work(way: str, args: argparse.Namespace, pool: int, folder: str, place: tuple[int, int, int], answers) -> None:
    """What each process does."""
    join(*place)
    entities, data = args.entities, synthetic_graph(args.entities)
    torch.manual_seed(0)
    model = DistMult(entities, data.num_relations, WIDTH)
    image = synthetic_features(Path(folder) / f"image-{place[0]}.npy", entities, *args.pictures)
    small = {
        "num_negatives": 20,
        "pool_size": pool,
        "attention_dim": 16,
        "gate_dim": 32,
        "pool_ranges": way == "ranges",
    }
    sampler, clock = MMRNS(entities, *model.widths(), image, **small), Clock()
    common = {"validate_every": 0, "optimizer": "row_adagrad", "learning_rate": 0.1, "schedule": "constant"}
    config = TrainConfig(steps=args.steps, batch_size=BATCH, **common)
    Trainer(model, sampler, SelfAdversarial(), data, config, callbacks=(clock,), progress=False).fit()
    if place[0] == 0:  # callbacks are the first one's alone
        answers.send({"ms": 1e3 * statistics.median(clock.seconds[2:]), "losses": clock.losses})


def measure(way: str, args: argparse.Namespace, pool: int) -> dict:
    """Start one or two processes, and hear the first."""
    count, port = 1 if way == "alone" else 2, free_port()
    with tempfile.TemporaryDirectory() as folder:
        receiver, sender = CONTEXT.Pipe(duplex=False)
        processes = []
        for number in range(count):
            given = (way, args, pool, folder, (number, count, port), sender)
            processes.append(CONTEXT.Process(target=work, args=given, daemon=True))
            processes[-1].start()
        sender.close()
        found = receiver.recv()
        for process in processes:
            process.join()
    views = 2  # pictures and structure
    sent = 0.0 if way != "ranges" else 2 * 4 * views * (BATCH // 2) * (pool // 2) / 2**20
    return {"way": way, "pool": pool, "step_cpu_ms": found["ms"], "sent_mb": sent, "losses": found["losses"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entities", type=int, default=20_000)
    parser.add_argument("--pools", type=int, nargs="+", default=[500, 2_000, 8_000])
    parser.add_argument("--pictures", type=int, nargs=2, default=[4, 32], metavar=("REGIONS", "WIDTH"))
    parser.add_argument("--steps", type=int, default=12)
    args = parser.parse_args()
    torch.set_num_threads(1)  # no threads that a fork would leave behind
    for pool in args.pools:
        rows = [measure(way, args, pool) for way in WAYS]
        first = rows[0]["losses"]
        for row in rows:
            losses = row.pop("losses")
            apart = [abs(a - b) for a, b in zip(first, losses, strict=True)]
            row["first_loss"], row["first_losses_differ_by"], row["losses_differ_by"] = losses[0], apart[0], max(apart)
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
