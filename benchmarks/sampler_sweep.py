"""Time a step of MMRNS over many sizes beside the straightforward form, and draw how its cost grows.

    python -m benchmarks.sampler_sweep --record

For batches of 64, 128 and 400, pools of 500, 1,500 and all 12,842 entities of DB15K, and 20 and 128 negatives: seconds
and memory of a step, forward and backward, ratios, and the share of the floor, which is the time that the needed matrix
products take at the rate of one large product. The straightforward form is left out where it would need more than
``--limit-gb``, and the table says so. Then the cost against the pool, the relations of a batch, and the batch, as a
figure. ``--record`` writes both into the repository. About 8 minutes on 2 cores; ``--device cuda`` for a GPU.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys

import torch
from tqdm import tqdm

from benchmarks.sampler_step import ROOT, Result, Sizes, Step, agreement, gemm_rate, hardware, run

ENTITIES = 12_842
RESULTS = ROOT / "experiments" / "results" / "benchmarks"
KEPT_BY_STRAIGHTFORWARD = 4.45e9 / (128 * 1500)
"""Bytes for each row and candidate, as measured at the paper's sizes."""


def measure(sizes: Sizes, device: str, repeats: int, *, straightforward: bool = False, memory_mb=None) -> dict:
    """Seconds and memory of both relaxations, and of the straightforward form where asked."""
    step = Step(sizes, device)
    forms = {}
    for name in ("fresh", "shared"):
        sampler = step.sampler(relaxation=name, memory_mb=memory_mb)
        forms[name] = sampler, step.ours(sampler)
    if straightforward:
        sampler = step.sampler()
        forms["straightforward"] = sampler, step.theirs(sampler)
    results = {name: Result() for name in forms}
    for n in range(repeats + 1):
        for name, (sampler, form) in forms.items():
            turns = [*step.model.parameters(), *sampler.parameters()]
            if n <= max(1, repeats // 2) or name != "straightforward":  # it is slow, and steady
                run(form, turns, results[name], first=n == 0)
    found = {"batch": sizes.batch, "pool": sizes.pool, "negatives": sizes.negatives, "relations": step.distinct}
    found |= {"memory_mb": memory_mb, "floor_gflop": sizes.flops(step.distinct) / 1e9}
    for name, result in results.items():
        found[name] = {"seconds": result.seconds, "saved_mb": result.saved / 1e6}
    if straightforward:
        found["agreement"] = agreement(results["fresh"], results["straightforward"])
    return found


def table(rows: list[dict], rate: float) -> str:
    """The sweep in Markdown."""
    lines = [
        "| B | relations | P | K | fresh, ms | shared, ms | of floor | saved, MB | straightforward, ms "
        "| saved, MB | faster (fresh / shared) | smaller |",
        "|---:" * 12 + "|",
    ]
    for row in rows:
        fresh, shared, other = row["fresh"], row["shared"], row.get("straightforward")
        share = row["floor_gflop"] * 1e9 / rate / fresh["seconds"]
        cells = [row["batch"], row["relations"], f"{row['pool']:,}", row["negatives"], f"{1e3 * fresh['seconds']:.1f}"]
        cells += [f"{1e3 * shared['seconds']:.1f}", f"{share:.0%}", f"{fresh['saved_mb']:,.0f}"]
        if other is None:
            cells += ["does not fit", f"about {row['estimate_mb']:,.0f}", "", ""]
        else:
            faster = " / ".join(f"{other['seconds'] / x['seconds']:.1f}×" for x in (fresh, shared))
            smaller = f"{other['saved_mb'] / fresh['saved_mb']:.1f}×"
            cells += [f"{1e3 * other['seconds']:,.0f}", f"{other['saved_mb']:,.0f}", faster, smaller]
        lines.append("| " + " | ".join(str(c) for c in cells) + " |")
    return "\n".join(lines)


def draw(curves: dict[str, list[dict]], path) -> None:
    """Seconds of a step against each size."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = {"pool": "candidates P", "relations": "relations U in the batch", "batch": "rows B of the batch"}
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), constrained_layout=True, sharey=False)
    for axis, (name, rows) in zip(axes, curves.items(), strict=True):
        size = [row[name] for row in rows]
        for kind, marker in (("fresh", "o"), ("shared", "s")):
            axis.plot(size, [row[kind]["seconds"] for row in rows], marker=marker, label=kind)
        fixed = {k: rows[0][k] for k in names if k != name}
        axis.set(xlabel=names[name], title=", ".join(f"{k} {v}" for k, v in fixed.items()), xlim=(0, None))
        axis.set_ylim(0, None)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("seconds a step")
    axes[0].legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit-gb", type=float, default=8.0, help="most that the straightforward form may keep")
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 128, 400])
    parser.add_argument("--pools", type=int, nargs="+", default=[500, 1500, ENTITIES])
    parser.add_argument("--negatives", type=int, nargs="+", default=[20, 128])
    parser.add_argument("--record", action="store_true", help="write the results and the figure into the repository")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    on_cpu = torch.device(args.device).type == "cpu"
    rate = gemm_rate(args.device, 2048 if on_cpu else 8192)  # a GPU is not full with less
    grid = [(b, p, k) for b in args.batches for p in args.pools for k in args.negatives]
    rows = []
    for b, p, k in tqdm(grid, desc="sizes"):
        sizes = Sizes(batch=b, pool=p, negatives=k, entities=ENTITIES)
        estimate = KEPT_BY_STRAIGHTFORWARD * b * p + 4.0 * 4 * b * k * p
        fits = estimate < args.limit_gb * 1e9
        memory_mb = 1024 if on_cpu and p == ENTITIES else None  # all entities: in parts, whose memory is a setting
        rows.append(measure(sizes, args.device, args.repeats, straightforward=fits, memory_mb=memory_mb))
        rows[-1]["estimate_mb"] = estimate / 1e6
    curves = {
        "pool": [Sizes(batch=128, distinct=64, pool=p, entities=ENTITIES) for p in (500, 1500, 3000, 6000)],
        "relations": [Sizes(batch=256, distinct=u) for u in (16, 64, 128, 192, 256)],
        "batch": [Sizes(batch=b, distinct=64) for b in (64, 128, 256, 512, 1024)],
    }
    grown = {
        name: [measure(sizes, args.device, args.repeats) for sizes in tqdm(several, desc=name)]
        for name, several in curves.items()
    }
    told = {
        "command": " ".join(["python -m benchmarks.sampler_sweep", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "hardware": hardware(args.device),
        "torch": torch.__version__,
        "seed": 0,
        "gemm_gflops": rate / 1e9,
    }
    print(table(rows, rate))
    print(", ".join(f"{k} {v}" for k, v in told.items()))
    if args.record:
        RESULTS.mkdir(parents=True, exist_ok=True)
        where = "" if on_cpu else f"_{torch.device(args.device).type}"
        text = json.dumps(told | {"sizes": rows, "growth": grown}, indent=1)
        (RESULTS / f"sampler{where}.json").write_text(text + "\n", encoding="utf-8")
        draw(grown, ROOT / "benchmarks" / f"sampler_cost{where}.png")


if __name__ == "__main__":
    main()
