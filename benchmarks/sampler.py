"""Time one step of MMRNS, forward and backward, against the straightforward form in the same run.

    python -m benchmarks.sampler --batch 64 --pool 500

Both forms get the same parameters, features and random numbers, so they draw the same ids and send the same gradient;
the table says so. Peak memory is that of tensors kept alive between forward and backward (saved for autograd), measured
with hooks, and so the same on every machine. Times are the fewest of several turns.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the script also runs from a source tree without installation

from mmkg.graph.facts import Facts  # noqa: E402
from mmkg.samplers import MMRNS  # noqa: E402
from mmkg.types import Batch, Features  # noqa: E402


def load_straightforward():
    """The module beside this one."""
    spec = importlib.util.spec_from_file_location(
        "straightforward_kca", Path(__file__).with_name("straightforward_kca.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Embeddings(torch.nn.Module):
    """Entities and relations of one width, as TransE has them."""

    def __init__(self, entities: int, relations: int, dim: int) -> None:
        super().__init__()
        self.e, self.r = torch.nn.Embedding(entities, dim), torch.nn.Embedding(relations, dim)

    def entity(self, ids):
        """Embeddings ``[..., d]``."""
        return self.e(ids)

    def relation(self, ids, side):
        """Embeddings ``[..., d]``, the same on both sides."""
        return self.r(ids)


def skewed(count: int, size: int) -> torch.Tensor:
    """Relations as real graphs use them: the n-th with a frequency like 1 / (n + 3)."""
    return (1.0 / (torch.arange(count) + 3.0)).multinomial(size, replacement=True)


def features(entities: int, rows: int, dim: int) -> Features:
    mask = torch.ones(entities, rows, dtype=torch.bool)
    return Features(torch.randn(entities, rows, dim), mask, torch.arange(entities))


class SavedBytes:
    """Adds up the storages that autograd keeps for the backward pass, each once; parameters do not count."""

    def __init__(self, parameters) -> None:
        self.seen, self.total = {p.untyped_storage().data_ptr() for p in parameters}, 0

    def pack(self, tensor):
        """Hook for what autograd saves."""
        pointer = tensor.untyped_storage().data_ptr()
        if pointer not in self.seen:
            self.seen.add(pointer)
            self.total += tensor.untyped_storage().nbytes()
        return tensor


@dataclass
class Result:
    """What a form of the step cost and gave."""

    forward: list[float] = field(default_factory=list)
    backward: list[float] = field(default_factory=list)
    saved: int = 0
    ids: torch.Tensor | None = None
    gradients: list = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Fewest seconds of a step."""
        return min(self.forward) + min(self.backward)


def run(form, parameters, result: Result, clock, count_memory: bool) -> None:
    """One step of a form; the first, which warms up, counts memory instead of time."""
    for parameter in parameters:
        parameter.grad = None
    saved = SavedBytes(parameters)
    start = clock()
    if count_memory:
        with torch.autograd.graph.saved_tensors_hooks(saved.pack, lambda tensor: tensor):
            total, result.ids = form()
        result.saved = saved.total
    else:
        total, result.ids = form()
    middle = clock()
    total.backward()
    if count_memory:
        result.gradients = [None if p.grad is None else p.grad.clone() for p in parameters]
    else:
        result.forward.append(middle - start)
        result.backward.append(clock() - middle)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--pool", type=int, default=500)
    parser.add_argument("--negatives", type=int, default=20)
    parser.add_argument("--dim", type=int, default=200)
    parser.add_argument("--relations", type=int, default=279)
    parser.add_argument("--entities", type=int, default=2000)
    parser.add_argument("--image-dim", type=int, default=383)
    parser.add_argument("--text-dim", type=int, default=384)
    parser.add_argument("--regions", type=int, default=24)
    parser.add_argument("--sentences", type=int, default=4)
    parser.add_argument("--gate-layers", type=int, default=1, choices=(1, 2))
    parser.add_argument("--chunk", type=int, default=128, help="candidates at once in the chunked row")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu-time", action="store_true", help="seconds of this process alone, for a busy machine")
    parser.add_argument("--skip-straightforward", action="store_true", help="where it would not fit in memory")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    straightforward = load_straightforward()
    count = max(args.entities, args.pool)
    h, t = torch.randint(count, (2, 8 * count))
    r = skewed(args.relations, 8 * count)
    facts, batch = Facts(h, r, t, count, args.relations), Batch(h[: args.batch], r[: args.batch], t[: args.batch])
    model = Embeddings(count, args.relations, args.dim)
    image = features(count, args.regions, args.image_dim)
    text = features(count, args.sentences, args.text_dim)

    def sampler(**options):
        torch.manual_seed(1)
        options = {"num_negatives": args.negatives, "pool_size": args.pool, "gate_layers": args.gate_layers, **options}
        return MMRNS(count, args.dim, args.dim, image, text, **options)

    def ours(which):
        def form():
            negatives = which.sample(batch, "tail", model, facts, torch.Generator().manual_seed(2))
            scores = straightforward.transe(batch, "tail", model, negatives.embeddings)
            total = straightforward.objective(scores, negatives.valid)
            return total + which.loss(negatives, scores, scores[:, 0]), negatives.ids

        return form

    def theirs(which):
        def form():
            generator = torch.Generator().manual_seed(2)
            step = straightforward.step(which, batch, "tail", model, facts, straightforward.transe, generator)
            return step[0], step[1]

        return form

    plain, shared, chunked = sampler(), sampler(relaxation="shared"), sampler(chunk_size=args.chunk)
    rows = [("mmkg, fresh", plain, ours(plain)), ("mmkg, shared", shared, ours(shared))]
    rows.append((f"mmkg, fresh, chunks of {args.chunk}", chunked, ours(chunked)))
    if not args.skip_straightforward:
        rows.append(("straightforward, fresh", plain, theirs(plain)))
    print(
        f"batch {args.batch} ({batch.relation.unique().numel()} relations), pool {args.pool}, K {args.negatives},"
        f" dim {args.dim}, image {args.regions}x{args.image_dim}, text {args.sentences}x{args.text_dim},"
        f" gate layers {args.gate_layers}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    clock = time.process_time if args.cpu_time else time.perf_counter
    results = {name: Result() for name, _, _ in rows}
    for n in range(args.repeats + 1):  # in turns, so that a busy moment of the machine hits all forms alike
        for name, which, form in rows:
            run(form, [*model.parameters(), *which.parameters()], results[name], clock, count_memory=n == 0)
    base = results[rows[-1][0]]
    print(f"{'':32}{'forward s':>11}{'backward s':>12}{'step s':>9}{'saved MB':>10}{'faster':>9}{'smaller':>9}  same")
    for name, result in results.items():
        print(
            f"{name:32}{min(result.forward):11.3f}{min(result.backward):12.3f}{result.seconds:9.3f}"
            f"{result.saved / 1e6:10.1f}{base.seconds / result.seconds:8.1f}x{base.saved / max(result.saved, 1):8.1f}x"
            f"  {agreement(result, base)}"
        )


def agreement(result: Result, base: Result) -> str:
    """Whether the ids are those of the last row, and by how much the gradients differ."""
    largest = max(float(g.abs().max()) for g in base.gradients if g is not None)
    both = zip(result.gradients, base.gradients, strict=True)
    gap = max(float((a - b).abs().max()) for a, b in both if a is not None)
    return f"ids {'yes' if torch.equal(result.ids, base.ids) else 'no'}, gradients to {gap / largest:.0e}"


if __name__ == "__main__":
    main()
