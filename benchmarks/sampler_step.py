"""One step of MMRNS to be timed: ours and the straightforward form, with the same parameters and random numbers."""

from __future__ import annotations

import ctypes
import gc
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the scripts also run from a source tree without installation

from benchmarks import straightforward_kca  # noqa: E402
from mmkg.graph.facts import Facts  # noqa: E402
from mmkg.samplers import MMRNS  # noqa: E402
from mmkg.types import Batch, Features  # noqa: E402


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


@dataclass
class Sizes:
    """What a step's cost depends on; the defaults are the paper's and DB15K's."""

    batch: int = 128
    pool: int = 1500
    negatives: int = 20
    dim: int = 200
    relations: int = 279
    entities: int = 2000
    image_dim: int = 383
    text_dim: int = 384
    regions: int = 24
    sentences: int = 4
    gate_layers: int = 1
    distinct: int | None = None
    """Relations in the batch; as a real graph would have them if None."""

    def flops(self, relations: int) -> float:
        """Floating-point operations of the matrix products that a step needs, forward and backward.

        Those of the equations in factored form, nothing computed twice; each product needs two more backward.
        """
        width, rows, others, pool = 50, self.regions, self.sentences, self.pool
        encode = pool * (rows * self.image_dim + others * self.text_dim) * width
        affinity = pool * rows * others * width
        variance = pool * (rows**2 + others**2) * width + pool * relations * rows * others * (rows + others)
        guided = 2 * pool * rows * others * width * width + 2 * pool * relations * rows * others * width
        compare = pool * self.batch * (2 * width + self.dim)
        gate = pool * self.dim * self.dim
        draws = self.batch * pool * self.dim * self.negatives  # backward alone
        return 2.0 * (3 * (encode + affinity + variance + guided + compare + gate) + draws)


class Step:
    """A batch of a graph of random triples and features, and the forms of a step on it.

    Relations are as frequent as in real graphs, the n-th like 1 / (n + 3), unless ``distinct`` asks for a number.
    """

    def __init__(self, sizes: Sizes, device: str = "cpu", seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.sizes, self.device = sizes, torch.device(device)
        self.count = count = max(sizes.entities, sizes.pool)
        h, t = torch.randint(count, (2, 8 * count))
        r = (1.0 / (torch.arange(sizes.relations) + 3.0)).multinomial(8 * count, replacement=True)
        if sizes.distinct is not None:
            r[: sizes.batch] = torch.arange(sizes.batch) % sizes.distinct
        self.facts, self.batch = Facts(h, r, t, count, sizes.relations), Batch(*(x[: sizes.batch] for x in (h, r, t)))
        self.distinct = self.batch.relation.unique().numel()
        self.model = Embeddings(count, sizes.relations, sizes.dim).to(self.device)
        self.image = self._features(sizes.regions, sizes.image_dim)
        self.text = self._features(sizes.sentences, sizes.text_dim)
        self.there = self.facts.to(self.device), self.batch.to(self.device)

    def _features(self, rows: int, dim: int) -> Features:
        mask = torch.ones(self.count, rows, dtype=torch.bool)
        return Features(torch.randn(self.count, rows, dim), mask, torch.arange(self.count)).to(self.device)

    def sampler(self, **options) -> MMRNS:
        """A sampler; all of a step have the same parameters."""
        torch.manual_seed(1)
        own = {"num_negatives": self.sizes.negatives, "pool_size": self.sizes.pool}
        own |= {"gate_layers": self.sizes.gate_layers}
        widths = self.sizes.dim, self.sizes.dim
        return MMRNS(self.count, *widths, self.image, self.text, **own | options).to(self.device)

    def ours(self, sampler: MMRNS) -> Callable:
        """The step as mmkg does it: planned on the host, drawn, scored, and both losses."""

        def form():
            generator = torch.Generator().manual_seed(2)
            plan = sampler.plan(self.batch, "tail", self.facts, generator).to(self.device)
            generator = generator if self.device.type == "cpu" else torch.Generator(self.device).manual_seed(2)
            negatives = sampler.sample(None, "tail", self.model, None, generator, plan=plan)
            scores = straightforward_kca.transe(self.there[1], "tail", self.model, negatives.embeddings)
            total = straightforward_kca.objective(scores, negatives.valid)
            return total + sampler.loss(negatives, scores, scores[:, 0]), negatives.ids

        return form

    def theirs(self, sampler: MMRNS) -> Callable:
        """The step straight from the equations."""

        def form():
            generator = torch.Generator(self.device).manual_seed(2)
            facts, batch = self.there
            score = straightforward_kca.transe
            step = straightforward_kca.step(sampler, batch, "tail", self.model, facts, score, generator)
            return step[0], step[1]

        return form


@dataclass
class Result:
    """What a form of the step cost and gave."""

    forward: list[float] = field(default_factory=list)
    backward: list[float] = field(default_factory=list)
    saved: int = 0
    peak: int = 0
    ids: torch.Tensor | None = None
    gradients: list = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Fewest seconds of a step."""
        return min(self.forward) + min(self.backward)


class _SavedBytes:
    """Adds up the storages that autograd keeps for the backward pass, each once; parameters do not count."""

    def __init__(self, parameters) -> None:
        self.seen, self.total = {p.untyped_storage().data_ptr() for p in parameters}, 0

    def pack(self, tensor):
        pointer = tensor.untyped_storage().data_ptr()
        if pointer not in self.seen:
            self.seen.add(pointer)
            self.total += tensor.untyped_storage().nbytes()
        return tensor


def run(form: Callable, parameters: list, result: Result, *, clock: Callable = time.perf_counter, first: bool) -> None:
    """One step of a form; the first, which warms up, counts memory instead of time."""
    for parameter in parameters:
        parameter.grad = None
    device = parameters[0].device
    if first:
        saved, before = _SavedBytes(parameters), _reset_peak(device)
        with torch.autograd.graph.saved_tensors_hooks(saved.pack, lambda tensor: tensor):
            total, result.ids = form()
        total.backward()
        result.saved, result.peak = saved.total, max(0, _peak(device) - before)
        result.gradients = [None if p.grad is None else p.grad.cpu() for p in parameters]
        return
    start = _wait(device) or clock()
    total, _ = form()
    middle = _wait(device) or clock()
    total.backward()
    result.forward.append(middle - start)
    result.backward.append((_wait(device) or clock()) - middle)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _reset_peak(device: torch.device) -> int:
    """Bytes in use now, from which a peak counts."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)  # what is free but kept would hide what a step asks for
        Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _status("VmHWM")


def _status(name: str) -> int:
    """A line of Linux's account of this process, in bytes; 0 elsewhere."""
    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)


def agreement(result: Result, base: Result) -> str:
    """Whether the ids are those of another form, and by how much the gradients differ."""
    largest = max(float(g.abs().max()) for g in base.gradients if g is not None)
    both = zip(result.gradients, base.gradients, strict=True)
    gap = max(float((a - b).abs().max()) for a, b in both if a is not None)
    return f"ids {'yes' if torch.equal(result.ids, base.ids) else 'no'}, gradients to {gap / largest:.0e}"


def gemm_rate(device: str = "cpu", size: int = 2048) -> float:
    """Floating-point operations a second of one large product of square matrices, the best of eight."""
    a, times = torch.randn(size, size, device=device), []
    for _ in range(8):
        _wait(a.device)
        start = time.perf_counter()
        a @ a
        _wait(a.device)
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)


def hardware(device: str = "cpu") -> str:
    """The processor in words."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{model}, {torch.get_num_threads()} threads"
