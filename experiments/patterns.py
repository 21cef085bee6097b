"""Relation patterns of every dataset that is at hand: how many of each kind, and how long it takes to find them.

    MMKG_RAW=… python experiments/patterns.py --record

Looks at the train triples of WorldMoji and of each dataset whose raw files lie in the folder named by MMKG_RAW, or of
those named by --datasets, at the default thresholds of mmkg.graph.mine_patterns. --record writes one JSON a dataset to
experiments/results/patterns: counts, no names. Seconds are those of the mining alone, on one thread.
"""

from __future__ import annotations

import argparse
import datetime
import os
import time
from dataclasses import asdict
from pathlib import Path

import torch
from common import RESULTS

from mmkg.cli import main_guard, print_table
from mmkg.graph import Patterns, mine_patterns
from mmkg.graph.pattern_table import KINDS
from mmkg.run import DATASETS, write_json
from mmkg.run.record import command_typed, device_name, peak_memory_mb, reset_peak_memory, versions


def at_hand() -> list[str]:
    """Names of the datasets that need no download."""
    raw = os.environ.get("MMKG_RAW")
    return [
        n for n, kind in DATASETS.items() if n == "worldmoji" or (raw and (Path(raw) / kind.folder / "raw").is_dir())
    ]


def counted(found: Patterns) -> dict[str, dict[str, int]]:
    """For each kind of pattern its rules, those of them that are redundant, and the relations that they lead to."""
    result = {}
    for kind in KINDS:
        rows = found.rules[found.rules.kind == kind]
        result[kind] = {
            "rules": len(rows),
            "redundant": int(rows.redundant.sum()),
            "relations": int(rows["head"].nunique()),
        }
    return result


def mine(name: str, root: str) -> dict:
    """Mine one dataset and say what was found."""
    dataset = DATASETS[name](root, log=True)
    data = dataset.topology
    reset_peak_memory()
    start = time.perf_counter()
    found = mine_patterns(data, progress=True)
    seconds = time.perf_counter() - start
    links = found.links
    return {
        "dataset": name,
        "split_policy": getattr(dataset, "split_policy", "as released"),
        "entities": links.num_nodes,
        "relations": links.num_relations,
        "train_triples": int(data.train_mask.sum()),
        "distinct_links": len(links.x) // 2,
        "distinct_self_loops": links.loops.shape[1],
        "thresholds": asdict(found.thresholds),
        "patterns": counted(found),
        "pattern_of_relation": found.pattern_of_relation().value_counts().to_dict(),
        "categories": found.categories.category.value_counts().to_dict(),
        "wall_seconds": round(seconds, 2),
        "peak_memory_mb": round(peak_memory_mb()),
        "device": device_name(torch.device("cpu")),
        "versions": versions(),
        "command": command_typed(),
        "date": datetime.date.today().isoformat(),
    }


def row(entry: dict) -> dict:
    """An entry as a row of the table: rules of each kind, redundant ones left out."""
    kinds = {kind: f"{count['rules'] - count['redundant']:,}" for kind, count in entry["patterns"].items()}
    sizes = {"dataset": entry["dataset"], "relations": entry["relations"], "train": f"{entry['train_triples']:,}"}
    return sizes | kinds | {"seconds": f"{entry['wall_seconds']:.1f}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", choices=list(DATASETS), help="default: those at hand")
    parser.add_argument("--record", action="store_true", help="write JSON results to experiments/results/patterns")
    parser.add_argument("--root", default="datasets", help="folder of datasets; default %(default)s")
    args = parser.parse_args()
    torch.set_num_threads(1)
    entries = []
    for name in args.datasets or at_hand():
        entries.append(mine(name, args.root))
        if args.record:
            folder = RESULTS / "patterns"
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / f"{name}.json", entries[-1])
    print_table([row(entry) for entry in entries], "Relation patterns of train: rules by kind, redundant ones left out")


if __name__ == "__main__":
    main_guard(main)
