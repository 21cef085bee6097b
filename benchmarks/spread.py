"""Three ways for two processes to train one table of entities: what each holds, computes and sends.

    python -m benchmarks.spread --entities 20000 200000

DistMult, d = 64, uniform negatives, two processes over gloo. "Whole, dense": each holds the table, and
DistributedDataParallel adds up whole gradients (Adam). "Whole, by rows": the same with gradients of the rows that were
touched (row-wise Adagrad). "Rows spread": each holds half of the rows by DTensor (Adam). Seconds are a process's own
CPU time a step, median, on one thread; bytes are what a process hands to gloo in a step, reckoned from the shapes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.parallel import DistributedDataParallel

from benchmarks.processes import CONTEXT, free_port, join
from mmkg.scorers import DistMult
from mmkg.training import RowAdagrad, SelfAdversarial
from mmkg.training.row_sharding import local_rows, shard_entities

WAYS, WIDTH, NEGATIVES = ("whole, dense", "whole, by rows", "rows spread"), 64, 32


class Loss(torch.nn.Module):
    """The loss of one batch, as one module."""

    def __init__(self, model: DistMult) -> None:
        super().__init__()
        self.model, self.objective = model, SelfAdversarial()

    def forward(self, triples: torch.Tensor, negatives: torch.Tensor) -> torch.Tensor:
        """Triples ``[B, 3]``, ids ``[B, K]``."""
        h, r, t = triples.unbind(1)
        valid = torch.ones_like(negatives, dtype=torch.bool)
        return self.objective(self.model(h, r, t), self.model.score_tails(h, r, negatives), valid)


def work(way: str, entities: int, batch: int, steps: int, place: tuple[int, int, int], answers) -> None:
    """What each process does."""
    join(*place)
    number, count, _ = place
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    loss = Loss(DistMult(entities, 100, WIDTH))
    table, spread = loss.model.node_emb, way == "rows spread"
    table.sparse = way == "whole, by rows"
    if spread:
        shard_entities(loss.model, init_device_mesh("cpu", (count,)))
    else:
        loss = DistributedDataParallel(loss)
    parameters = list(loss.parameters())
    optimizer = RowAdagrad(parameters, lr=0.1) if table.sparse else torch.optim.Adam(parameters, lr=1e-3)
    own, seconds = batch if spread else batch // count, []
    # a spread table is asked for the whole batch by all; else each has its share
    generator = torch.Generator().manual_seed(0 if spread else number)
    for _ in range(steps + 1):
        triples = torch.randint(entities, (own, 3), generator=generator)
        triples[:, 1] %= 100
        negatives = torch.randint(entities, (own, NEGATIVES), generator=generator)
        begun = time.process_time()
        optimizer.zero_grad()
        loss(triples, negatives).backward()
        optimizer.step()
        seconds.append(time.process_time() - begun)
    rows = len(local_rows(loss.model if spread else loss.module.model))
    touched = own * (2 + NEGATIVES)
    sent = {"whole, dense": entities * WIDTH * 4, "whole, by rows": touched * (WIDTH * 4 + 8)}
    answers.send(
        {
            "way": way,
            "entities": entities,
            "rows_held": rows,
            "table_and_state_mb": rows * (WIDTH * 4 * (1 if table.sparse else 3) + 4 * table.sparse) / 2**20,
            "step_cpu_ms": 1e3 * statistics.median(seconds[1:]),
            "sent_mb": sent.get(way, touched * WIDTH * 4) / 2**20,
        }
    )
    dist.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entities", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--steps", type=int, default=5)
    args = parser.parse_args()
    rows = []
    for entities in args.entities:
        for way in WAYS:
            port, processes, receivers = free_port(), [], []
            for number in range(2):
                receiver, sender = CONTEXT.Pipe(duplex=False)
                given = (way, entities, args.batch, args.steps, (number, 2, port), sender)
                processes.append(CONTEXT.Process(target=work, args=given, daemon=True))
                processes[-1].start()
                sender.close()
                receivers.append(receiver)
            first, _ = (receiver.recv() for receiver in receivers)
            rows.append(first)
            for process in processes:
                process.join()
            print(json.dumps({k: round(v, 2) if isinstance(v, float) else v for k, v in rows[-1].items()}), flush=True)


if __name__ == "__main__":
    main()
