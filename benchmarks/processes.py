"""Train and rank with two processes over gloo on this machine, beside one, and kill one of them.

    python -m benchmarks.processes                  # 200 steps of each way of training; a kill
    python -m benchmarks.processes --steps 30 --ways uniform --no-kill

For each way the same global batches are trained on by one process and by two, in DistributedDataParallel. It prints by
how much the metrics on the test split differ, and whether two processes, each with half of the entities, rank every
question as one does; where the way ends in "_short_of_memory", memory runs out in the second, and both must go on with
smaller portions. Then the second of two is killed in the middle: how long the first lives on, what it says, and
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
from torch.distributed.device_mesh import init_device_mesh

from benchmarks.kills import ENTITIES, features, graph
from mmkg.errors import ProcessLost
from mmkg.evaluation import metrics, rank, rank_together, score_side
from mmkg.graph import Facts
from mmkg.samplers import KBGAN, MMRNS, BernoulliSampler, NSCaching, UniformSampler
from mmkg.scorers import DistMult, RotatE, Scorer
from mmkg.training import Callback, Checkpoints, OneVsAll, SelfAdversarial, TrainConfig, Trainer
from mmkg.training.row_sharding import local_rows, shard_entities
from mmkg.types import Batch

CONTEXT = multiprocessing.get_context("fork")  # which spares each the imports
SHORT = "_short_of_memory"
RANGES = ("mmrns_by_ranges", "mmrns_typed_by_ranges", f"mmrns_by_ranges{SHORT}")
WAYS = ("uniform", "bernoulli_by_rows", "one_vs_all", "mmrns", "nscaching", "kbgan", f"mmrns{SHORT}", *RANGES)
TOLERANCE, PATIENCE = 1e-5, 30.0
STEPS = 60  # of the run one of whose processes is killed


SAMPLERS = {
    "uniform": lambda data, model: UniformSampler(ENTITIES, 8),
    "bernoulli_by_rows": lambda data, model: BernoulliSampler(ENTITIES, 8),
    "mmrns": lambda data, model: MMRNS(ENTITIES, *model.widths(), num_negatives=8, pool_size=30, attention_dim=8),
    # of pictures and texts some are missing, and ranges are unequal
    "mmrns_by_ranges": lambda _, model: by_ranges(model, features(3, 6, 1), features(2, 5, 2), pool_size=31),
    "mmrns_typed_by_ranges": lambda _, model: by_ranges(model, features(3, 6, 1), pool="typed", pool_size=9),
    "nscaching": lambda data, model: NSCaching(ENTITIES, 8, Facts.from_data(data), cache_size=12, candidates=12),
    "kbgan": lambda data, model: KBGAN(ENTITIES, 8, 4, candidates=20, dim=8),
}


def by_ranges(model: Scorer, *given, **options) -> MMRNS:
    """MMRNS whose pool is divided."""
    options |= {"num_negatives": 8, "attention_dim": 8, "pool_ranges": True}
    return MMRNS(ENTITIES, *model.widths(), *given, **options)


class Tell(Callback):
    """Says how far training is."""

    def __init__(self, steps) -> None:
        self.steps = steps

    def on_step(self, trainer: Trainer, step: int, losses: dict[str, float]) -> None:
        """Keep the step where the other process sees it."""
        self.steps.value = step


def tighten(model: Scorer, rows: int) -> None:
    """Let memory run out where more triples than so many are scored at once."""
    score = model.score_triples

    def tight(head, *args):
        if len(head) > rows:
            raise MemoryError(f"{len(head)} triples")
        return score(head, *args)

    model.score_triples = tight


def tighten_range(sampler: MMRNS, rows: int) -> None:
    """Let memory run out where a range of a pool is compared with more rows than so many at once."""
    similarities = sampler.views.similarities

    def tight(ids, entity, relation, positive, *args):
        if len(positive["structure"]) > rows:
            raise MemoryError(f"{len(ids)} candidates for {len(positive['structure'])} rows")
        return similarities(ids, entity, relation, positive, *args)

    sampler.views.similarities = tight


def trainer(way: str, steps: int, folder: str | None, callbacks=()) -> Trainer:
    """A trainer at its beginning, in each process."""
    data = graph()
    torch.manual_seed(7)
    common = {"steps": steps, "batch_size": 30, "validate_every": max(1, steps // 2), "checkpoint_every": 10}
    if way == "one_vs_all":
        more = {"both_sides": True, "optimizer": "adagrad", "learning_rate": 0.1}
        model, sampler, objective = DistMult(ENTITIES, 4, 16), None, OneVsAll()
    else:
        by_rows = way.startswith(("bernoulli_by_rows", "mmrns"))
        more = {"learning_rate": 0.1, "optimizer": "row_adagrad"} if by_rows else {"learning_rate": 0.02}
        model, objective = RotatE(ENTITIES, 4, 16), SelfAdversarial()
        sampler = SAMPLERS[way.removesuffix(SHORT)](data, model)
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
    if way.endswith(SHORT) and place[0] == 1:  # the second of two; the first has enough
        tighten(begun.model, 5 if way in RANGES else 10)
        if way in RANGES:  # before similarities are exchanged, and then, above, before their slopes are
            tighten_range(begun.sampler, 20)
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
    # caches and averages of a sampler among them
    state = [x.double().flatten() for module in begun.modules.values() for x in module.state_dict().values()]
    weight = torch.cat(state).numpy()
    told = {"metrics": metrics(together), "ranks": together.realistic.tolist(), "same": same, "weight": weight}
    told |= {"steps": result.steps, "history": [entry["loss"] for entry in result.history]}
    answers.send(told | {"processes": begun.processes.count, "parts": begun.gradients.parts})


def train_spread(steps: int, place: tuple[int, int, int], answers) -> None:
    """What each process does whose entity table is spread by rows, or the only one, whose is not."""
    count = place[1]
    join(*place)
    data = graph()
    triples = torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], dim=1)  # [E, 3]
    train, test = triples[data.train_mask], triples[data.test_mask]
    facts, known = Facts.from_data(data), Facts.from_data(data, ("train", "val", "test"))
    torch.manual_seed(7)
    model, sampler, objective = RotatE(ENTITIES, 4, 16), UniformSampler(ENTITIES, 8), SelfAdversarial()
    if count > 1:
        torch.distributed.init_process_group("gloo")
        shard_entities(model, init_device_mesh("cpu", (count,)))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    generator, losses = torch.Generator().manual_seed(0), []
    for _ in range(steps):
        rows = torch.randint(len(train), (30,), generator=generator)
        batch = Batch(*train[rows].unbind(1))
        negatives = sampler.sample(batch, "tail", model, facts, generator)
        positive, scores = (
            model(batch.head, batch.relation, batch.tail),
            score_side(model, batch, "tail", negatives.ids),
        )
        loss = objective(positive, scores, negatives.valid)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    ranks = rank_together(model, test, known)
    kept = local_rows(model).detach()
    states = optimizer.state[model.node_emb.weight]["exp_avg"]
    state_rows = len(states.to_local()) if count > 1 else len(states)
    told = {"losses": losses, "metrics": metrics(ranks), "rows": len(kept), "state_rows": state_rows}
    answers.send(told | {"weight": kept.tolist(), "ranks": ranks.realistic.tolist()})
    if count > 1:
        torch.distributed.destroy_process_group()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Started:
    """Some processes that train together."""

    def __init__(self, way: str, count: int, steps: int, folder: str | None = None, resume: bool = False) -> None:
        port, self.seen = free_port(), CONTEXT.Value("i", 0, lock=False)
        work = train_spread if way == "spread" else train
        self.processes, self.answers = [], []
        for number in range(count):
            receiver, sender = CONTEXT.Pipe(duplex=False)
            place = (number, count, port)
            args = (steps, place, sender) if way == "spread" else (way, steps, folder, resume, self.seen, place, sender)
            self.processes.append(CONTEXT.Process(target=work, args=args, daemon=True))
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
        "weights_differ_by": float(abs(one["weight"] - two[0]["weight"]).max()),
        "both_hold_the_same_weights": bool((two[0]["weight"] == two[1]["weight"]).all()),
        "processes": two[0]["processes"],
        "parts": [x["parts"] for x in two],
    }


def compare_spread(steps: int) -> dict:
    """A table in one process beside one whose rows are spread over two."""
    (one,) = Started("spread", 1, steps).told()
    two = Started("spread", 2, steps).told()
    rows = torch.tensor([row for part in two for row in part["weight"]])  # [N, d]
    return {
        "way": "rows of the entity table spread by DTensor",
        "steps": steps,
        "rows_held": [part["rows"] for part in two],
        "rows_of_adams_state_held": [part["state_rows"] for part in two],
        "losses_differ_by": max(abs(a - b) for a, b in zip(one["losses"], two[0]["losses"], strict=True)),
        "weights_differ_by": float((rows - torch.tensor(one["weight"])).abs().max()),
        "metrics_differ_by": max(abs(one["metrics"][k] - two[1]["metrics"][k]) for k in one["metrics"] if k != "mr"),
        "ranks_equal": one["ranks"] == two[0]["ranks"] == two[1]["ranks"],
    }


def kill(way: str) -> dict:
    """Kill the second of two in the middle, then go on with one, and compare with one that nobody disturbed."""
    with tempfile.TemporaryDirectory() as folder:
        started = Started(way, 2, STEPS, folder)
        while started.seen.value < 25:  # two checkpoints
            if not all(process.is_alive() for process in started.processes):
                sys.exit(f"{way}: a process ended after step {started.seen.value}, before anyone killed one")
            time.sleep(0.05)
        started.processes[1].kill()
        begun = time.monotonic()
        told = started.answers[0].recv()
        started.processes[0].join(PATIENCE)
        lived = time.monotonic() - begun
        started.processes[0].kill()
        last = int(Checkpoints(Path(folder)).newest().stem.removeprefix("step-"))
        (resumed,), (whole,) = Started(way, 1, STEPS, folder, resume=True).told(), Started(way, 1, STEPS).told()
        return {
            "first_ended_after_s": round(lived, 2),
            "it_said": told.get("lost"),
            "last_checkpoint": last,
            "resumed_to": resumed["steps"],
            "metrics_differ_by": max(abs(whole["metrics"][k] - v) for k, v in resumed["metrics"].items() if k != "mr"),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--kill", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--spread", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()
    torch.set_num_threads(1)  # no threads that a fork would leave behind
    rows = [compare(way, args.steps) for way in args.ways]
    print(json.dumps(rows, indent=1), flush=True)
    smaller = {f"mmrns{SHORT}": [2, 2], f"mmrns_by_ranges{SHORT}": [4, 4]}
    good = all(row["parts"] == smaller[row["way"]] for row in rows if row["way"] in smaller)
    good = good and all(row["metrics_differ_by"] <= TOLERANCE and row["ranking_together_equals_alone"] for row in rows)
    good = good and all(row["both_hold_the_same_weights"] and row["processes"] == 2 for row in rows)
    if args.kill:
        found = kill(args.ways[0])
        print(json.dumps(found, indent=1))
        good = good and found["first_ended_after_s"] < PATIENCE and found["it_said"] is not None
        good = good and found["resumed_to"] == STEPS and found["metrics_differ_by"] <= TOLERANCE
    if args.spread:
        found = compare_spread(args.steps)
        print(json.dumps(found, indent=1), flush=True)
        good = good and found["metrics_differ_by"] <= TOLERANCE and max(found["rows_held"]) == ENTITIES // 2
    sys.exit(not good)


if __name__ == "__main__":
    main()
