"""Time one step of MMRNS, forward and backward, against the straightforward form in the same run.

    python -m benchmarks.sampler --batch 128 --pool 1500

Both forms get the same parameters, features and random numbers, so they draw the same ids and send the same gradient;
the table says so. "Saved" is what autograd keeps alive between forward and backward, measured with hooks, and so the
same on every machine; "peak" is by how much the process (or the GPU's allocator) grew in a step. Times are the fewest
of several turns. On a GPU (``--device cuda``) the two forms draw by other random numbers. ``benchmarks.sampler_sweep``
does this over many sizes and draws the cost.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import fields

import torch

from benchmarks.sampler_step import Result, Sizes, Step, agreement, gemm_rate, hardware, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    for f in fields(Sizes):
        parser.add_argument(f"--{f.name.replace('_', '-')}", type=int, default=f.default)
    parser.add_argument("--chunk", type=int, default=128, help="candidates at once in the chunked row")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cpu-time", action="store_true", help="seconds of this process alone, for a busy machine")
    parser.add_argument("--skip-straightforward", action="store_true", help="where it would not fit in memory")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    step = Step(Sizes(**{f.name: getattr(args, f.name) for f in fields(Sizes)}), args.device)
    plain, shared, chunked = step.sampler(), step.sampler(relaxation="shared"), step.sampler(chunk_size=args.chunk)
    rows = [("mmkg, fresh", plain, step.ours(plain)), ("mmkg, shared", shared, step.ours(shared))]
    rows.append((f"mmkg, fresh, chunks of {args.chunk}", chunked, step.ours(chunked)))
    if not args.skip_straightforward:
        rows.append(("straightforward, fresh", plain, step.theirs(plain)))
    s = step.sizes
    print(
        f"batch {s.batch} ({step.distinct} relations), pool {s.pool}, K {s.negatives}, dim {s.dim}, image "
        f"{s.regions}x{s.image_dim}, text {s.sentences}x{s.text_dim}, gate layers {s.gate_layers}, "
        f"{hardware(args.device)}, torch {torch.__version__}"
    )
    clock = time.process_time if args.cpu_time else time.perf_counter
    results = {name: Result() for name, _, _ in rows}
    for n in range(args.repeats + 1):  # in turns, so that a busy moment of the machine hits all forms alike
        for name, which, form in rows:
            run(form, [*step.model.parameters(), *which.parameters()], results[name], clock=clock, first=n == 0)
    base, rate = results[rows[-1][0]], gemm_rate(args.device)
    floor = s.flops(step.distinct) / rate
    head = f"{'':32}{'forward s':>11}{'backward s':>12}{'step s':>9}{'saved MB':>10}{'peak MB':>9}"
    print(f"{head}{'faster':>9}{'smaller':>9}{'of floor':>10}  same")
    for name, result in results.items():
        print(
            f"{name:32}{min(result.forward):11.3f}{min(result.backward):12.3f}{result.seconds:9.3f}"
            f"{result.saved / 1e6:10.1f}{result.peak / 1e6:9.0f}{base.seconds / result.seconds:8.1f}x"
            f"{base.saved / max(result.saved, 1):8.1f}x{floor / result.seconds:9.0%}  {agreement(result, base)}"
        )
    print(f"floor: {s.flops(step.distinct) / 1e9:.1f} GFLOP of products at {rate / 1e9:.0f} GFLOP/s, {floor:.3f} s")


if __name__ == "__main__":
    main()
