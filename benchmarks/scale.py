"""Bytes and seconds as a graph grows: a training step, filtered queries, features on the disk.

    python -m benchmarks.scale                                    # 10^4 to 5·10^6 entities
    python -m benchmarks.scale --entities 10000 100000 --json points.json

For each size a synthetic graph (see ``benchmarks.synthetic``; 4 triples an entity, 100 relations) is trained on for
some steps with DistMult, d = 64, row-wise Adagrad and uniform negatives, and with MMRNS on pictures that stay on the
disk; beside the step stands what it asks of memory, done bare: rows looked up and updated, negatives drawn by searches
in the facts. Then 100 filtered queries (50 triples, both sides) are ranked among all entities. Each size has a process
of its own, so that its peak of memory is its own. Seconds are the process's own (CPU) time on one thread, so that other
work on the machine counts for little.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import torch

from benchmarks.synthetic import synthetic_features, synthetic_graph
from mmkg.evaluation import rank
from mmkg.graph import Facts
from mmkg.run.record import peak_memory_mb
from mmkg.samplers import MMRNS, UniformSampler
from mmkg.scorers import DistMult
from mmkg.training import SelfAdversarial, TrainConfig, Trainer

WIDTH = 64


def clock(work) -> tuple[float, object]:
    """CPU seconds of a call, and what it gives."""
    begun = time.process_time()
    found = work()
    return time.process_time() - begun, found


def median_step(trainer: Trainer, steps: int) -> float:
    """Median CPU seconds of a step, the first left out."""
    seconds = []
    for _ in range(steps + 1):
        seconds.append(clock(trainer._train_step)[0])
        trainer.step += 1
    return statistics.median(seconds[1:])


def bare(trainer: Trainer, steps: int) -> dict[str, float]:
    """Median CPU ms of what a step asks of memory and nothing else, for the rows that steps touch.

    Returns:
        ``distinct_rows`` of the table that a step touches; ``bare_rows_ms``: all its rows looked up, the distinct ones
        updated, and their numbers of state read and written; ``bare_draws_ms``: the sampler's draws.
    """
    weight = trainer.model.node_emb.weight
    table, state = weight.data, trainer.optimizers[0].state[weight]["sum"]  # [N, d], [N]
    found: dict[str, list[float]] = {"distinct_rows": [], "bare_rows_ms": [], "bare_draws_ms": []}
    for step in range(steps + 1):
        ((question,),) = trainer.questions.next(step)
        batch, side = question.batch, question.side
        draw = partial(trainer.sampler.sample, batch, side, None, trainer.facts, trainer.generator)
        seconds, negatives = clock(draw)
        found["bare_draws_ms"].append(1e3 * seconds)
        touched = torch.cat([batch.head, batch.tail, negatives.ids.flatten()])  # [B (2 + K)]
        rows = touched.unique()  # [m]
        change = torch.zeros(len(rows), table.shape[1])  # [m, d]

        def work(touched=touched, rows=rows, change=change):
            table.index_select(0, touched)
            state.index_copy_(0, rows, state.index_select(0, rows))
            table.scatter_add_(0, rows[:, None].expand_as(change), change)

        found["bare_rows_ms"].append(1e3 * clock(work)[0])
        found["distinct_rows"].append(len(rows))
    return {name: statistics.median(values[1:]) for name, values in found.items()}


def measure(entities: int, args: argparse.Namespace, answers) -> None:
    """One size; what each process does."""
    torch.set_num_threads(1)
    row: dict = {"entities": entities}
    row["graph_s"], data = clock(lambda: synthetic_graph(entities))
    row["triples"] = data.edge_type.numel()
    torch.manual_seed(0)
    model = DistMult(entities, data.num_relations, WIDTH)
    row["parameters_mb"] = sum(p.numel() * p.element_size() for p in model.parameters()) / 2**20
    common = {"validate_every": 0, "optimizer": "row_adagrad", "learning_rate": 0.1, "schedule": "constant"}
    config = TrainConfig(steps=10**6, batch_size=args.batch, **common)
    sampler = UniformSampler(entities, 32)
    row["trainer_s"], trainer = clock(lambda: Trainer(model, sampler, SelfAdversarial(), data, config, progress=False))
    row["step_ms"] = 1e3 * median_step(trainer, args.steps)
    row |= bare(trainer, args.steps)
    row["peak_after_training_mb"] = round(peak_memory_mb())
    with tempfile.TemporaryDirectory() as folder:
        image = synthetic_features(Path(folder) / "image.npy", entities, 4, 32)
        row["features_on_disk_mb"] = image.values.nbytes / 2**20
        ids = torch.randint(entities, (512,))
        row["gather_512_ms"] = 1e3 * min(clock(lambda: image.gather(ids))[0] for _ in range(5))
        small = {"num_negatives": 20, "pool_size": 500, "attention_dim": 16, "gate_dim": 32}
        sampler = MMRNS(entities, *model.widths(), image, **small)
        # the same facts and orders: making them anew would only take time
        trainer.sampler = trainer.loss.sampler = trainer.questions.sampler = sampler
        row["mmrns_step_ms"] = 1e3 * median_step(trainer, max(2, args.steps // 5))
        trainer.sampler = trainer.loss.sampler = trainer.questions.sampler = sampler = image = None
    del trainer
    triples = torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], dim=1)[data.test_mask][:50]
    row["facts_s"], facts = clock(lambda: Facts.from_data(data, ("train", "val", "test")))
    kept = [x for rows in facts._index.values() for x in vars(rows).values() if torch.is_tensor(x)]
    row["facts_mb"] = sum(x.numel() * x.element_size() for x in kept) / 2**20
    rank(model, triples[:2], facts)
    row["queries_100_s"], _ = clock(lambda: rank(model, triples, facts, memory_mb=args.memory_mb))
    row["peak_mb"] = round(peak_memory_mb())
    answers.send(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entities", type=int, nargs="+", default=[10**4, 10**5, 10**6, 5 * 10**6])
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--memory-mb", type=float, default=256.0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    for entities in args.entities:
        receiver, sender = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("fork").Process(target=measure, args=(entities, args, sender))
        process.start()
        sender.close()
        try:
            rows.append(receiver.recv())
        except EOFError:
            process.join()
            sys.exit(f"{entities} entities: the process ended with {process.exitcode}")
        process.join()
        print(json.dumps({k: round(v, 3) for k, v in rows[-1].items()}), file=sys.stderr, flush=True)
    names = list(rows[0])
    print("| " + " | ".join(names) + " |\n|" + "---:|" * len(names))
    for row in rows:
        print("| " + " | ".join(f"{row[n]:,.1f}" if isinstance(row[n], float) else f"{row[n]:,}" for n in names) + " |")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
