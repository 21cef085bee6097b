"""DB15K: any scorer with uniform or MMRNS negatives.

    python experiments/db15k.py --scorer rotate --sampler mmrns --steps 300

Reads DB15K from datasets/DB15K, from a folder named by MMKG_RAW, or from the web. Texts are encoded once (about
26,500 sentences: some minutes on 2 cores) and kept; pictures are looked at if a file of picture features is there, see
datasets/README.md. Validation is the clean split unless --split-policy published is given. --final looks at test once.

Prints the objective on a fixed probe batch: mean of the first and of the last 50 steps.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from common import RESULTS, Probe, record, short_hash, summarise

from mmkg.cli import main_guard, print_table
from mmkg.run import Run, RunConfig, SamplerConfig
from mmkg.training import TrainConfig

SETTINGS = RunConfig(
    dataset="db15k",
    options={"split_policy": "clean"},
    scorer="rotate",
    dim=200,
    margin=6.0,
    alpha=0.5,
    sampler=SamplerConfig(name="mmrns", negatives=20, pool=500),
    train=TrainConfig(
        steps=300, batch_size=256, learning_rate=3e-4, sampler_learning_rate=1e-4, schedule="constant", validate_every=0
    ),
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scorer", default=SETTINGS.scorer, help="default %(default)s")
    parser.add_argument("--sampler", default="mmrns", choices=["mmrns", "uniform"], help="default %(default)s")
    parser.add_argument("--objective", default=SETTINGS.objective, help="default %(default)s")
    parser.add_argument("--modalities", default="image,text,structure", help="what MMRNS looks at; default %(default)s")
    parser.add_argument("--dim", type=int, default=SETTINGS.dim, help="default %(default)s")
    parser.add_argument("--pool", type=int, default=SETTINGS.sampler.pool, help="0 for all; default %(default)s")
    parser.add_argument("--steps", type=int, default=SETTINGS.train.steps, help="default %(default)s")
    parser.add_argument("--batch-size", type=int, default=SETTINGS.train.batch_size, help="default %(default)s")
    parser.add_argument("--learning-rate", type=float, default=SETTINGS.train.learning_rate, help="default %(default)s")
    parser.add_argument("--validate-every", type=int, default=0, help="steps; default: at the end only")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="default 0")
    parser.add_argument("--split-policy", default="clean", choices=["clean", "published"], help="default %(default)s")
    parser.add_argument("--final", action="store_true", help="look at the test split, once, at the end")
    parser.add_argument("--record", action="store_true", help="write JSON results to experiments/results/db15k")
    parser.add_argument("--root", default="datasets", help="folder of datasets; default %(default)s")
    parser.add_argument("--out", type=Path, default=Path("runs/db15k"), help="folder of runs; default %(default)s")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    entries = []
    for seed in args.seeds:
        config = replace(
            SETTINGS,
            root=args.root,
            options={"split_policy": args.split_policy},
            scorer=args.scorer,
            objective=args.objective,
            dim=args.dim,
            sampler=replace(
                SETTINGS.sampler, name=args.sampler, pool=args.pool, modalities=tuple(args.modalities.split(","))
            ),
            train=replace(
                SETTINGS.train,
                steps=args.steps,
                batch_size=args.batch_size,
                learning_rate=args.learning_rate,
                validate_every=args.validate_every or args.steps,
                seed=seed,
            ),
        )
        by = "one_vs_all" if args.objective == "one_vs_all" else args.sampler
        name = f"{args.scorer}-{by}-{args.split_policy}-steps{args.steps}-{short_hash(config)}-seed{seed}"
        probe = Probe()
        run = Run.train(config, args.out / name, resume=True, callbacks=[probe])
        results = RESULTS / "db15k" if args.record else None
        entry = record(run, f"{args.scorer}, {by}", name, final=args.final, results=results, probe=probe)
        if "probe_loss" in entry:
            p = entry["probe_loss"]
            told = f"{p['first_50']:.4f} in the first 50 steps, {p['last_50']:.4f} in the last 50: × {p['ratio']:.3f}"
            print(f"loss on the probe batch: {told}")
        print(f"peak memory {entry['peak_memory_mb']} MB; the run is in {run.folder}")
        entries.append(entry)
    title = f"DB15K ({args.split_policy} validation): filtered ranking on both sides, realistic ranks"
    print_table(summarise(entries), title)


if __name__ == "__main__":
    main_guard(main)
