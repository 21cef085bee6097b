"""Time the mining of relation patterns, against sets and dictionaries in the same run.

    MMKG_RAW=… python -m benchmarks.patterns --dataset fb15k --against wn18rr wn18

Both forms find all patterns at the default thresholds on each dataset of --against; the table says whether they found
the same, every number of every rule. --dataset is mined by ours alone, with its peak of working memory. Reading the
dataset is not timed. Datasets come from --root, from a folder named by MMKG_RAW, or from the web.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the script also runs from a source tree without installation

import torch  # noqa: E402

from benchmarks import straightforward_patterns  # noqa: E402
from mmkg.graph import Patterns, mine_patterns  # noqa: E402
from mmkg.run import DATASETS  # noqa: E402


def as_dict(found: Patterns) -> dict[tuple[str, int, int, int], tuple]:
    """Patterns in the form of the straightforward miner."""
    columns = ["support", "body", "known", "pca", "head_coverage"]
    rows = found.rules[columns].astype(object).where(found.rules[columns].notna(), None)
    keys = found.rules[["kind", "first", "second", "head"]].itertuples(index=False, name=None)
    return dict(zip(keys, rows.itertuples(index=False, name=None), strict=True))


def timed(clock, form, *arguments, **options):
    start = clock()
    result = form(*arguments, **options)
    return clock() - start, result


def same(ours: dict, theirs: dict) -> bool:
    """Whether two results hold the same rules with the same numbers."""
    if ours.keys() != theirs.keys():
        return False
    pairs = [(a, b) for key, row in ours.items() for a, b in zip(row, theirs[key], strict=True)]
    return all(a == b or (None not in (a, b) and abs(a - b) < 1e-12) for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--dataset", nargs="*", default=["fb15k"], choices=list(DATASETS), help="mined by ours alone")
    parser.add_argument("--against", nargs="*", default=["wn18rr", "wn18"], choices=list(DATASETS), help="by both")
    parser.add_argument("--memory-mb", type=float, default=128, help="working memory of ours; default %(default)s")
    parser.add_argument("--repeats", type=int, default=3, help="turns of ours, of which the fastest counts")
    parser.add_argument("--root", default="datasets", help="folder of datasets; default %(default)s")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu-time", action="store_true", help="seconds of this process alone, for a busy machine")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    clock = time.process_time if args.cpu_time else time.perf_counter
    print(f"{'':10}{'triples':>9}{'relations':>11}{'rules':>8}{'ours s':>9}{'dictionaries s':>16}{'faster':>9}  same")
    for name in [*args.against, *args.dataset]:
        data = DATASETS[name](args.root, log=False).topology
        turns = [timed(clock, mine_patterns, data, memory_mb=args.memory_mb) for _ in range(args.repeats)]
        seconds, found = min(turns, key=lambda turn: turn[0])
        train = data.train_mask
        line = f"{name:10}{int(train.sum()):9,}{data.num_relations:11,}{len(found):8,}{seconds:9.2f}"
        if name in args.against:
            h, t = data.edge_index[:, train].tolist()
            triples = list(zip(h, data.edge_type[train].tolist(), t, strict=True))
            slow, theirs = timed(clock, straightforward_patterns.mine, triples, data.num_relations)
            agree = "yes" if same(as_dict(found), theirs) else "NO"
            line += f"{slow:16.2f}{slow / seconds:8.1f}x  {agree}"
        print(line, flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the process, everything that it imports included: {peak:,.0f} MB")


if __name__ == "__main__":
    main()
