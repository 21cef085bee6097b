"""Train and rank with two processes over gloo on this machine, beside one, and kill one of them.

    python -m benchmarks.processes                  # 200 steps of three ways of training; a kill
    python -m benchmarks.processes --steps 30 --ways uniform --no-kill

For each way the same global batches are trained on by one process and by two, in DistributedDataParallel. It prints by
how much the metrics on the test split differ, and whether two processes, each with half of the entities, rank every
question as one does. Then the second of two is killed in the middle: how long the first lives on, what it says, and
whether training goes on from its checkpoint. Exits with 1 where metrics differ by more than 1e-5, a rank differs, or
the first lives on for more than 30 s.

Each process finds the others as under ``torchrun --nproc-per-node 2 script.py``: by RANK, WORLD_SIZE, MASTER_ADDR and
MASTER_PORT.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.kills import ENTITIES, graph
from mmkg.errors import ProcessLost
from mmkg.evaluation import metrics, rank, rank_together
from mmkg.graph import Facts
from mmkg.samplers import BernoulliSampler, UniformSampler
from mmkg.scorers import DistMult, RotatE
from mmkg.training import Callback, Checkpoints, OneVsAll, SelfAdversarial, TrainConfig, Trainer

CONTEXT = multiprocessing.get_context("forkserver")
WAYS = ("uniform", "bernoulli_by_rows", "one_vs_all")
TOLERANCE, PATIENCE = 1e-5, 30.0


class Tell(Callback):
    """Says how far training is."""

    def __init__(self, steps) -> None:
        self.steps = steps

    def on_step(self, trainer: Trainer, step: int, losses: dict[str, float]) -> None:
        """Keep the step where the other process sees it."""
        self.steps.value = step


def trainer(way: str, steps: int, folder: str | None, callbacks=()) -> Trainer:
    """A trainer at its beginning, in each process."""
    data = graph()
    torch.manual_seed(7)
    common = {"steps": steps, "batch_size": 30, "validate_every": max(1, steps // 2), "checkpoint_every": 10}
    if way == "one_vs_all":
        more = {"both_sides": True, "optimizer": "adagrad", "learning_rate": 0.1}
        model, sampler, objective = DistMult(ENTITIES, 4, 16), None, OneVsAll()
    else:
        kind = UniformSampler if way == "uniform" else BernoulliSampler
        more = {"learning_rate": 0.02} if way == "uniform" else {"learning_rate": 0.1, "optimizer": "row_adagrad"}
        model, sampler, objective = RotatE(ENTITIES, 4, 16), kind(ENTITIES, 8), SelfAdversarial()
    config = TrainConfig(**common, **more)
    given = {"folder": None if folder is None else Path(folder), "callbacks": callbacks, "progress": False}
    return Trainer(model, sampler, objective, data, config, **given)


def join(number: int, count: int, port: int) -> None:
    """Take a place among the processes, as torchrun would give it."""
    torch.set_num_threads(1)
    if count > 1:
        places = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
        places |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in places.items()})


def train(way: str, steps: int, folder: str | None, resume: bool, seen, place: tuple[int, int, int], answers) -> None:
    """What each process does: train, rank the test split, and send what came of it."""
    join(*place)
    begun = trainer(way, steps, folder, (Tell(seen),))
    try:
        result = begun.fit(resume=resume)
    except ProcessLost as error:
        answers.send({"lost": str(error)})
        return
    data = graph()
    triples = torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], dim=1)[data.test_mask]
    facts = Facts.from_data(data, ("train", "val", "test"))
    alone, together = rank(begun.model, triples, facts), rank_together(begun.model, triples, facts)
    same = torch.equal(alone.optimistic, together.optimistic) and torch.equal(alone.pessimistic, together.pessimistic)
    same = same and torch.equal(alone.candidates, together.candidates) and torch.equal(alone.side, together.side)
    weight = torch.cat([p.detach().flatten() for p in begun.model.parameters()]).numpy().tobytes()
    told = {"metrics": metrics(together), "ranks": together.realistic.tolist(), "same": same, "weight": weight}
    history = [entry["loss"] for entry in result.history]
    answers.send(told | {"steps": result.steps, "history": history, "processes": begun.processes.count})


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Started:
    """Some processes that train together."""

    def __init__(self, way: str, count: int, steps: int, folder: str | None = None, resume: bool = False) -> None:
        port, self.seen = free_port(), CONTEXT.Value("i", 0, lock=False)
        self.processes, self.answers = [], []
        for number in range(count):
            receiver, sender = CONTEXT.Pipe(duplex=False)
            args = (way, steps, folder, resume, self.seen, (number, count, port), sender)
            self.processes.append(CONTEXT.Process(target=train, args=args, daemon=True))
            self.processes[-1].start()
            sender.close()
            self.answers.append(receiver)

    def told(self) -> list[dict]:
        """What each sends; raises EOFError where one ends without an answer."""
        found = [answer.recv() for answer in self.answers]
        for process in self.processes:
            process.join()
        return found


def compare(way: str, steps: int) -> dict:
    """One process beside two."""
    (one,) = Started(way, 1, steps).told()
    two = Started(way, 2, steps).told()
    apart = max(abs(one["metrics"][k] - two[0]["metrics"][k]) for k in one["metrics"] if k != "mr")
    losses = max(abs(a - b) for a, b in zip(one["history"], two[0]["history"], strict=True))
    return {
        "way": way,
        "steps": steps,
        "mrr": one["metrics"]["mrr"],
        "metrics_differ_by": apart,
        "losses_differ_by": losses,
        "ranks_equal": one["ranks"] == two[0]["ranks"],
        "ranking_together_equals_alone": all(x["same"] for x in two),
        "both_hold_the_same_weights": two[0]["weight"] == two[1]["weight"],
        "processes": two[0]["processes"],
    }


def kill(way: str) -> dict:
    """Kill the second of two in the middle, then go on with one."""
    with tempfile.TemporaryDirectory() as folder:
        started = Started(way, 2, 10**6, folder)
        while started.seen.value < 25:  # two checkpoints
            time.sleep(0.05)
        started.processes[1].kill()
        begun = time.monotonic()
        told = started.answers[0].recv()
        started.processes[0].join(PATIENCE)
        lived = time.monotonic() - begun
        started.processes[0].kill()
        last = int(Checkpoints(Path(folder)).newest().stem.removeprefix("step-"))
        return {"first_ended_after_s": round(lived, 2), "it_said": told.get("lost"), "last_checkpoint": last}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--kill", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()
    CONTEXT.set_forkserver_preload(["mmkg.samplers", "mmkg.scorers", "mmkg.training"])
    rows = [compare(way, args.steps) for way in args.ways]
    print(json.dumps(rows, indent=1), flush=True)
    good = all(row["metrics_differ_by"] <= TOLERANCE and row["ranking_together_equals_alone"] for row in rows)
    good = good and all(row["both_hold_the_same_weights"] and row["processes"] == 2 for row in rows)
    if args.kill:
        found = kill(args.ways[0])
        print(json.dumps(found, indent=1))
        good = good and found["first_ended_after_s"] < PATIENCE and found["it_said"] is not None
    sys.exit(not good)


if __name__ == "__main__":
    main()
