"""What the recipes of the benchmarks share: train, choose on validation, refit on both, look at test once.

A recipe file holds two settings: RECIPE, which reaches the expected number, and NEGATIVES, from which runs with drawn
negatives start (--sampler or --scorer), among them MMRNS.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from common import RESULTS, Probe, record, short_hash, summarise

from mmkg.cli import print_table
from mmkg.run import Run, RunConfig, SamplerConfig, refit_config
from mmkg.scorers import FUSIONS
from mmkg.scorers.pooling import SCALES
from mmkg.training import REGULARISERS, TrainConfig


def drawn_negatives(recipe: RunConfig) -> RunConfig:
    """From where runs with drawn negatives start, on a recipe's dataset: RotatE with MMRNS."""
    return RunConfig(
        dataset=recipe.dataset,
        options=recipe.options,
        scorer="rotate",
        dim=200,
        margin=6.0,
        alpha=0.5,
        sampler=SamplerConfig(name="mmrns", negatives=20, pool=500),
        train=TrainConfig(
            steps=300,
            batch_size=256,
            learning_rate=3e-4,
            sampler_learning_rate=1e-4,
            schedule="constant",
            validate_every=0,
        ),
    )


def arguments(doc: str, recipe: RunConfig, negatives: RunConfig) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--scorer", help=f"by drawn negatives; default {negatives.scorer}. Without it and --sampler: the recipe")
    add("--sampler", help=f"of drawn negatives; default {negatives.sampler.name}")
    add("--objective", help=f"default {negatives.objective} with drawn negatives, {recipe.objective} in the recipe")
    add("--modalities", default="image,text,structure", help="what MMRNS looks at; default %(default)s")
    add("--pool", type=int, default=negatives.sampler.pool, help="of MMRNS, 0 for all; default %(default)s")
    add("--negatives", type=int, default=negatives.sampler.negatives, help="for each positive; default %(default)s")
    add("--dim", type=int, help="embedding size")
    add("--margin", type=float, help="of distance scorers")
    add("--steps", type=int, help="with drawn negatives")
    add("--epochs", type=int, help="of the recipe")
    fusion = "how modalities become part of entities' embeddings"
    add("--fusion", choices=[*sorted(FUSIONS), "none"], help=f"{fusion}; default {recipe.fusion or 'none'}")
    add("--fuse-with", help=f"what is fused, such as text,image; default {','.join(recipe.fuse_with)}")
    add("--fuse-scale", choices=SCALES, help=f"of what is fused; default {recipe.fuse_scale}")
    add("--relation-weight", type=float, help="of relation prediction as an auxiliary task")
    add("--batch-size", type=int)
    add("--learning-rate", type=float)
    add("--regulariser", choices=REGULARISERS, help=f"default {recipe.train.regulariser} in the recipe")
    add("--regulariser-weight", type=float, nargs="+", help="several: the best on validation is chosen")
    add("--validate-every", type=int, help="epochs in the recipe, else steps; default with steps: at the end only")
    add("--optimizer", help=f"default {negatives.train.optimizer} with drawn negatives, {recipe.train.optimizer} else")
    add("--precision", help="no, bf16 or fp16")
    add("--seeds", type=int, nargs="+", default=[0], help="default 0")
    add("--refit", action="store_true", help="train anew on train + validation, for the epochs that were best")
    add("--final", action="store_true", help="look at the test split, once, at the end")
    add("--record", action="store_true", help="write JSON results, to RESULTS/DATASET")
    add("--results", type=Path, default=RESULTS, help="folder of results; default experiments/results")
    add("--root", default="datasets", help="folder of datasets; default %(default)s")
    add("--out", type=Path, default=Path("runs") / recipe.dataset, help="folder of runs; default %(default)s")
    if "split_policy" in recipe.options:
        add("--split-policy", default="clean", choices=["clean", "published"], help="default %(default)s")
    return parser.parse_args()


def configured(args: argparse.Namespace, start: RunConfig) -> RunConfig:
    """The settings with what was typed put in place."""
    names = (
        "steps",
        "epochs",
        "batch_size",
        "learning_rate",
        "optimizer",
        "precision",
        "regulariser",
        "relation_weight",
    )
    train = {n: getattr(args, n) for n in names}
    train = {n: v for n, v in train.items() if v is not None} | {"seed": args.seeds[0]}
    steps = start.train.epochs is None and train.get("epochs") is None
    if args.validate_every or (steps and not start.train.validate_every):
        train["validate_every"] = args.validate_every or train.get("steps", start.train.steps)
    own = ("scorer", "dim", "margin", "objective", "fusion", "fuse_scale")
    own = {n: v for n in own if (v := getattr(args, n)) is not None}
    own |= {"fusion": None} if args.fusion == "none" else {}
    own |= {"fuse_with": tuple(args.fuse_with.split(","))} if args.fuse_with else {}
    sampler = {"negatives": args.negatives, "pool": args.pool, "modalities": tuple(args.modalities.split(","))}
    sampler |= {"name": args.sampler} if args.sampler else {}
    options = {"split_policy": args.split_policy} if hasattr(args, "split_policy") else start.options
    return replace(
        start,
        **own,
        root=args.root,
        options=options,
        sampler=replace(start.sampler, **sampler),
        train=replace(start.train, **train),
    )


def run_recipe(doc: str, recipe: RunConfig, negatives: RunConfig) -> None:
    """Do what the command line asks for, and print a table of what came out."""
    args = arguments(doc, recipe, negatives)
    start = configured(args, negatives if args.scorer or args.sampler else recipe)
    weights = args.regulariser_weight or [start.train.regulariser_weight]
    tried = [replace(start, train=replace(start.train, regulariser_weight=weight)) for weight in weights]
    results = args.results / start.dataset if args.record else None
    looks = args.results / "TEST_LOOKS.csv"
    entries, chosen = [], []
    for config in tried:
        # a refit needs one choice; without it each seed is selected on its own
        for seed in args.seeds[:1] if args.refit else args.seeds:
            one = replace(config, train=replace(config.train, seed=seed))
            run, probe = trained(one, args.out)
            variant, final = variant_of(one, several=len(weights) > 1), args.final and not args.refit
            entry = record(run, variant, run.folder.name, final=final, results=results, looks=looks, probe=probe)
            tell(entry, run)
            entries.append(entry)
            chosen.append((entry.get("valid", {}).get("realistic", {}).get("mrr", -1.0), run))
    if args.refit:
        _, best = max(chosen, key=lambda pair: pair[0])
        for seed in args.seeds:
            config = refit_config(best.folder, seed)
            run, _ = trained(config, args.out)
            variant = f"{variant_of(config, several=False)}, refit for {config.train.epochs} epochs"
            name = run.folder.name
            entry = record(run, variant, name, final=args.final, results=results, looks=looks, chosen_by=best)
            tell(entry, run)
            entries.append(entry)
    print_table(summarise(entries), f"{start.dataset}: filtered ranking on both sides, realistic ranks")


def trained(config: RunConfig, out: Path) -> tuple[Run, Probe | None]:
    """The run of some settings, trained or loaded, and the probe that looked on where negatives are drawn."""
    by = config.sampler.name if config.draws_negatives else config.objective
    long = f"steps{config.train.steps}" if config.train.epochs is None else f"epochs{config.train.epochs}"
    parts = [config.scorer, by, *config.options.values(), *(["refit"] if config.refit else []), long]
    folder = out / "-".join([*parts, short_hash(config), f"seed{config.train.seed}"])
    probe = Probe() if config.draws_negatives else None
    print(f"\n== {folder.name} ==", flush=True)
    return Run.train(config, folder, resume=True, callbacks=[] if probe is None else [probe]), probe


def variant_of(config: RunConfig, *, several: bool) -> str:
    """What distinguishes a run in the table."""
    by = config.sampler.name if config.draws_negatives else config.objective
    penalty = f", {config.train.regulariser}" if config.train.regulariser else ""
    text = f"{config.scorer}, {by}{penalty}" + (f" {config.train.regulariser_weight:g}" if several else "")
    text += f", {'+'.join(config.fuse_with)} by {config.fusion} fusion" if config.fusion else ""
    return text + (f", relations {config.train.relation_weight:g}" if config.train.relation_weight else "")


def tell(entry: dict, run: Run) -> None:
    """Print what a table has no room for."""
    if "probe_loss" in entry:
        p = entry["probe_loss"]
        told = f"{p['first_50']:.4f} in the first 50 steps, {p['last_50']:.4f} in the last 50: × {p['ratio']:.3f}"
        print(f"loss on the probe batch: {told}")
    metrics = {split: entry[split]["realistic"]["mrr"] for split in ("valid", "test") if split in entry}
    print(json.dumps({"run": str(run.folder), "peak_memory_mb": entry["peak_memory_mb"], "mrr": metrics}), flush=True)
