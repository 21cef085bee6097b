"""Time filtered evaluation against the bare matrix product, PyKEEN, PyG's own test and the naive form, in one run.

    python -m benchmarks.evaluation --shapes db15k fb15k --scorers complex rotate transe

Graphs have the sizes of DB15K and FB15K; with MMKG_RAW set they are the real ones, otherwise drawn with the skew of
real graphs. Models are untrained: the time does not depend on it. "Queries" are questions for the head or the tail of a
test triple. The bare product scores every query against every entity and does nothing else; ours scores equal questions
once, so that its share of this floor may exceed 100 %; the row "distinct questions" has hardly any to share. PyKEEN
(optional: ``pip install pykeen==1.11.1``), PyG and the naive form are timed on some triples only. Times are the fewest
of several turns; memory is what the process grew by at most, which counts in full for the first scorer alone.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch_geometric.nn import kge

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the script also runs from a source tree without installation

from mmkg.datasets import DB15K, FB15K  # noqa: E402
from mmkg.evaluation import rank  # noqa: E402
from mmkg.graph import Facts  # noqa: E402
from mmkg.run.record import peak_memory_mb, reset_peak_memory  # noqa: E402
from mmkg.scorers import SCORERS, BilinearScorer, Scorer  # noqa: E402

SHAPES = {"db15k": (DB15K, 12842, 279, 79222, 9902), "fb15k": (FB15K, 14951, 1345, 483142, 59071)}
PYG = {"complex": kge.ComplEx, "rotate": kge.RotatE, "transe": kge.TransE, "distmult": kge.DistMult}
DIM, OURS, FLOOR = 200, "ours", "bare matrix product"


def graph(name: str) -> tuple[str, torch.Tensor, torch.Tensor, int, int]:
    """(what it is, all triples ``[E, 3]``, test triples ``[T, 3]``, entities, relations)."""
    kind, entities, relations, train, test = SHAPES[name]
    if os.environ.get("MMKG_RAW"):
        with tempfile.TemporaryDirectory() as folder:
            data = kind(folder, log=False).topology
        every = torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], dim=1)
        return f"{kind.__name__}, real", every, every[data.test_mask], int(data.num_nodes), int(data.num_relations)
    generator = torch.Generator().manual_seed(0)

    def skewed(size: int, rank_shift: float) -> torch.Tensor:
        weight = 1.0 / (torch.arange(size) + rank_shift)
        return weight.multinomial(train + test, replacement=True, generator=generator)

    every = torch.stack([skewed(entities, 50.0), skewed(relations, 3.0), skewed(entities, 10.0)], dim=1)
    return f"{kind.__name__}'s shape, drawn", every, every[-test:], entities, relations


def fewest_seconds(forms: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Fewest seconds of each form, in turns, so that a busy moment of the machine hits all alike; one turn warms."""
    found = dict.fromkeys(forms, float("inf"))
    for turn in range(repeats + 1):
        for name, form in forms.items():
            start = time.perf_counter()
            form()
            if turn:
                found[name] = min(found[name], time.perf_counter() - start)
    return found


def growth_mb(form: Callable[[], object]) -> float:
    """By how many MiB the process grows at most."""
    reset_peak_memory()
    before = peak_memory_mb()
    form()
    return peak_memory_mb() - before


@torch.no_grad()
def product(queries: int, width: int, entities: int) -> Callable[[], None]:
    """The floor of a bilinear scorer: ``queries`` rows times a table, nothing else."""
    rows, table = torch.randn(queries, width), torch.randn(entities, width)
    out = torch.empty(512, entities)

    def form() -> None:
        for part in rows.split(512):
            torch.mm(part, table.T, out=out[: len(part)])

    return form


def naive(model: Scorer, triples: torch.Tensor) -> Callable[[], None]:
    """All scores by broadcasting two questions against the table, and a comparison; nothing is filtered."""

    @torch.no_grad()
    def form() -> None:
        for part in triples.split(2):
            for side, given, asked in (("head", 2, 0), ("tail", 0, 2)):
                relation = model.relation(part[:, 1], side)
                query = model.query(model.entity(part[:, given]), relation, side)
                scores = model.match(query[:, None], model.node_emb.weight[None], relation[:, None], side)  # [2, N]
                (scores > scores.gather(1, part[:, asked, None])).sum(1)

    return form


def pyg(name: str, entities: int, relations: int, triples: torch.Tensor) -> Callable[[], None]:
    """PyG's own ``test``: tails only, unfiltered, a triple after the other."""
    model = PYG[name](entities, relations, DIM)
    return lambda: model.test(*triples.unbind(1), batch_size=20000, log=False)


def pykeen(
    name: str, every: torch.Tensor, entities: int, relations: int, triples: torch.Tensor
) -> Callable[[], None] | None:
    """PyKEEN's evaluator, filtered, on both sides; None where it is not installed."""
    try:
        from pykeen import models
        from pykeen.evaluation import RankBasedEvaluator
        from pykeen.triples import CoreTriplesFactory
    except ImportError:
        return None
    kind = {"complex": models.ComplEx, "rotate": models.RotatE, "transe": models.TransE, "distmult": models.DistMult}
    factory = CoreTriplesFactory(every, num_entities=entities, num_relations=relations)
    model = kind[name](triples_factory=factory, embedding_dim=DIM, random_seed=0)
    evaluator = RankBasedEvaluator(filtered=True)
    options = {"batch_size": 32, "use_tqdm": False, "additional_filter_triples": [every]}
    return lambda: evaluator.evaluate(model=model, mapped_triples=triples, **options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--shapes", nargs="+", default=["db15k"], choices=SHAPES)
    parser.add_argument("--scorers", nargs="+", default=["complex", "rotate", "transe"], choices=PYG)
    parser.add_argument("--triples", type=int, default=10000, help="test triples at most; a fifth for distance scorers")
    parser.add_argument("--others", type=int, default=64, help="test triples for PyKEEN, PyG and the naive form")
    parser.add_argument("--memory-mb", type=float, default=256.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{platform.processor() or platform.machine()}, {args.threads} threads, torch {torch.__version__}, d = {DIM}")
    for shape in args.shapes:
        known = graph(shape)
        for name in args.scorers:
            measure(name, *known, args)


def measure(name: str, what: str, every: torch.Tensor, test: torch.Tensor, entities: int, relations: int, args) -> None:
    """Time all forms for one scorer on one graph and print them."""
    facts = Facts(*every.unbind(1), entities, relations)
    torch.manual_seed(0)
    model = SCORERS[name](entities, relations, DIM)
    bilinear = isinstance(model, BilinearScorer)
    some = test[torch.randperm(len(test))]
    asked = some[: args.triples if bilinear else -(-args.triples // 5)]
    few, fewest = some[: args.others], some[:4]

    def ours(triples: torch.Tensor) -> Callable[[], None]:
        return lambda: rank(model, triples, facts, memory_mb=args.memory_mb)

    forms, count = {OURS: ours(asked)}, 2 * len(asked)
    if bilinear:
        drawn = [torch.randint(size, (len(asked),)) for size in (entities, relations, entities)]
        forms[f"{OURS}, distinct questions"] = ours(torch.stack(drawn, 1))
        forms[FLOOR] = product(count, model.node_emb.weight.shape[1], entities)
    memory = growth_mb(forms[OURS])
    speed = {form: count / seconds for form, seconds in fewest_seconds(forms, args.repeats).items()}
    others = {"naive broadcast": naive(model, few), "PyG's test": pyg(name, entities, relations, fewest)}
    if (theirs := pykeen(name, every, entities, relations, few)) is not None:
        others["PyKEEN"] = theirs
    counts = {"naive broadcast": 2 * len(few), "PyG's test": len(fewest), "PyKEEN": 2 * len(few)}
    speed |= {form: counts[form] / seconds for form, seconds in fewest_seconds(others, 1).items()}
    print(f"\n{what}, {name}, {count:,} queries: our memory grows by {memory:,.0f} MiB at most")
    print(f"{'':34}{'queries/s':>11}{'ours is':>10}{'of floor':>10}")
    for form, value in speed.items():
        floor = f"{value / speed[FLOOR]:9.0%}" if FLOOR in speed else ""
        print(f"{form:34}{value:11,.1f}{speed[OURS] / value:9,.1f}x{floor:>10}")


if __name__ == "__main__":
    main()
