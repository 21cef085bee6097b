"""DB15K ↔ FB15K: which entity of DB15K does a text of FB15K's entity mean? Names are hidden from the texts.

    MMKG_RAW=… python experiments/linking.py --record

The truth are the pairs of DB15K_SameAsLink.txt. The texts at hand for the two datasets are the same sentences, word for
word; linking by them is a matter of equality. So the benchmark gives the mention the first half of a text's words and
the entity the second half: no word is seen on both sides but by chance. Rows:

  plain: whole text          cosine of MiniLM's vectors; shows that the texts are the same, and namesakes without names
  plain: halves              the control
  guided: halves             by KCA's views under a relation that the mentioned entity takes part in
  … + neighbour              with a neighbour at the other side of that relation, by the scorer's probabilities
  neighbour alone            without any text

The relation and the neighbour of a mention come from a triple of DB15K's validation split, which neither the scorer nor
KCA was trained on. Weights of the parts are chosen on half of those entities and reported on the other half.
"""

from __future__ import annotations

import argparse
import datetime
import time
from pathlib import Path

import torch
from common import RESULTS

from mmkg.cli import main_guard, print_table
from mmkg.datasets import DB15K, FB15K
from mmkg.datasets.entity_keys import same_as
from mmkg.encoders import bundled_sentence_encoder, encode_texts
from mmkg.evaluation import all_metrics, metrics
from mmkg.graph import Facts
from mmkg.linking import (
    GuidedLinker,
    Mentions,
    PlainLinker,
    hide_name,
    link_ranks,
    neighbour_evidence,
    with_evidence,
)
from mmkg.run import write_json
from mmkg.run.record import command_typed, device_name, versions
from mmkg.samplers import MMRNS
from mmkg.scorers import ComplEx
from mmkg.training import SelfAdversarial, TrainConfig, Trainer, stream
from mmkg.types import Features

WEIGHTS = (0.5, 1.0, 2.0, 4.0)
TEMPERATURES = (0.05, 0.1, 0.2, 0.4)


def half(text: str, first: bool) -> str:
    """The first half of a text's words, or the rest."""
    words = text.split()
    middle = (len(words) + 1) // 2
    return " ".join(words[:middle] if first else words[middle:])


def hidden(data) -> list[str]:
    """Descriptions of a graph's entities without their names."""
    pairs = zip(data.descriptions, data.entity_labels, strict=True)
    return [hide_name(text, label) for text, label in pairs]


def encoded(texts: list[str], cache: Path) -> Features:
    """One vector a text; what was encoded before is taken from the cache."""
    encoder = bundled_sentence_encoder("cpu")
    return encode_texts([[text] if text else [] for text in texts], encoder, max_sentences=1, cache=cache)


def chosen(features: Features, ids: torch.Tensor) -> Mentions:
    """Some entities' features as mentions."""
    return Mentions({"text": Features(features.values, features.mask, features.row[ids], None, features.provenance)})


def trained(data, text: Features, args) -> tuple[ComplEx, MMRNS]:
    """A scorer and a sampler, trained together on the train triples with DB15K's texts."""
    torch.manual_seed(stream(args.seed, "scorer"))
    model = ComplEx(int(data.num_nodes), int(data.num_relations), args.dim)
    torch.manual_seed(stream(args.seed, "sampler"))
    sampler = MMRNS(
        int(data.num_nodes), 2 * args.dim, 2 * args.dim, None, text, num_negatives=20, pool_size=300, epsilon=0.5
    )
    config = TrainConfig(
        steps=args.steps,
        batch_size=256,
        learning_rate=0.01,
        sampler_learning_rate=1e-3,
        validate_every=0,
        seed=args.seed,
    )
    Trainer(model, sampler, SelfAdversarial(0.5), data, config).fit()
    return model.eval(), sampler.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="of training scorer and KCA; default %(default)s")
    parser.add_argument("--dim", type=int, default=64, help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default %(default)s")
    parser.add_argument("--record", action="store_true", help="write JSON results to experiments/results/linking")
    parser.add_argument("--root", default="datasets", help="folder of datasets; default %(default)s")
    args = parser.parse_args()
    torch.set_num_threads(1)
    started = time.perf_counter()
    dataset, other = DB15K(args.root, log=False), FB15K(args.root, log=False)
    db, fb = dataset.topology, other.topology
    same = same_as(dataset.raw_file("DB15K_SameAsLink.txt"))
    at_fb = {name: i for i, name in enumerate(fb.entity_names)}
    at_db = {name: i for i, name in enumerate(db.entity_names)}
    pairs = torch.tensor([(at_fb[a], at_db[b]) for a, b in same if a in at_fb and b in at_db])  # [P, 2]
    equal = sum(fb.descriptions[a] == db.descriptions[b] for a, b in pairs.tolist())
    linked = set(pairs[:, 0].tolist())
    texts_fb = [text if i in linked else "" for i, text in enumerate(hidden(fb))]  # the others are never asked about
    texts_db = hidden(db)
    cache = Path(args.root) / "linking" / "cache"
    parts = {
        "whole": (encoded(texts_fb, cache), encoded(texts_db, cache)),
        "halves": (
            encoded([half(t, True) for t in texts_fb], cache),
            encoded([half(t, False) for t in texts_db], cache),
        ),
    }
    has = torch.stack([(f.row >= 0)[pairs[:, i]] for both in parts.values() for i, f in enumerate(both)]).all(0)
    pairs = pairs[has]
    rows: dict[str, dict] = {}

    def keep(name: str, scores: torch.Tensor, answer: torch.Tensor) -> None:
        ranks = link_ranks(scores, answer)
        rows[name] = {"mentions": len(ranks), "candidates": scores.shape[1], **all_metrics(ranks)}

    for name, (fb_text, db_text) in parts.items():
        keep(f"plain: {name}", PlainLinker({"text": db_text}).scores(chosen(fb_text, pairs[:, 0])), pairs[:, 1])
    fb_text, db_text = parts["halves"]
    model, sampler = trained(db, db_text, args)

    # a held-out triple of each mention whose neighbour and relation are seen in train, the mentioned one as its tail
    val = torch.stack([db.edge_index[0], db.edge_type, db.edge_index[1]], 1)[db.val_mask]
    fb_of = dict(pairs[:, [1, 0]].tolist())
    asked = [x for x in {t: (h, r, t) for h, r, t in val.tolist()}.values() if x[2] in fb_of]
    known = torch.tensor(asked)  # [M, 3]
    mention = torch.tensor([fb_of[t] for t in known[:, 2].tolist()])
    mentions, answer = chosen(fb_text, mention), known[:, 2]
    scores = {
        "plain": PlainLinker({"text": db_text}).scores(mentions),
        "guided": GuidedLinker(sampler.views, model).scores(mentions, known[:, 1]),
    }
    evidence = neighbour_evidence(model, known[:, 1], known[:, 0], "tail")
    facts = Facts.from_data(db)
    at, seen = facts.known_tails(known[:, 0], known[:, 1])
    evidence[at, seen] = evidence.amin() - 1  # a fact of train that the mention does not stand in; never the answer
    fit, held = torch.arange(len(known)) % 2 == 0, torch.arange(len(known)) % 2 == 1
    best_weights = {}
    keep("neighbour alone", evidence[held], answer[held])
    scores["plain + guided"] = (scores["plain"] + scores["guided"]) / 2
    for name, own in scores.items():
        keep(f"{name}: halves, of these", own[held], answer[held])
        tried = {
            (t, w): metrics(link_ranks(with_evidence(own[fit], evidence[fit], t, w), answer[fit]))["mrr"]
            for t in TEMPERATURES
            for w in WEIGHTS
        }
        t, w = best_weights[name] = max(tried, key=tried.get)
        keep(f"{name} + neighbour: halves, of these", with_evidence(own[held], evidence[held], t, w), answer[held])
    entry = {
        "dataset": "db15k",
        "mentions_from": "fb15k",
        "split_policy": dataset.split_policy,
        "seed": args.seed,
        "pairs": len(same),
        "pairs_with_text": len(pairs),
        "pairs_with_equal_text": equal,
        "steps": args.steps,
        "dim": args.dim,
        "temperature_and_weight": best_weights,
        "rows": rows,
        "wall_seconds": round(time.perf_counter() - started, 1),
        "device": device_name(torch.device("cpu")),
        "versions": versions(),
        "command": command_typed(),
        "date": datetime.date.today().isoformat(),
    }
    if args.record:
        (RESULTS / "linking").mkdir(parents=True, exist_ok=True)
        write_json(RESULTS / "linking" / f"db15k-fb15k-seed{args.seed}.json", entry)
    print_table(
        [
            {"linked by": name, "mentions": r["mentions"]}
            | {m: f"{r['realistic'][m]:.3f}" for m in ("hits@1", "hits@10", "mrr")}
            for name, r in rows.items()
        ],
        "FB15K's entities to DB15K's, names hidden",
    )


if __name__ == "__main__":
    main_guard(main)
