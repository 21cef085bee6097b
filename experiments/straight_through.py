"""Which way MMRNS's straight-through gradient points: beside the exact gradient of the expected loss.

    python experiments/straight_through.py --record

For one draw out of a pool of P candidates with logits z the loss of a negative is softplus(s_p), s its score, and
what descending it through the draw is meant to lower is the expected loss Σ_p softmax(z)_p softplus(s_p), whose
gradient is known exactly. The straight-through gradient replaces the score of each candidate by the tangent of the
score at the one that was drawn. Where the score is linear in the candidate's embedding (bilinear scorers) the tangent
is the score. Where it is a margin minus a distance, it is concave: the tangent overestimates the score of every other
candidate, and whatever was drawn seems better than it is, most so where its loss has the largest slope, at a hard
one. Whether that is enough to turn the gradient round is measured here.

Scorers are trained on WorldMoji with uniform negatives and then left alone; "uniform" draws at equal logits, "by score"
at logits that are the scores. Cosines are between the exact gradient and the mean of the straight-through one over
--draws draws, both without their means (softmax does not see them). --record writes the JSON from which the table of
experiments/README.md is made.

About 2 minutes on one core.
"""

from __future__ import annotations

import argparse
import datetime
from dataclasses import replace

import torch
import torch.nn.functional as F
from common import RESULTS
from torch import Tensor

from mmkg.cli import main_guard, print_table
from mmkg.run import RunConfig, SamplerConfig, open_dataset, write_json
from mmkg.run.build import build_scorer
from mmkg.run.record import command_typed, device_name, versions
from mmkg.run.sampler import build_sampler
from mmkg.samplers.mmrns.draw import draw, gumbel
from mmkg.samplers.mmrns.gumbel import straight_through
from mmkg.scorers import Scorer
from mmkg.training import SelfAdversarial, TrainConfig, Trainer, stream

FILE = RESULTS / "straight_through" / "worldmoji.json"
LOGITS = ("uniform", "by score")
START = RunConfig(
    dataset="worldmoji",
    dim=100,
    sampler=SamplerConfig(name="uniform", negatives=20),
    train=TrainConfig(
        steps=500, batch_size=256, learning_rate=5e-3, schedule="constant", validate_every=500, checkpoint_every=0
    ),
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--scorers", nargs="+", default=["transe", "rotate", "pairre", "distmult", "complex"])
    add("--questions", type=int, default=100, help="default %(default)s")
    add("--pool", type=int, default=200, help="candidates; default %(default)s")
    add("--draws", type=int, default=400, help="over which the straight-through gradient is averaged; default 400")
    add("--steps", type=int, default=START.train.steps, help="of training; default %(default)s")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default 0 1 2")
    add("--root", default="datasets", help="folder of datasets; default %(default)s")
    add("--record", action="store_true", help="write the JSON")
    return parser.parse_args()


def exact_gradient(z: Tensor, loss: Tensor) -> Tensor:
    """Gradient of the expected loss Σ_p softmax(z)_p loss_p with respect to logits z, all ``[P]``."""
    z = z.clone().requires_grad_()
    return torch.autograd.grad((z.softmax(0) * loss).sum(), z)[0]


def straight_through_gradient(
    z: Tensor, pool: Tensor, score, draws: int, generator: torch.Generator | None = None
) -> Tensor:
    """Mean over draws of the straight-through gradient of softplus(score) with respect to logits z.

    Args:
        z: Logits, shape ``[P]``.
        pool: Embeddings of the candidates, shape ``[P, d]``.
        score: Scores ``[S]`` of embeddings ``[S, d]``.
        draws: How many draws ``S``.
        generator: Source of randomness.
    """
    z = z.clone().requires_grad_()
    log_p = z.log_softmax(0).expand(draws, -1)  # [S, P]
    noise = gumbel(log_p.shape, z.dtype, z.device, generator)  # [S, P]
    drawn = draw(log_p, torch.ones_like(log_p, dtype=torch.bool), 1, noise)
    embeddings = straight_through(log_p, pool, drawn)[:, 0]  # [S, d]
    return torch.autograd.grad(F.softplus(score(embeddings)).mean(), z)[0]


def cosine(a: Tensor, b: Tensor) -> float:
    """Cosine of two gradients ``[P]`` without their means."""
    return float(F.cosine_similarity(a - a.mean(), b - b.mean(), dim=0))


def cosines(model: Scorer, triples: Tensor, args: argparse.Namespace, seed: int) -> dict[str, list[float]]:
    """Cosines of both gradients for some questions about tails, by kind of logits."""
    generator = torch.Generator().manual_seed(stream(seed, "straight through"))
    found: dict[str, list[float]] = {kind: [] for kind in LOGITS}
    for row in torch.randperm(len(triples), generator=generator)[: args.questions]:
        head, relation, _ = triples[row].split(1)
        pool = model.entity(torch.randperm(model.num_nodes, generator=generator)[: args.pool])  # [P, d]

        def score(embeddings: Tensor, head=head, relation=relation) -> Tensor:
            count = len(embeddings)
            return model.score_tails(head.expand(count), relation.expand(count), embeddings[:, None])[:, 0]  # [S]

        scores = score(pool)  # [P]
        for kind in LOGITS:
            z = torch.zeros_like(scores) if kind == "uniform" else scores
            exact = exact_gradient(z, F.softplus(scores))
            found[kind].append(cosine(exact, straight_through_gradient(z, pool, score, args.draws, generator)))
    return found


def measured(name: str, seed: int, data, args: argparse.Namespace) -> dict:
    """One scorer of one seed, trained and asked."""
    config = replace(START, scorer=name, train=replace(START.train, steps=args.steps, validate_every=args.steps))
    config = replace(config, train=replace(config.train, seed=seed))
    model = build_scorer(config, int(data.num_nodes), int(data.num_relations))
    sampler = build_sampler(config, model, {}, data)
    result = Trainer(model, sampler, SelfAdversarial(0.0), data, config.train, progress=False).fit()
    model.eval().requires_grad_(False)
    triples = torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], dim=1)[data.train_mask]  # [E, 3]
    found = {kind: torch.tensor(values) for kind, values in cosines(model, triples, args, seed).items()}
    entry = {"scorer": name, "seed": seed, "valid_mrr": result.best["mrr"]}
    for kind, values in found.items():
        entry[kind] = {"mean_cosine": float(values.mean()), "opposed": float((values < 0).double().mean())}
    return entry


def main() -> None:
    args = arguments()
    data = open_dataset(replace(START, root=args.root), features=False).topology
    rows = [measured(name, seed, data, args) for name in args.scorers for seed in args.seeds]
    shown = [
        {"scorer": row["scorer"], "seed": row["seed"], "valid MRR": f"{row['valid_mrr']:.3f}"}
        | {f"cosine, {kind}": f"{row[kind]['mean_cosine']:+.2f}" for kind in LOGITS}
        | {f"opposed, {kind}": f"{row[kind]['opposed']:.0%}" for kind in LOGITS}
        for row in rows
    ]
    print_table(shown, "straight-through against exact gradient")
    if args.record:
        settings = {n: getattr(args, n) for n in ("questions", "pool", "draws", "steps", "seeds")} | {"dim": START.dim}
        told = {"device": device_name(torch.device("cpu")), "versions": versions(), "command": command_typed()}
        FILE.parent.mkdir(parents=True, exist_ok=True)
        write_json(FILE, {"settings": settings, "rows": rows, **told, "date": datetime.date.today().isoformat()})


if __name__ == "__main__":
    main_guard(main)
