"""Negatives shared by a batch beside negatives of each row's own: what scoring them and their gradient costs.

    python -m benchmarks.shared_negatives
    python -m benchmarks.shared_negatives --scorers rotate transe --dim 100 --repeats 9

On tables of WN18RR's size (40,943 entities, 11 relations) a batch is scored against drawn negatives, forward and
backward down to the embeddings looked up. "Shared" is one list through ``score_tails``, as training goes; "own" gathers
``[B, K, d]``; "eager" broadcasts ``[B, 1, d]`` against ``[1, K, d]`` and leaves the gradient to autograd. Own and
eager are timed on fewer negatives where ``[B, K, d]`` would be large, and told for each negative. Then whole steps of
the trainer, by optimiser. Seconds are of processor time, the fewest of some turns. Random triples; nothing is read.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch_geometric.data import Data

from mmkg.cli import print_table
from mmkg.samplers import SharedSampler
from mmkg.scorers import SCORERS
from mmkg.training import Callback, SelfAdversarial, TrainConfig, Trainer

ENTITIES, RELATIONS, TRIPLES = 40_943, 11, 86_835


def fewest(work: Callable[[], object], repeats: int) -> float:
    """Seconds of processor time of the fastest turn, after one that does not count."""
    work()
    found = []
    for _ in range(repeats):
        before = time.process_time()
        work()
        found.append(time.process_time() - before)
    return min(found)


def scoring(name: str, args: argparse.Namespace) -> list[dict]:
    """A row for each form of scoring, with its gradient."""
    torch.manual_seed(0)
    model = SCORERS[name](ENTITIES, RELATIONS, args.dim)
    model.node_emb.sparse = True  # else most of the time goes into zeros of the size of the table
    h, r = torch.randint(ENTITIES, (args.batch,)), torch.randint(RELATIONS, (args.batch,))
    few = min(args.own, args.negatives)
    shared, own = torch.randperm(ENTITIES)[: args.negatives], torch.randint(ENTITIES, (args.batch, few))

    def eager():
        relation = model.relation(r)
        query = model.query(model.entity(h), relation, "tail")  # [B, d]
        return model.match(query[:, None], model.entity(shared[:few])[None], relation[:, None], "tail")  # [B, K]

    forms = {
        "shared": (lambda: model.score_tails(h, r, shared), args.negatives),
        "own": (lambda: model.score_tails(h, r, own), few),
        "eager": (eager, few),
    }

    def step(score: Callable[[], torch.Tensor]) -> None:
        model.zero_grad()
        score().sigmoid().sum().backward()

    seconds = {form: fewest(lambda s=score: step(s), args.repeats) for form, (score, _) in forms.items()}
    each = {form: seconds[form] / (args.batch * forms[form][1]) for form in forms}  # for each negative of each row
    return [
        {
            "scorer, form": f"{name}, {form}",
            "negatives": forms[form][1],
            "ms": f"{seconds[form] * 1e3:.1f}",
            "ns a negative": f"{each[form] * 1e9:.0f}",
            "of shared": f"{each[form] / each['shared']:.1f}×",
        }
        for form in forms
    ]


def training(name: str, optimizer: str, args: argparse.Namespace) -> dict:
    """Milliseconds of a whole step of the trainer with shared negatives."""
    generator = torch.Generator().manual_seed(0)
    data = Data(edge_index=torch.randint(ENTITIES, (2, TRIPLES), generator=generator), num_nodes=ENTITIES)
    data.edge_type, data.num_relations = torch.randint(RELATIONS, (TRIPLES,), generator=generator), RELATIONS
    data.train_mask = torch.ones(TRIPLES, dtype=torch.bool)
    data.val_mask = data.test_mask = ~data.train_mask
    ends: list[float] = []

    class Clock(Callback):
        def on_step(self, trainer, step, losses):
            ends.append(time.process_time())

    torch.manual_seed(0)
    config = TrainConfig(steps=4 + args.repeats, batch_size=args.batch, validate_every=0, optimizer=optimizer)
    sampler = SharedSampler(ENTITIES, args.negatives)
    model = SCORERS[name](ENTITIES, RELATIONS, args.dim)
    Trainer(model, sampler, SelfAdversarial(), data, config, callbacks=[Clock()], progress=False).fit()
    steps = torch.tensor(ends, dtype=torch.float64).diff()[3:]  # without those that wait for a compiler
    fewest_ms, median_ms = (f"{float(x) * 1e3:.0f}" for x in (steps.min(), steps.median()))
    return {"whole step": f"{name}, {optimizer}", "fewest ms": fewest_ms, "median ms": median_ms}


def main() -> None:
    """Time what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--scorers", nargs="+", default=["rotate", "transe", "pairre", "complex"], choices=sorted(SCORERS))
    add("--optimizers", nargs="*", default=["adam", "row_adam", "row_adagrad"])
    add("--dim", type=int, default=200, help="default %(default)s")
    add("--batch", type=int, default=512, help="default %(default)s")
    add("--negatives", type=int, default=512, help="in the shared list; default %(default)s")
    add("--own", type=int, default=64, help="at most, of each row's own and broadcast; default %(default)s")
    add("--repeats", type=int, default=5, help="default %(default)s")
    args = parser.parse_args()
    rows = [row for name in args.scorers for row in scoring(name, args)]
    print_table(rows)
    steps = [training(args.scorers[0], optimizer, args) for optimizer in args.optimizers]
    if steps:
        print_table(steps)


if __name__ == "__main__":
    main()
