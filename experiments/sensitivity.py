"""How MMRNS's validation MRR depends on β, ε₀, K, the pool's size and α: one grid for each, all else as it is.

    python experiments/sensitivity.py --seeds 0 1                                WorldMoji
    MMKG_RAW=… python experiments/sensitivity.py --dataset mkg_y --seeds 0 1     MKG-Y, names for texts, no pictures
    python experiments/sensitivity.py --draw                                     the figure from what was recorded

Starts and budgets are those of compare.py: the same warm-up with uniform negatives, then equal steps. Each run writes
one JSON to experiments/results/sensitivity; a run whose JSON is there is not trained again. sensitivity.png is drawn
from those files and from nothing else. Validation alone is looked at.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path

from common import RESULTS
from compare import BUDGETS, Comparison
from comparison import mrr
from matplotlib.figure import Figure
from variants import Variant

from mmkg.cli import main_guard, print_table
from mmkg.errors import DataError


@dataclass(frozen=True)
class Grid:
    """Values of one setting.

    Args:
        symbol: As the paper writes it.
        setting: Name in :class:`~mmkg.run.SamplerConfig`, or "alpha".
        values: What is tried.
        log: Whether the axis is logarithmic.
    """

    symbol: str
    setting: str
    values: tuple[float, ...]
    log: bool = True

    def variant(self, value: float) -> Variant:
        """MMRNS with this value."""
        return Variant(alpha=value) if self.setting == "alpha" else Variant({self.setting: value})

    def of(self, entry: dict) -> float:
        """The value that a result was made with."""
        config = entry["config"]
        return config["alpha"] if self.setting == "alpha" else config["sampler"][self.setting]


GRIDS = (
    Grid("β, weight of the contrast", "beta", (0.001, 0.01, 0.1, 1.0)),
    Grid("ε₀, temperature of the first step", "epsilon", (0.05, 0.5, 5.0)),
    Grid("K, negatives", "negatives", (5, 20, 80)),
    Grid("candidates in the pool", "pool", (100, 200, 400)),
    Grid("α, weights of negatives", "alpha", (0.0, 0.5, 2.0), log=False),
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--dataset", default="worldmoji", choices=list(BUDGETS), help="default %(default)s")
    settings = [grid.setting for grid in GRIDS]
    add("--settings", nargs="+", default=settings, choices=settings, help="default: all")
    add("--seeds", type=int, nargs="+", default=[0], help="default 0")
    add("--steps", type=int, help="after the warm-up")
    add("--warm-up", type=int, help="steps before, with uniform negatives")
    add("--dim", type=int)
    add("--draw", action="store_true", help="train nothing, draw what there is")
    add("--results", type=Path, default=RESULTS, help="folder of results; default experiments/results")
    add("--root", default="datasets", help="folder of datasets; default %(default)s")
    add("--out", type=Path, default=Path("runs/compare"), help="folder of runs, shared with compare.py")
    return parser.parse_args()


def load(results: Path) -> list[dict]:
    """All results, by dataset, setting and value."""
    entries = [json.loads(p.read_text(encoding="utf-8")) for p in sorted((results / "sensitivity").glob("*.json"))]
    if not entries:
        raise DataError("nothing is recorded yet", file=results / "sensitivity", cure="run without --draw first")
    return entries


def curves(entries: list[dict], grid: Grid) -> dict[str, tuple[list[float], list[list[float]]]]:
    """For each dataset the values of one setting, and at each the validation MRR of every seed.

    A result belongs to a grid if all other settings are where most results have them; the middle belongs to all grids.
    """
    found: dict[str, dict[float, list[float]]] = {}
    for entry in entries:
        if all(other is grid or other.of(entry) == usual(entries, other) for other in GRIDS):
            found.setdefault(entry["dataset"], {}).setdefault(grid.of(entry), []).append(mrr(entry))
    return {name: ([*sorted(points)], [points[v] for v in sorted(points)]) for name, points in sorted(found.items())}


def usual(entries: list[dict], grid: Grid) -> float:
    """The value that most results have."""
    values = [grid.of(entry) for entry in entries]
    return max(set(values), key=values.count)


def draw(entries: list[dict], path: Path) -> None:
    """One panel a setting; a line through the means of each dataset, a dot for each seed."""
    figure = Figure(figsize=(3.2 * len(GRIDS), 3.2), layout="constrained")
    for place, (axes, grid) in enumerate(zip(figure.subplots(1, len(GRIDS)), GRIDS, strict=True)):
        for number, (dataset, (values, points)) in enumerate(curves(entries, grid).items()):
            axes.plot(values, [sum(p) / len(p) for p in points], f"C{number}-", label=dataset)
            for value, seeds in zip(values, points, strict=True):
                axes.plot([value] * len(seeds), seeds, f"C{number}o", markersize=3, alpha=0.6)
        if grid.log:
            axes.set_xscale("log")
        axes.set_xlabel(grid.symbol)
        axes.grid(alpha=0.3)
        if place == 0:
            axes.set_ylabel("validation MRR")
            axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def main() -> None:
    args = arguments()
    if not args.draw:
        budget = BUDGETS[args.dataset]
        train = replace(budget.start.train, **({} if args.steps is None else {"steps": args.steps}))
        start = replace(budget.start, root=args.root, train=train, **({} if args.dim is None else {"dim": args.dim}))
        budget = replace(budget, start=start, **({} if args.warm_up is None else {"warm_up": args.warm_up}))
        comparison = Comparison(budget, args.results, args.out, experiment="sensitivity")
        for seed in args.seeds:
            for grid in (g for g in GRIDS if g.setting in args.settings):
                for value in grid.values:
                    comparison.row("MMRNS", seed, variant=grid.variant(value))
    entries = load(args.results)
    for grid in GRIDS:
        table = [
            {"dataset": name, grid.symbol: f"{value:g}", "seeds": len(seeds), "MRR": f"{sum(seeds) / len(seeds):.4f}"}
            for name, (values, points) in curves(entries, grid).items()
            for value, seeds in zip(values, points, strict=True)
        ]
        print_table(table, f"validation MRR by {grid.symbol}")
    draw(entries, args.results / "sensitivity" / "sensitivity.png")


if __name__ == "__main__":
    main_guard(main)
