"""One scorer, one budget, every way to find negatives: the comparison that nobody has published.

    python experiments/compare.py --seeds 0 1 2                                WorldMoji, RotatE, equal steps
    python experiments/compare.py --seeds 0 1 2 --controls                     and features that mean nothing
    python experiments/compare.py --seeds 0 1 2 --seconds 30 --variants uniform self-adversarial NSCaching
    python experiments/compare.py --seeds 0 1 2 --scorer complex               or pairre
    MMKG_RAW=… python experiments/compare.py --dataset mkg_y --seeds 0 1 2     names for texts, no pictures
    MMKG_RAW=… python experiments/compare.py --dataset db15k --steps 4000 --validations 4 --seeds 0 1 2    a GPU

All rows of a seed start from the same warm-up with uniform negatives (--warm-up 0: from scratch) and are trained on for
the same number of steps with the same batches, rates and number of negatives; 1-vs-all draws none and sees all
entities. The rates are constant, so that a run's validation history says what a shorter run would have reached. Nothing
was tuned for any row. --seconds trains rows that are cheap for as many steps as fit into that many CPU seconds, by the
cost of a step that their run of equal steps measured; the number of steps is in the result.

Each run writes one JSON to experiments/results/compare, with the ranks of all validation questions, so that any two
rows can be tested against each other. A run whose JSON is there is not trained again; one that was stopped goes on.
Test is looked at with --final only.

Time, on one thread of a shared, busy machine: about 0.01 CPU seconds a step with uniform negatives and 0.15 with MMRNS
on WorldMoji.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

from common import RESULTS, Cost, record, short_hash
from comparison import budgets, caption, rows, step_seconds, told_ranks
from drawn import Drawn
from variants import COMPARED, CONTROLS, VARIANTS, Variant, configured

from mmkg.cli import main_guard, print_table
from mmkg.errors import DataError
from mmkg.run import Run, RunConfig, SamplerConfig, open_dataset
from mmkg.run.record import fingerprint
from mmkg.training import TrainConfig


@dataclass(frozen=True)
class Budget:
    """What all rows of a dataset have in common.

    Args:
        start: Settings of every row, MMRNS looking at everything.
        warm_up: Steps with uniform negatives from which all start; 0 for none.
        warm_up_rate: Learning rate of the warm-up.
        validations: How often a run looks at validation.
    """

    start: RunConfig
    warm_up: int = 1000
    warm_up_rate: float = 3e-3
    validations: int = 4


WORLDMOJI = RunConfig(
    dataset="worldmoji",
    scorer="rotate",
    dim=100,
    margin=6.0,
    # the paper's temperature of 10 leaves the probabilities nearly uniform on so few steps: see the README
    sampler=SamplerConfig(name="mmrns", negatives=20, pool=200, epsilon=0.5),
    train=TrainConfig(
        steps=200, batch_size=128, learning_rate=3e-3, sampler_learning_rate=1e-3, schedule="constant", validate_every=0
    ),
)
BUDGETS = {
    "worldmoji": Budget(WORLDMOJI),
    "mkg_y": Budget(replace(WORLDMOJI, dataset="mkg_y"), warm_up=3000, validations=2),
    "db15k": Budget(
        replace(WORLDMOJI, dataset="db15k", options={"split_policy": "clean"}), warm_up=6000, validations=2
    ),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--dataset", default="worldmoji", help=f"{', '.join(BUDGETS)}, or your own folder; default %(default)s")
    add("--scorer", default="rotate", choices=["rotate", "pairre", "complex"], help="default %(default)s")
    add("--variants", nargs="+", choices=list(VARIANTS), metavar="NAME", help=f"out of {'; '.join(VARIANTS)}")
    add("--controls", action="store_true", help="controls too")
    add("--seeds", type=int, nargs="+", default=[0], help="default 0")
    add("--steps", type=int, help="after the warm-up")
    add("--warm-up", type=int, help="steps before, with uniform negatives; 0: from scratch")
    add("--seconds", type=float, help="CPU seconds of training that each run gets, in place of equal steps")
    add("--batch-size", type=int)
    add("--dim", type=int)
    add("--negatives", type=int)
    add("--pool", type=int, help="of MMRNS, 0 for all")
    add("--validations", type=int, help="looks at validation in a run")
    add("--final", action="store_true", help="look at the test split, once a run")
    add("--table", action="store_true", help="train nothing, show what there is")
    add("--results", type=Path, default=RESULTS, help="folder of results; default experiments/results")
    add("--root", default="datasets", help="folder of datasets; default %(default)s")
    add("--out", type=Path, default=Path("runs/compare"), help="folder of runs; default %(default)s")
    return parser.parse_args()


def budget_of(args: argparse.Namespace) -> Budget:
    """The dataset's budget with what was typed put in place."""
    budget = BUDGETS.get(args.dataset) or replace(
        BUDGETS["worldmoji"], start=replace(WORLDMOJI, dataset=args.dataset, options={})
    )
    given = {name: getattr(args, name) for name in ("warm_up", "validations") if getattr(args, name) is not None}
    sampler = {name: getattr(args, name) for name in ("negatives", "pool") if getattr(args, name) is not None}
    train = {name: getattr(args, name) for name in ("steps", "batch_size") if getattr(args, name) is not None}
    own = {"dim": args.dim} if args.dim is not None else {}
    start = replace(
        budget.start,
        **own,
        root=args.root,
        scorer=args.scorer,
        sampler=replace(budget.start.sampler, **sampler),
        train=replace(budget.start.train, **train),
    )
    return replace(budget, start=start, **given)


class Comparison:
    """Trains rows from the same start, and keeps what came of each.

    Args:
        budget: What the rows have in common.
        results: Folder of results.
        out: Folder of runs.
        final: Whether to look at test.
        experiment: Subfolder of results.
    """

    def __init__(
        self, budget: Budget, results: Path, out: Path, *, final: bool = False, experiment: str = "compare"
    ) -> None:
        self.budget, self.out, self.final = budget, out, final
        self.results, self.looks = results / experiment, results / "TEST_LOOKS.csv"
        self.dataset = open_dataset(replace(budget.start, sampler=SamplerConfig(name="uniform")), features=False)
        if self.dataset.features("text") is None and any(self.dataset.topology.entity_labels):
            self.dataset.encode_text()  # names alone are texts, too
        if self.dataset.features("image") is None and any(self.dataset.image_paths()):
            self.dataset.encode_images()
        found = {m: self.dataset.features(m) for m in ("image", "text")}
        self.features = {m: f for m, f in found.items() if f is not None}
        modalities = (*self.features, "structure")
        self.start = replace(budget.start, sampler=replace(budget.start.sampler, modalities=modalities))

    def missing(self, variant: Variant) -> list[str]:
        """What a row needs and this dataset does not have."""
        return variant.missing(self.features)

    def warm_up(self, seed: int) -> RunConfig | None:
        """Settings of the start of all rows of a seed."""
        if not self.budget.warm_up:
            return None
        rate = self.budget.warm_up_rate
        train = replace(self.start.train, steps=self.budget.warm_up, learning_rate=rate, seed=seed)
        sampler = SamplerConfig(name="uniform", negatives=self.start.sampler.negatives)
        return replace(self.start, alpha=0.0, sampler=sampler, train=train)

    @property
    def prefix(self) -> str:
        """Dataset and scorer as the beginning of a file's name."""
        return f"{Path(self.start.dataset).name}-{self.start.scorer}"

    def row(self, name: str, seed: int, seconds: float | None = None, *, variant: Variant | None = None) -> dict:
        """The result of one run: read, or trained now.

        Args:
            name: Name of the row.
            seed: Seed.
            seconds: CPU seconds in place of steps; a row that takes as long anyway is not trained again.
            variant: What it changes; the variant of that name if None.
        """
        steps = self.start.train.steps
        if seconds is not None:
            each = step_seconds(first := self.row(name, seed, variant=variant))
            if each is None:
                raise DataError(f"{name}: one step says nothing of its time", cure="compare more --steps first")
            if steps * each >= 0.9 * seconds:
                return first
            steps = max(steps, round(seconds / each))
        every = max(1, steps // self.budget.validations)
        train = replace(
            self.start.train, steps=steps, seed=seed, validate_every=every, checkpoint_every=max(1, steps // 3)
        )
        variant = VARIANTS[name] if variant is None else variant
        config = replace(configured(self.start, variant, self.dataset, self.features), train=train)
        warm = self.warm_up(seed)
        start = "scratch" if warm is None else short_hash(warm)
        told = f"{self.prefix}-{slug(name)}-{start}-{short_hash(config)}-seed{seed}"
        kept = self.results / f"{told}.json"
        if kept.exists():
            entry = json.loads(kept.read_text(encoding="utf-8"))
            if "test" in entry or not self.final:
                return entry
        if warm is not None:
            before = self.out / f"{self.prefix}-warm-up-{start}-seed{seed}"
            Run.train(warm, before, resume=True)  # for the first row; the others load it
            config = replace(config, warm_start=str(before))
        print(f"\n== {told} ==", flush=True)
        free_memory()
        folder = self.out / told
        drawn = Drawn(folder / "drawn.json", self.dataset.topology, config.alpha)
        run = Run.train(config, folder, resume=True, callbacks=[Cost(folder / "cost.json"), drawn])
        budget = {"steps": steps} if seconds is None else {"seconds": seconds, "of_seconds_a_step": each}

        def extra(run: Run) -> dict:
            sizes = {"scorer": run.model, "sampler": run.sampler}
            return {
                "budget": budget,
                "warm_up_steps": self.budget.warm_up,
                "available": sorted(self.features),
                "cost": json.loads((folder / "cost.json").read_text(encoding="utf-8")),
                "parameters": {k: sum(p.numel() for p in m.parameters()) for k, m in sizes.items() if m is not None},
                "drawn": drawn.summary(),
                "graph": fingerprint(run.data),
                "ranks": told_ranks(run.ranks("val")),
            }

        return record(run, name, told, final=self.final, results=self.results, looks=self.looks, extra=extra)


def slug(name: str) -> str:
    """A variant's name as part of a file's name."""
    return "-".join(re.findall(r"[a-z0-9]+", name.lower()))


def free_memory() -> None:
    """Give back what earlier runs of this process left, where the system can: the next one's peak is its own."""
    gc.collect()
    if hasattr(ctypes.CDLL(None), "malloc_trim"):
        ctypes.CDLL(None).malloc_trim(0)


def load(results: Path, dataset: str, scorer: str) -> list[dict]:
    """All results of a dataset and a scorer."""
    entries = [json.loads(p.read_text(encoding="utf-8")) for p in sorted((results / "compare").glob("*.json"))]
    return [e for e in entries if (e["dataset"], e["scorer"]) == (dataset, scorer)]


def main() -> None:
    args = arguments()
    if not args.table:
        comparison = Comparison(budget_of(args), args.results, args.out, final=args.final)
        for seed in args.seeds:
            for name in args.variants or (COMPARED | (CONTROLS if args.controls else {})):
                if missing := comparison.missing(VARIANTS[name]):
                    print(f"{name}: not applicable, {args.dataset} has no {', no '.join(missing)} here")
                else:
                    comparison.row(name, seed, args.seconds)
    entries = load(args.results, args.dataset, args.scorer)
    if not entries:
        raise DataError("nothing is recorded yet", file=args.results / "compare", cure="run without --table first")
    for group in budgets(entries):
        print_table(rows(group), f"{args.dataset}, {args.scorer}, {group[0]['steps']} steps")
    print(caption())


if __name__ == "__main__":
    main_guard(main)
