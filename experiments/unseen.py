r"""Entities that a model has never seen: what texts, pictures and a few triples of them are worth.

    python experiments/unseen.py --seeds 0 1 2 --final --record
    MMKG_RAW=… python experiments/unseen.py --dataset fb15k_237 --variants text "triples alone" --fraction 0.01 \
        --steps 800 --batch-size 500 --both-sides --precision bf16 --pulls 0 1 --seeds 0 1 2 --final --record

Of each seed's split, a share of the entities is held out whole. A ComplEx is trained on the rest, alone or fused with
features, and selected on the validation triples between known entities. Then the unseen entities get embeddings from
their features and 0, 1 or 5 of their triples, and their other triples are ranked on both sides among all entities, the
unseen ones included. How strongly the start holds on is chosen on the unseen entities of validation; --final looks at
those of test, once. Four controls answer the same questions without a model; they may look the shown triples up, too.
"""

from __future__ import annotations

import argparse
import datetime
import re
import time
from dataclasses import asdict

import torch
from common import RESULTS, mean_sd

from mmkg.cli import main_guard, print_table
from mmkg.datasets import InductiveSplit, hold_out
from mmkg.evaluation import (
    Chance,
    NearestNeighbour,
    RelationFrequency,
    RelationMean,
    rank_unseen,
    unseen_summary,
)
from mmkg.graph import Facts
from mmkg.run import DATASETS, write_json
from mmkg.run.record import command_typed, device_name, versions
from mmkg.scorers import ComplEx, Extended, UnseenEntities, fuse
from mmkg.scorers.adaptation import adapt
from mmkg.scorers.pooling import MeanPooling
from mmkg.training import OneVsAll, TrainConfig, Trainer, stream
from mmkg.training.config import PRECISIONS
from mmkg.types import Features

SHOTS = (0, 1, 5)
PULLS = (0.0, 0.3, 1.0, 3.0)
VARIANTS = {
    "triples alone": (),
    "text": ("text",),
    "image": ("image",),
    "text + image": ("text", "image"),
}
CONTROLS = ("chance", "relation frequency", "relation mean", "text nearest neighbour")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="worldmoji", choices=list(DATASETS), help="default %(default)s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of split and model; default 0")
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=list(VARIANTS), help="default all")
    parser.add_argument("--fraction", type=float, default=0.1, help="of entities held out; default %(default)s")
    parser.add_argument("--dim", type=int, default=100, help="default %(default)s")
    parser.add_argument("--steps", type=int, default=300, help="of training; default %(default)s")
    parser.add_argument("--batch-size", type=int, default=256, help="triples a step; default %(default)s")
    parser.add_argument("--both-sides", action="store_true", help="each step asks on both sides; else they take turns")
    parser.add_argument("--precision", default="no", choices=PRECISIONS, help="of training's products; default float32")
    parser.add_argument("--adapt-steps", type=int, default=40, help="on the shown triples; default %(default)s")
    parser.add_argument("--rate", type=float, default=0.2, help="of these steps; default %(default)s")
    parser.add_argument("--pulls", type=float, nargs="+", default=list(PULLS), help="to choose from; default 0 0.3 1 3")
    parser.add_argument("--final", action="store_true", help="look at the unseen entities of test, once")
    parser.add_argument("--record", action="store_true", help="write JSON results to experiments/results/unseen")
    parser.add_argument("--root", default="datasets", help="folder of datasets; default %(default)s")
    return parser.parse_args()


def features_of(dataset, wanted: set[str]) -> dict[str, Features]:
    """The dataset's features, encoded now where they are not yet."""
    for modality, encode in (("text", dataset.encode_text), ("image", dataset.encode_images)):
        if modality in wanted and dataset.features(modality) is None:
            encode()
    return {m: f for m in ("text", "image") if m in wanted and (f := dataset.features(m)) is not None}


class Questions:
    """The questions about the unseen entities of a split, and whoever answers them."""

    def __init__(self, split: InductiveSplit) -> None:
        self.split, self.facts, self.unseen = split, split.facts(), split.part > 0

    def ask(self, model: torch.nn.Module, part: str) -> dict:
        """What came of it, as JSON can hold it."""
        return unseen_summary(*rank_unseen(model, self.split.questions(part), self.facts, self.unseen))


def controls(questions: Questions, vectors: torch.Tensor, part: str, shots: int, seed: int) -> dict[str, dict]:
    """What the controls say, the shown triples among what they may look up."""
    split = questions.split
    head, relation, tail = split.train_facts().triples()
    shown = split.supports(shots)
    columns = [torch.cat([own, shown[:, i]]) for i, own in enumerate((head, relation, tail))]
    facts = Facts(*columns, split.num_nodes, int(split.known.num_relations))
    models = (
        Chance(facts, seed),
        RelationFrequency(facts),
        RelationMean(facts, vectors),
        NearestNeighbour(facts, vectors),
    )
    return {name: questions.ask(model, part) for name, model in zip(CONTROLS, models, strict=True)}


class Newcomers:
    """Embeddings of a split's unseen entities by one trained model."""

    def __init__(self, model: ComplEx, split: InductiveSplit, features: dict[str, Features]) -> None:
        self.model, self.split = model, split
        ids = torch.arange(split.num_known, split.num_nodes)
        self.features = {m: split.features(f).gather(ids) for m, f in features.items()}
        edges = split.known.edge_index[:, split.known.train_mask]
        self.unseen = UnseenEntities(model, torch.unique(edges)) if features else None

    def embed(self, shots: int, part: str | None, steps: int, rate: float, pull: float, structure: str) -> torch.Tensor:
        """Embeddings ``[U, d]``; those of another part than asked for see no triples."""
        support, options = self.split.supports(shots, part), {"steps": steps, "rate": rate, "pull": pull}
        if self.unseen is not None:
            return self.unseen.embed(self.features, support, structure=structure, **options)
        table = self.model.entity_table().detach()  # without features: the mean, and the triples from there
        start = table.mean(0).expand(self.split.num_nodes - len(table), -1)
        if not len(support):
            return start
        return adapt(self.model, table, start, lambda inner: inner, support, float(table.std()), **options)


def one(args, dataset, split: InductiveSplit, features: dict[str, Features], variant: str, seed: int) -> dict:
    """Train one model and ask it."""
    started = time.perf_counter()
    chosen = {m: features[m] for m in VARIANTS[variant]}
    torch.manual_seed(stream(seed, "scorer"))
    model = ComplEx(split.num_known, int(split.known.num_relations), args.dim)
    if chosen:
        fuse(model, {m: split.features(f, known_only=True) for m, f in chosen.items()}, scale="channels")
    every = max(1, args.steps // 3)
    train = TrainConfig(
        steps=args.steps,
        batch_size=args.batch_size,
        both_sides=args.both_sides,
        together=8 if args.both_sides else 1,
        learning_rate=0.01,
        subsampling=False,
        validate_every=every,
        precision=args.precision,
        seed=seed,
    )
    result = Trainer(model, None, OneVsAll(), split.known, train, progress=False).fit()
    model.eval()
    questions, newcomers = Questions(split), Newcomers(model, split, chosen)
    entry = {"train": asdict(train), "dim": args.dim, "known_valid": result.best, "history": result.history}
    if newcomers.unseen is not None:
        projection = newcomers.unseen.projection
        entry["projection"] = {"penalty": projection.penalty, "explained": projection.explained}
    entry |= {"adapt_steps": args.adapt_steps, "rate": args.rate, "pulls": args.pulls, "chosen_pull": {}, "valid": {}}
    structures = ("projection", "mean") if chosen else ("mean",)
    for shots in SHOTS:
        for structure in structures if shots == 0 else structures[:1]:
            name = f"{shots} shots, {structure}"
            tried = {}
            for pull in args.pulls if shots else [0.0]:
                embedded = newcomers.embed(shots, "val", args.adapt_steps, args.rate, pull, structure)
                tried[pull] = questions.ask(Extended(model, embedded), "val")
            pull = max(tried, key=lambda p: tried[p]["metrics"]["realistic"]["mrr"])
            entry["valid"][name], entry["chosen_pull"][name] = tried[pull], pull
            if args.final:
                embedded = newcomers.embed(shots, None, args.adapt_steps, args.rate, pull, structure)
                entry.setdefault("test", {})[name] = questions.ask(Extended(model, embedded), "test")
    return entry | {"wall_seconds": round(time.perf_counter() - started, 1)}


def said(dataset, args, split: InductiveSplit, variant: str, seed: int) -> dict:
    """What tells this entry from others, and what it was made with."""
    counts = {p: len(split.unseen(p)) for p in ("val", "test")}
    return {
        "dataset": args.dataset,
        "split_policy": getattr(dataset, "split_policy", "as released"),
        "variant": variant,
        "seed": seed,
        "fraction": args.fraction,
        "known_entities": split.num_known,
        "unseen_entities": counts,
        "questions": {p: 2 * len(split.questions(p)) for p in counts},
        "set_aside": split.set_aside,
        "device": device_name(torch.device("cpu")),
        "versions": versions(),
        "command": command_typed(),
        "date": datetime.date.today().isoformat(),
    }


def row(variant: str, name: str, entries: list[dict], split: str) -> dict:
    """A row of the table: mean and deviation over seeds."""
    found = [e[split][name] for e in entries]
    cells = {"answers by": variant, "shots": name.split()[0], "structure": name.split(", ")[-1] if "," in name else ""}
    cells |= {
        label: mean_sd([f["metrics"]["realistic"][m] for f in found], 3)
        for label, m in (("MRR", "mrr"), ("Hits@1", "hits@1"), ("Hits@10", "hits@10"))
    }
    for who in ("known", "unseen"):
        rows = [r for f in found for r in f["breakdown"] if (r["grouping"], r["label"]) == ("asked for", who)]
        cells[f"MRR, {who} asked for"] = mean_sd([r["mrr"] for r in rows], 3)
    return cells


def rows(entries: list[dict], split: str) -> list[dict]:
    """All rows, variants in the order in which they are met, fewer shots first."""
    found = []
    for variant in dict.fromkeys(e["variant"] for e in entries):
        mine = [e for e in entries if e["variant"] == variant and split in e]
        found += [row(variant, name, mine, split) for name in (mine[0][split] if mine else [])]
    return found


def main() -> None:
    args = arguments()
    torch.set_num_threads(1)
    dataset = DATASETS[args.dataset](args.root, log=False)
    features = features_of(dataset, {"text"} | {m for v in args.variants for m in VARIANTS[v]})
    entries, results = [], RESULTS / "unseen"

    def keep(entry: dict) -> None:
        entries.append(entry)
        if args.record:
            results.mkdir(parents=True, exist_ok=True)
            slug = "-".join(re.findall(r"[a-z]+", entry["variant"]))
            write_json(results / f"{args.dataset}-{slug}-seed{entry['seed']}.json", entry)

    for seed in args.seeds:
        split = hold_out(dataset.topology, args.fraction, seed, max_support=max(SHOTS))
        text = MeanPooling(split.features(features["text"])).pooled  # [N, D], zero where there is none
        parts = {"valid": "val"} | ({"test": "test"} if args.final else {})
        asked = {s: {k: controls(Questions(split), text, p, k, seed) for k in SHOTS} for s, p in parts.items()}
        for name in CONTROLS:
            found = {s: {f"{k} shots": asked[s][k][name] for k in SHOTS} for s in parts}
            keep(said(dataset, args, split, name, seed) | found)
        for variant in args.variants:
            print(f"== {args.dataset}, {variant}, seed {seed}", flush=True)
            keep(said(dataset, args, split, variant, seed) | one(args, dataset, split, features, variant, seed))
    print_table(rows(entries, "test" if args.final else "valid"), f"Unseen entities of {args.dataset}")


if __name__ == "__main__":
    main_guard(main)
