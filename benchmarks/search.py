"""Search among real texts' vectors: exactly by a matrix product, and by FAISS with its recall.

    pip install 'mmkg[faiss]'
    MMKG_RAW=… python -m benchmarks.search --datasets fb15k_237 wn18rr --record

The table are the texts of a dataset's entities, encoded by MiniLM: mean vectors of unit length. Some entities, drawn by
seed, are taken out of it and are the queries. Both searches ask for the 10 nearest of each; recall@10 is the share of
the exact ones that FAISS finds, by the number of cells it looks into ("probes"). Seconds are processor time, which
other work on the machine changes less than the clock's; the fewest of several turns.
``--record`` writes the results into the repository.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the script also runs from a source tree without installation

from benchmarks.sampler_step import hardware  # noqa: E402
from mmkg.cli import main_guard  # noqa: E402
from mmkg.linking import FaissIndex, nearest, recall  # noqa: E402
from mmkg.linking.mentions import unit_means  # noqa: E402
from mmkg.run import DATASETS, write_json  # noqa: E402
from mmkg.run.record import command_typed, versions  # noqa: E402

K = 10
RESULTS = ROOT / "experiments" / "results" / "benchmarks"


def fewest(form: Callable[[], object], repeats: int) -> tuple[float, object]:
    """Seconds of processor time of the cheapest turn, and what the last one gave."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        result = form()
        seconds.append(time.process_time() - start)
    return min(seconds), result


def measure(table: torch.Tensor, query: torch.Tensor, probes: list[int], repeats: int) -> dict:
    """Seconds of both searches for queries ``[Q, D]`` in a table ``[N, D]``, and the recall of the approximate one."""
    exact_seconds, (_, exact) = fewest(lambda: nearest(query, table, K), repeats)
    found = {"entities": len(table), "width": table.shape[1], "queries": len(query), "exact_cpu_seconds": exact_seconds}
    found["faiss"] = []
    for number in probes:
        built, index = fewest(lambda number=number: FaissIndex(table, probes=number), 1)
        seconds, (_, ids) = fewest(lambda index=index: index.nearest(query, K), repeats)
        entry = {"probes": number, "recall@10": recall(ids, exact), "recall_said": index.recall, "cpu_seconds": seconds}
        found["faiss"].append(entry | {"build_and_measure_cpu_seconds": built})
    return found


def table_of(results: dict[str, dict]) -> str:
    """The results in Markdown."""
    lines = [
        "| texts of | search | recall@10 | CPU seconds | cheaper | said by the index |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, found in results.items():
        what, exact = f"{name} ({found['entities']:,})", found["exact_cpu_seconds"]
        lines.append(f"| {what} | exact | 1.000 | {exact:.3f} | 1.0× | |")
        for row in found["faiss"]:
            cells = f"{row['recall@10']:.3f} | {row['cpu_seconds']:.3f} | {exact / row['cpu_seconds']:.1f}×"
            lines.append(f"| {what} | FAISS, {row['probes']} probes | {cells} | {row['recall_said']:.3f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", default=["fb15k_237"], choices=list(DATASETS))
    parser.add_argument("--root", default="datasets", help="folder of datasets; default %(default)s")
    parser.add_argument("--queries", type=int, default=1000, help="entities taken out of the table; default 1000")
    parser.add_argument("--probes", type=int, nargs="+", default=[1, 4, 16, 64], help="default 1 4 16 64")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the queries")
    parser.add_argument("--record", action="store_true", help="write the results into the repository")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    results = {}
    for name in args.datasets:
        dataset = DATASETS[name](args.root, log=False)
        if dataset.features("text") is None:
            dataset.encode_text()
        vectors, there = unit_means(dataset.features("text"))
        ids = there.nonzero().flatten()
        ids = ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(args.seed))]
        # copies: FAISS and a product read rows one after the other
        query, table = vectors[ids[: args.queries]].clone(), vectors[ids[args.queries :]].clone()
        results[name] = measure(table, query, args.probes, args.repeats)
    print(table_of(results))
    if args.record:
        import faiss

        command = f"python -m benchmarks.{command_typed().replace('.py', '', 1)}"
        told = {"command": command, "date": datetime.date.today().isoformat(), "seed": args.seed}
        told |= {"hardware": hardware("cpu")}
        told |= {"versions": versions() | {"faiss": faiss.__version__}}
        RESULTS.mkdir(parents=True, exist_ok=True)
        write_json(RESULTS / "search.json", told | {"datasets": results})


if __name__ == "__main__":
    main_guard(main)
