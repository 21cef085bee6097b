"""WorldMoji: RotatE trained with the MMRNS sampler on facts of the world with emoji for pictures.

    python experiments/worldmoji.py                                    the main job, about three minutes
    python experiments/worldmoji.py --compare --seeds 0 1 2 --final --record     the README's table

Every model starts from the same warm-up with uniform negatives (MMRNS is guided by the embeddings, which mean nothing
at first) and is then trained on with the sampler that its row names, uniform negatives included, for the same number
of steps. Models are selected on validation; --final looks at test once, at the end.

Expected, and measured on 2 CPU cores: see the README's table and experiments/results/worldmoji/.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

from common import RESULTS, record, short_hash, summarise

from mmkg.analysis import draw_negatives, hard_negatives, spread, told
from mmkg.cli import main_guard, print_table
from mmkg.run import Run, RunConfig, SamplerConfig
from mmkg.training import TrainConfig

WARM_UP = RunConfig(
    dataset="worldmoji",
    scorer="rotate",
    dim=100,
    margin=6.0,
    alpha=0.5,
    sampler=SamplerConfig(name="uniform", negatives=20),
    train=TrainConfig(steps=2000, batch_size=256, learning_rate=1e-2, schedule="constant", validate_every=1000),
)
MAIN = replace(
    WARM_UP,
    # the paper's temperature of 10 leaves the probabilities nearly uniform on so few steps: see the README
    sampler=SamplerConfig(name="mmrns", negatives=20, pool=500, epsilon=0.5),
    train=TrainConfig(
        steps=300, batch_size=256, learning_rate=3e-3, sampler_learning_rate=1e-3, schedule="linear", validate_every=100
    ),
)
VARIANTS = {  # what MMRNS looks at
    "uniform": {"name": "uniform"},
    "mmrns: structure": {"modalities": ("structure",)},
    "mmrns: structure + image": {"modalities": ("image", "structure")},
    "mmrns: structure + text": {"modalities": ("text", "structure")},
    "mmrns: structure + image + text": {},
    "mmrns: structure + shuffled image + text": {"images": "shuffled"},
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scorer", default=WARM_UP.scorer, help="default %(default)s")
    parser.add_argument("--sampler", default="mmrns", choices=["mmrns", "uniform"], help="default %(default)s")
    parser.add_argument("--modalities", default="image,text,structure", help="what MMRNS looks at; default %(default)s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="default 0")
    parser.add_argument("--warm-up", type=int, default=WARM_UP.train.steps, help="steps; default %(default)s")
    parser.add_argument("--steps", type=int, default=MAIN.train.steps, help="steps after it; default %(default)s")
    parser.add_argument("--compare", action="store_true", help="train every variant, not the main one alone")
    parser.add_argument("--final", action="store_true", help="look at the test split, once, at the end")
    parser.add_argument("--record", action="store_true", help="write JSON results to experiments/results/worldmoji")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of results; default experiments/results")
    parser.add_argument("--root", default="datasets", help="folder of datasets; default %(default)s")
    parser.add_argument("--out", type=Path, default=Path("runs/worldmoji"), help="folder of runs; default %(default)s")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    chosen = VARIANTS if args.compare else {"uniform": VARIANTS["uniform"]}
    if not args.compare and args.sampler == "mmrns":
        modalities = tuple(m for m in ("structure", "image", "text") if m in args.modalities.split(","))
        variant = f"mmrns: {' + '.join(modalities)}"
        chosen[variant] = VARIANTS.get(variant, {"modalities": modalities})
    entries, runs = [], {}
    for seed in args.seeds:
        train = replace(WARM_UP.train, steps=args.warm_up, seed=seed)
        warm = replace(WARM_UP, root=args.root, scorer=args.scorer, train=train)
        warm_folder = args.out / f"{args.scorer}-warm-up-{short_hash(warm)}-seed{seed}"
        print(f"\n== warm-up with uniform negatives, seed {seed} ==")
        Run.train(warm, warm_folder, resume=True)
        for variant, changes in chosen.items():
            print(f"\n== {variant}, seed {seed} ==")
            config = replace(
                MAIN,
                root=args.root,
                scorer=args.scorer,
                sampler=replace(MAIN.sampler, **changes),
                train=replace(MAIN.train, steps=args.steps, seed=seed),
                warm_start=str(warm_folder),
            )
            name = f"{args.scorer}-{slug(variant)}-{short_hash(config)}-seed{seed}"
            run = Run.train(config, args.out / name, resume=True)  # one that is trained already is loaded
            results, looks = args.results / "worldmoji" if args.record else None, args.results / "TEST_LOOKS.csv"
            entries.append(record(run, variant, name, final=args.final, results=results, looks=looks))
            runs[variant, seed] = run
    title = "WorldMoji: filtered ranking on both sides, realistic ranks" + seeds_told(args.seeds)
    print_table(summarise(entries), title)
    hardest = [run for (variant, _), run in runs.items() if variant.startswith("mmrns") and "shuffled" not in variant]
    if hardest:
        run, picture, latest = hardest[-1], args.out / "hard_negatives.png", args.out / "latest"
        show_hard_negatives(run, picture)
        latest.unlink(missing_ok=True)
        latest.symlink_to(run.folder.name)
        print(f"hard negatives are drawn in {picture}; the run is in {run.folder}, for short {latest}. Ask it:")
        print(f"  mmkg predict {latest} --head France --relation borders")


def slug(variant: str) -> str:
    """A variant's name as part of a file's name."""
    return "-".join(re.findall(r"[a-z]+", variant))


def seeds_told(seeds: list[int]) -> str:
    return "" if len(seeds) == 1 else f", mean ± standard deviation over {len(seeds)} seeds"


def show_hard_negatives(run: Run, picture: Path) -> None:
    """Print and draw the hardest negatives of five validation triples that have pictures."""
    image = run.dataset.features("image")
    triples = spread(run.triples("val"), 5, None if image is None else image.present)
    known, step = (run.facts(("train",)), run.facts()), run.best_step
    table = hard_negatives(run.sampler, run.model, triples, *known, sides=("tail",), k=5, step=step)
    names = run.data.entity_labels, run.data.relation_names
    title = "Hardest negatives: probability among all entities, and cosine to the answer by modality"
    print_table(told(table, *names), title)
    draw_negatives(table, *names, run.dataset.image_path, picture, caption=run.dataset.attribution)


if __name__ == "__main__":
    main_guard(main)
