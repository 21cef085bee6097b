"""Kill training with SIGKILL at random moments, go on, and compare every state with the run that nobody killed.

    python -m benchmarks.kills                # 50 kills, some minutes
    python -m benchmarks.kills --kills 3

Three ways of training on a small graph take turns: MMRNS with pictures and texts, a sampler with a cache, and a full
softmax whose sides have orders of their own. After each kill the folder must hold no checkpoint that is not whole, and
the latest must be, to the bit, the one that the undisturbed run wrote after the same step; each run that reaches its
end must have the undisturbed one's weights, history and checkpoints. Prints what came of it as JSON; exits with 1 at
the first difference.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import random
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch
from torch_geometric.data import Data

from mmkg.graph import Facts
from mmkg.samplers import MMRNS, NSCaching
from mmkg.scorers import DistMult, RotatE
from mmkg.training import Checkpoints, OneVsAll, SelfAdversarial, TrainConfig, Trainer, load_tree
from mmkg.types import Features

ENTITIES, STEPS, EVERY = 60, 60, 2
WAYS = ("mmrns", "nscaching", "one_vs_all")
CONTEXT = multiprocessing.get_context("forkserver")  # each run is a process of its own that need not import torch anew


def graph() -> Data:
    """A ring of entities with four relations: next, previous, opposite and twin."""
    i = torch.arange(ENTITIES)
    other = [(i + 1) % ENTITIES, (i - 1) % ENTITIES, (i + ENTITIES // 2) % ENTITIES, i ^ 1]
    triples = torch.cat([torch.stack([i, torch.full_like(i, r), t]) for r, t in enumerate(other)], dim=1)  # [3, 240]
    triples = triples[:, torch.randperm(triples.shape[1], generator=torch.Generator().manual_seed(0))]
    data, number = Data(edge_index=triples[[0, 2]], edge_type=triples[1], num_nodes=ENTITIES), torch.arange(240)
    data.num_relations = 4
    data.train_mask, data.val_mask, data.test_mask = number < 200, (number >= 200) & (number < 220), number >= 220
    data.entity_names = [f"e{k:02d}" for k in range(ENTITIES)]
    data.relation_names = ["next", "previous", "opposite", "twin"]
    return data


def features(rows: int, width: int, seed: int) -> Features:
    """Random features of two entities in three."""
    generator = torch.Generator().manual_seed(seed)
    present = torch.arange(ENTITIES) % 3 > 0
    count = int(present.sum())
    mask = torch.rand(count, rows, generator=generator) > 0.3
    mask[:, 0] = True
    row = torch.where(present, present.cumsum(0) - 1, -1)
    return Features(torch.randn(count, rows, width, generator=generator), mask, row)


def trainer(way: str, folder: Path, keep: int) -> Trainer:
    """A trainer at its beginning."""
    data = graph()
    torch.manual_seed(7)
    common = {
        "steps": STEPS,
        "batch_size": 32,
        "validate_every": 15,
        "checkpoint_every": EVERY,
        "keep_checkpoints": keep,
    }
    if way == "one_vs_all":
        more = {"both_sides": True, "together": 4, "optimizer": "adagrad", "learning_rate": 0.1}
        model, sampler, objective = DistMult(ENTITIES, 4, 16), None, OneVsAll()
    else:
        more = {"learning_rate": 0.02, "warmup": 5, "schedule": "cosine"}
        model, objective = RotatE(ENTITIES, 4, 16), SelfAdversarial()
        if way == "nscaching":
            sampler = NSCaching(ENTITIES, 8, Facts.from_data(data), cache_size=10, candidates=10)
        else:
            image, text = features(5, 7, 1), features(3, 4, 2)
            small = {"num_negatives": 8, "pool_size": 30, "attention_dim": 6, "gate_dim": 8}
            sampler = MMRNS(ENTITIES, *model.widths(), image, text, **small)
    return Trainer(model, sampler, objective, data, TrainConfig(**common, **more), folder=folder, progress=False)


def train(way: str, folder: str, keep: int) -> None:
    """What each process does: train, from the latest checkpoint if there is one, and tell the result."""
    torch.set_num_threads(1)
    warnings.simplefilter("error")  # a checkpoint that is passed over would be one
    started = trainer(way, Path(folder), keep)
    result = started.fit(resume=True)
    told = {"history": unclocked(result.history), "best": result.best, "best_step": result.best_step}
    tensors = {f"{n}.{k}": v for n, m in started.modules.items() for k, v in m.state_dict().items()}
    (Path(folder) / "result").write_text(digest(tensors, told))


def unclocked(history: list[dict]) -> list[dict]:
    """The same without seconds, which no two runs share."""
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in history]


def digest(tensors: dict[str, torch.Tensor], told: dict) -> str:
    """Hash of tensors and of what JSON can hold."""
    state = hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        state.update(f"{name}{tensor.dtype}{list(tensor.shape)}".encode())
        state.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return state.hexdigest()


def states(folder: Path) -> dict[int, str]:
    """Hash of each checkpoint by its step. Raises DataError where one is not whole."""
    found = {}
    for path in Checkpoints(folder).paths():
        tensors, meta = load_tree(path)
        meta["result"] = {**meta["result"], "seconds": 0, "history": unclocked(meta["result"]["history"])}
        del meta["config"]  # the undisturbed run keeps more checkpoints
        found[meta["step"]] = digest(tensors, meta)
    return found


class Undisturbed:
    """A run that nobody killed: its states, its result and how long it took."""

    def __init__(self, way: str, folder: Path) -> None:
        begun = time.monotonic()
        process = CONTEXT.Process(target=train, args=(way, str(folder), STEPS))
        process.start()
        process.join()
        if process.exitcode:
            sys.exit(f"{way}: the undisturbed run ended with {process.exitcode}")
        self.seconds = time.monotonic() - begun
        self.states, self.result = states(folder), (folder / "result").read_text()


def check(found: dict[int, str], expected: dict[int, str], told: str) -> None:
    """Exit with 1 where a state is another than that of the undisturbed run."""
    for step, state in found.items():
        if expected.get(step) != state:
            sys.exit(f"{told}: the state after step {step} is another than without kills")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    args = parser.parse_args()
    CONTEXT.set_forkserver_preload(["mmkg.samplers", "mmkg.scorers", "mmkg.training"])
    first = CONTEXT.Process(target=int)  # starts the server, which imports torch: no part of how long a run takes
    first.start()
    first.join()
    moments = random.Random(args.seed)
    count = dict.fromkeys(("kills", "while_writing", "before_the_first_checkpoint", "resumes", "runs_ended"), 0)
    with tempfile.TemporaryDirectory() as place:
        whole = {way: Undisturbed(way, Path(place) / f"whole-{way}") for way in args.ways}
        run = 0
        while count["kills"] < args.kills:
            way = args.ways[run % len(args.ways)]
            folder, ended = Path(place) / f"run{run}", False
            folder.mkdir()
            run += 1
            while not ended:
                had, left = states(folder), len(list(folder.glob(".*.tmp")))
                count["resumes"] += bool(had)
                process = CONTEXT.Process(target=train, args=(way, str(folder), 2))
                process.start()
                if count["kills"] < args.kills:
                    process.join(moments.uniform(0, whole[way].seconds))
                    process.kill()  # SIGKILL; nothing happens to one that has ended
                process.join()
                ended = process.exitcode == 0
                if not ended and process.exitcode != -signal.SIGKILL:
                    sys.exit(f"{way}: ended with {process.exitcode}")
                found = states(folder)  # raises at a file that is not whole
                count["kills"] += not ended
                count["while_writing"] += len(list(folder.glob(".*.tmp"))) > left
                count["before_the_first_checkpoint"] += not found
                check(found, whole[way].states, f"{way}, kill {count['kills']}")
            count["runs_ended"] += 1
            if (folder / "result").read_text() != whole[way].result:
                sys.exit(f"{way}: the result is another than without kills")
            print(
                f"{count['kills']} kills, {count['runs_ended']} runs ended as if there had been none", file=sys.stderr
            )
    print(json.dumps(count | {"states_compared": "all equal to the bit", "half_written_files_read": 0}))


if __name__ == "__main__":
    main()
