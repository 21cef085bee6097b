"""Time how long it takes until FB15K can be used: from raw text, and from the processed graph with picture features.

    MMKG_RAW=... python -m benchmarks.loading

``MMKG_RAW`` names a folder that holds ``FB15K/raw/{train,valid,test}.txt``. The straightforward form is a Python loop
over lines with a dict of names, as one would write it; both give the same graph, and the last lines say so. Features
are random numbers of the size that FB15K's would have (float16, 24 regions of 768 for every entity: 0.55 GB), brought
along as a user's own ``.npy`` file in a temporary folder. Times are the fewest of several turns, files being in the
system's cache.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the script also runs from a source tree without installation

from mmkg.datasets import FB15K  # noqa: E402
from mmkg.datasets.layout import raw_root  # noqa: E402
from mmkg.errors import DataError  # noqa: E402

FROM_TEXT, FROM_PROCESSED = 5.0, 1.0  # seconds aimed at, on two cores


def straightforward(folder: Path) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, list[str], list[str]]:
    """Edges ``[2, E]``, their relations and splits ``[E]``, and names, by a loop over lines."""
    triples, part, entities, relations = [], [], set(), set()
    for number, name in enumerate(("train", "valid", "test")):
        with open(folder / f"{name}.txt", encoding="utf-8") as file:
            for line in file:
                h, r, t = line.rstrip("\r\n").split("\t")
                entities.update((h, t))
                relations.add(r)
                triples.append((h, r, t))
                part.append(number)
    entity_names, relation_names = sorted(entities), sorted(relations)
    entity = {name: number for number, name in enumerate(entity_names)}
    relation = {name: number for number, name in enumerate(relation_names)}
    ids = torch.tensor([(entity[h], relation[r], entity[t]) for h, r, t in triples])  # [E, 3]
    return ids[:, [0, 2]].t().contiguous(), ids[:, 1].contiguous(), torch.tensor(part), entity_names, relation_names


def fewest(form: Callable[[], object], repeats: int) -> tuple[float, object]:
    """Seconds of the fastest turn, and what the last one gave."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = form()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def stand_in(folder: Path, names: list[str], regions: int, width: int) -> float:
    """Write random features of every entity, a few at a time; gives their size in GB."""
    folder.mkdir(parents=True)
    (folder / "entities.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    shape = (len(names), regions, width)
    values = np.lib.format.open_memmap(folder / "image_standin.npy", "w+", np.float16, shape)
    random = np.random.default_rng(0)
    for start in range(0, len(names), 512):
        values[start : start + 512] = random.standard_normal(values[start : start + 512].shape, dtype=np.float32)
    values.flush()
    return values.nbytes / 1e9


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--regions", type=int, default=24)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--place", type=Path, help="folder for temporary files, 1.2 GB; the system's if not given")
    args = parser.parse_args()
    try:
        raw = raw_root()
    except DataError as error:
        sys.exit(str(error))
    missing = [name for name in FB15K.required if raw is None or not (raw / "FB15K/raw" / name).is_file()]
    if missing:
        shown = "MMKG_RAW is not set" if raw is None else f"{raw}/FB15K/raw holds no {missing[0]}"
        sys.exit(f"{shown}. Cure: set MMKG_RAW to a folder that holds FB15K/raw with {', '.join(FB15K.required)}")
    print(f"FB15K, {torch.get_num_threads()} threads, Python {platform.python_version()}, torch {torch.__version__}")
    rows: list[tuple[str, float]] = []
    with tempfile.TemporaryDirectory(dir=args.place) as place:
        root = Path(place)

        def first_time() -> FB15K:
            shutil.rmtree(root / "FB15K/processed", ignore_errors=True)
            return FB15K(root, log=False)

        loop, (edges, types, part, *names) = fewest(lambda: straightforward(raw / "FB15K/raw"), args.repeats)
        whole, dataset = fewest(first_time, args.repeats)
        read, _ = fewest(lambda: dataset.read().to_data(), args.repeats)
        data = dataset.topology
        same = (
            torch.equal(edges, data.edge_index)
            and torch.equal(types, data.edge_type)
            and torch.equal(part, (data.val_mask.long() + 2 * data.test_mask.long()))
            and names == [data.entity_names, data.relation_names]
        )
        rows += [("a Python loop over lines: text to tensors", loop), ("mmkg: text to tensors", read)]
        rows += [("mmkg: first time, with texts, counts, checks, and written to disk", whole)]
        rows += [("mmkg: processed graph again", fewest(lambda: FB15K(root, log=False), args.repeats)[0])]

        size = stand_in(root / "FB15K/features", data.entity_names, args.regions, args.width)
        encoded, _ = fewest(lambda: FB15K(root, log=False).features("image"), 1)
        batch = torch.randint(data.num_nodes, (256,), generator=torch.Generator().manual_seed(0))

        def ready() -> FB15K:
            opened = FB15K(root, log=False)
            opened.features("image").gather(batch)
            return opened

        rows += [(f"mmkg: own features, {size:.2f} GB, taken over for the first time", encoded)]
        mapped, opened = fewest(ready, args.repeats)
        rows += [("mmkg: processed graph, features memory-mapped, first batch gathered", mapped)]
        rows += [("mmkg: the same as one PyG Data, features in memory", fewest(lambda: opened.get(0), 1)[0])]
    print(f"{'':72}{'seconds':>9}{'of the loop':>13}")
    for name, seconds in rows:
        print(f"{name:72}{seconds:9.3f}{seconds / loop:12.2f}x")
    print(f"the loop's graph is the same: {'yes' if same else 'NO'}")
    for name, seconds, aim in (("text to graph", whole, FROM_TEXT), ("processed to ready", mapped, FROM_PROCESSED)):
        print(f"{name}: {seconds:.2f} s, aim {aim:.0f} s: {'met' if seconds < aim else 'MISSED'}")


if __name__ == "__main__":
    main()
