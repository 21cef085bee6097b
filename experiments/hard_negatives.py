"""Hard negatives while a model is trained: uniform, self-adversarial, NSCaching and MMRNS on an equal budget.

    python experiments/hard_negatives.py --record                                     WorldMoji
    MMKG_RAW=… python experiments/hard_negatives.py --datasets db15k --record         DB15K, by text and structure
    python experiments/hard_negatives.py --draw                                       the figure from what was recorded

All start from the same RotatE and get the same batches, steps and number of negatives; seconds are reported, for a step
of MMRNS costs more. A census asks each sampler about the same train triples at the same steps, and draws uniform
negatives beside it. "uniform" and "NSCaching" weigh negatives alike, "self-adversarial" and "MMRNS" by softmax(α s).
Validation facts alone choose anything; test facts serve to tell what is false about a negative, nothing is selected by
them.

--record writes one JSON a dataset to experiments/results/hard_negatives, and there draws hard_negatives.png and writes
table.md from all of them. --gumbel adds MMRNS with the Gumbel gradient reversed and left out. What was done already in
--out is taken from there.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from hard_negatives_page import FOLDER, LAST, draw, summary

from mmkg.analysis import (
    Census,
    attribution,
    drift,
    entropy,
    false_negatives,
    frontier,
    gradients,
    popularity,
    repeats,
)
from mmkg.cli import main_guard, print_table
from mmkg.errors import DataError
from mmkg.run import RunConfig, SamplerConfig, open_dataset, write_json
from mmkg.run.build import build_scorer, used_features
from mmkg.run.record import command_typed, device_name, versions
from mmkg.run.sampler import build_sampler
from mmkg.training import SelfAdversarial, TrainConfig, Trainer


@dataclass(frozen=True)
class Variant:
    """How negatives are drawn and weighed."""

    sampler: str
    alpha: float = 0.0
    gumbel_gradient: str = "descend"


VARIANTS = {
    "uniform": Variant("uniform"),
    "self-adversarial": Variant("uniform", alpha=0.5),
    "NSCaching": Variant("nscaching"),
    "MMRNS": Variant("mmrns", alpha=0.5),
}
GUMBEL = {
    "MMRNS, reversed": Variant("mmrns", alpha=0.5, gumbel_gradient="reverse"),
    "MMRNS, no gradient": Variant("mmrns", alpha=0.5, gumbel_gradient="none"),
}
DATASETS = {  # what is asked of each: options, and what MMRNS looks at
    "worldmoji": ({}, ("image", "text", "structure")),
    "db15k": ({"split_policy": "clean"}, ("text", "structure")),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--datasets", nargs="+", default=["worldmoji"], choices=list(DATASETS), help="default worldmoji"
    )
    parser.add_argument("--modalities", help="what MMRNS looks at, joined by commas; default: all that there is")
    parser.add_argument("--steps", type=int, default=2000, help="default %(default)s")
    parser.add_argument("--batch-size", type=int, default=256, help="default %(default)s")
    parser.add_argument("--negatives", type=int, default=20, help="default %(default)s")
    parser.add_argument("--dim", type=int, default=100, help="default %(default)s")
    parser.add_argument("--learning-rate", type=float, default=1e-2, help="default %(default)s")
    parser.add_argument("--pool", type=int, default=500, help="of MMRNS; default %(default)s")
    parser.add_argument("--epsilon", type=float, default=0.5, help="of MMRNS at the first step; default %(default)s")
    parser.add_argument("--probe", type=int, default=512, help="train triples in the census; default %(default)s")
    parser.add_argument("--probes", type=int, default=20, help="how often it is taken; default %(default)s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="default 0")
    parser.add_argument("--gumbel", action="store_true", help="MMRNS under all three Gumbel gradients")
    parser.add_argument("--record", action="store_true", help="write JSON and figure to experiments/results")
    parser.add_argument("--draw", action="store_true", help="only draw the figure from what was recorded")
    parser.add_argument("--root", default="datasets", help="folder of datasets; default %(default)s")
    parser.add_argument("--out", type=Path, default=Path("runs/hard_negatives"), help="default %(default)s")
    return parser.parse_args()


def settings(args: argparse.Namespace, name: str, seed: int) -> RunConfig:
    """What all variants have in common."""
    options, modalities = DATASETS[name]
    if args.modalities:
        modalities = tuple(args.modalities.split(","))
    train = TrainConfig(
        steps=args.steps,
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        sampler_learning_rate=1e-3,
        schedule="constant",
        validate_every=args.steps,
        seed=seed,
    )
    sampler = SamplerConfig(negatives=args.negatives, pool=args.pool, epsilon=args.epsilon, modalities=modalities)
    return RunConfig(
        dataset=name, root=args.root, options=options, scorer="rotate", dim=args.dim, sampler=sampler, train=train
    )


def make_sampler(config: RunConfig, variant: Variant, model, data, features: dict):
    """The sampler of a variant, initialised by the run's seed."""
    sampler = replace(config.sampler, name=variant.sampler, gumbel_gradient=variant.gumbel_gradient)
    return build_sampler(replace(config, alpha=variant.alpha, sampler=sampler), model, features, data)


def train(config: RunConfig, variant: Variant, dataset, features: dict, args: argparse.Namespace, folder: Path) -> dict:
    """Train one variant under a census and say what was seen."""
    asked = {"config": asdict(config), "variant": asdict(variant), "probe": args.probe, "probes": args.probes}
    asked = json.loads(json.dumps(asked))
    kept = folder / "summary.json"
    if kept.exists():
        found = json.loads(kept.read_text(encoding="utf-8"))
        if found["asked"] == asked:
            return found
    data = dataset.topology
    model = build_scorer(config, int(data.num_nodes), int(data.num_relations))
    sampler = make_sampler(config, variant, model, data, features)
    shutil.rmtree(folder, ignore_errors=True)  # of other settings, or broken off
    every = max(1, config.train.steps // args.probes)
    census = Census(data, folder / "census", probe=args.probe, every=every, overhead=None)
    trainer = Trainer(model, sampler, SelfAdversarial(variant.alpha), data, config.train, callbacks=[census])
    result = trainer.fit()
    found = seen(census.frame(), data, variant.alpha)
    found |= {"asked": asked, "valid_mrr": result.best["mrr"], "valid_hits@10": result.best["hits@10"]}
    found |= {"seconds": result.seconds - census.cost()["seconds"], "census": census.cost()}
    if variant.sampler == "mmrns":
        some = census.triples[:: max(1, len(census.triples) // 64)][:64]
        found["frontier"] = frontier(sampler, model, some, data).to_dict("records")
    write_json(kept, found)
    return json.loads(kept.read_text(encoding="utf-8"))


def seen(rows: pd.DataFrame, data, alpha: float) -> dict:
    """Tables of a census as lists of rows: over time, and over its last part."""
    drawn = rows[rows.source == "sampler"]
    drawn.attrs = rows.attrs
    late = rows[rows.step > (1 - LAST) * rows.step.max()]
    late_drawn = late[late.source == "sampler"]
    course = drift(rows)
    course = course[course.source == "sampler"].merge(gradients(drawn, alphas=[alpha]), on=["source", "step"])
    course = course.merge(repeats(drawn)[["step", "since_last"]], on="step")
    tables = {
        "course": course,
        "false_over_time": false_negatives(drawn, "step"),
        "false_by_category": false_negatives(late, ["category", "side"]),
        "false_by_pattern": false_negatives(late, "pattern"),
        "false": false_negatives(late),
        "popularity": popularity(late, data, ()),
        "gradients": gradients(late, (), alphas=[0.0, 0.5]),
    }
    for name, make in (("entropy", entropy), ("attribution", attribution)):
        try:
            tables[name] = make(late_drawn, ())
        except DataError as told:  # a sampler without probabilities, or without modalities
            tables[name] = pd.DataFrame([{"not_known": told.problem}])
    return {name: table.to_dict("records") for name, table in tables.items()}


def main() -> None:
    args = arguments()
    for name in () if args.draw else args.datasets:
        variants = {}
        dataset = features = None
        for seed in args.seeds:
            config = settings(args, name, seed)
            if dataset is None:
                dataset = open_dataset(config, features=True)
                features = used_features(config, dataset)
            for label, variant in (VARIANTS | (GUMBEL if args.gumbel else {})).items():
                print(f"\n== {name}: {label}, seed {seed} ==")
                slug = "-".join(label.lower().replace(",", "").split())
                found = train(config, variant, dataset, features, args, args.out / f"{name}-{slug}-seed{seed}")
                variants.setdefault(label, []).append(found)
        rows = [summary(label, found) for label, found in variants.items()]
        shown = ("negatives", "valid MRR", "score above the answer", "held-out facts, at least", "gradient", "seconds")
        short = [{column: row[column] for column in shown} for row in rows]
        print_table(short, f"{name}: the last {LAST:.0%} of {args.steps} steps; {args.probe} questions on both sides")
        if args.record:
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            entry = {
                "dataset": name,
                "split_policy": getattr(dataset, "split_policy", "as released"),
                "steps": args.steps,
                "seeds": args.seeds,
                "modalities": [m for m in config.sampler.modalities if m == "structure" or m in features],
                "features": {m: f"{f.provenance.get('encoder')}, {list(f.shape)}" for m, f in features.items()},
                "note": "rates of held-out facts are lower bounds",
                "summary": rows,
                "variants": variants,
                "device": device_name(device),
                "versions": versions(),
                "command": command_typed(),
                "date": datetime.date.today().isoformat(),
            }
            FOLDER.mkdir(parents=True, exist_ok=True)
            write_json(FOLDER / f"{name}.json", entry)
    if args.record or args.draw:
        draw()


if __name__ == "__main__":
    main_guard(main)
