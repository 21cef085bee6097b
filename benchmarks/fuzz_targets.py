"""What is fuzzed: sound files, and what reads them."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save as safetensors

from mmkg.datasets import DB15K, MultimodalFolder
from mmkg.datasets.archives import read_members
from mmkg.datasets.array_files import read_array
from mmkg.datasets.entity_keys import freebase_keys, linked_keys, table_keys
from mmkg.datasets.folder import read_entities
from mmkg.datasets.hdf5 import read_hdf5
from mmkg.datasets.processed import read_processed, write_processed
from mmkg.datasets.readers import read_entity_text, read_id_triples, read_names, read_triples, vocabulary
from mmkg.encoders.pictures import decode_picture, read_bytes
from mmkg.encoders.store import load_features, save_features
from mmkg.run.config import RunConfig
from mmkg.run.record import write_json
from mmkg.samplers.negative_files import STREAM, WORDS, NegativeFiles, read_negatives
from mmkg.training import Checkpoints, load_tree, save_tree
from mmkg.types import Features

NAMES = ["a", "/m/0b", "Zürich", "AC/DC", "<script>"]
KEYS = [[name] for name in NAMES]
TRIPLES = "a\tnext\t/m/0b\n/m/0b\tnext\tZürich\nZürich\tknows\tAC/DC\nAC/DC\tnext\ta\na\tknows\t<script>\n".encode()


@dataclass
class Target:
    """One kind of input.

    Args:
        name: What it is called.
        make: Writes sound files into a folder and gives their bytes by name.
        read: Reads them.
        share: How large a part of all inputs it gets.
        clean: Takes away what reading left behind.
    """

    name: str
    make: Callable[[Path], dict[str, bytes]]
    read: Callable[[Path], object]
    share: float = 1.0
    clean: Callable[[Path], None] = lambda folder: None


def plain(name: str, content: bytes) -> Callable[[Path], dict[str, bytes]]:
    """Makes one file."""

    def make(folder: Path) -> dict[str, bytes]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        return {name: content}

    return make


def several(files: dict[str, bytes]) -> Callable[[Path], dict[str, bytes]]:
    """Makes some files."""

    def make(folder: Path) -> dict[str, bytes]:
        for name, content in files.items():
            plain(name, content)(folder)
        return files

    return make


def written(write: Callable[[Path], object]) -> Callable[[Path], dict[str, bytes]]:
    """Makes what a writer of ours writes."""

    def make(folder: Path) -> dict[str, bytes]:
        write(folder)
        return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

    return make


def npy(array: np.ndarray) -> bytes:
    target = io.BytesIO()
    np.save(target, array)
    return target.getvalue()


def hdf5() -> bytes:
    target = io.BytesIO()
    with h5py.File(target, "w") as file:
        for name in ("a", "Zürich"):
            file[name] = np.ones((2, 3), np.float32)
    return target.getvalue()


def archive() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        for name in ("train.txt", "test.txt"):
            member = tarfile.TarInfo(name)
            member.size = len(TRIPLES)
            tar.addfile(member, io.BytesIO(TRIPLES))
    return target.getvalue()


def picture(kind: str) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (9, 7), (200, 30, 60)).save(target, kind)
    return target.getvalue()


def negatives(folder: Path) -> None:
    columns = {field.name: ["a", "b"] if field.type == WORDS else np.arange(2) for field in STREAM}
    NegativeFiles(folder, STREAM, {"format": 1}).write(columns, 1, 2)


def checkpoint(folder: Path) -> None:
    save_tree(folder / "step-00000001.safetensors", {"w": torch.ones(3, 2), "i": torch.arange(3)}, {"step": 1})


def graph(folder: Path) -> None:
    data = {"edge_index": torch.zeros(2, 3, dtype=torch.long), "entity_names": NAMES}
    write_processed(folder / "graph.pt", data, {"count": 1}, "made from")


def features(folder: Path) -> None:
    mask, row = torch.tensor([[True, False], [True, True]]), torch.tensor([0, -1, 1])
    save_features(folder / "image_x", Features(torch.ones(2, 2, 3), mask, row, provenance={"encoder": "x"}))


def config(folder: Path) -> None:
    write_json(folder / "config.json", asdict(RunConfig()))


FIRST = torch.arange(3)
DB15K_FILES = {
    "DB15K/raw/entity2id.txt": b"3\n<http://x/A> 0\n<http://x/B> 1\n<http://x/C> 2\n",
    "DB15K/raw/relation2id.txt": b"2\n<r> 0\n<q> 1\n",
    "DB15K/raw/train2id.txt": b"3\n0 1 0\n1 2 0\n2 0 1\n",
    "DB15K/raw/valid2id.txt": b"1\n0 2 0\n",
    "DB15K/raw/test2id.txt": b"1\n1 0 1\n",
    "DB15K/entity2text.tsv": b'<http://x/A>\tA\tAbout \\"A\\".\n<http://x/B>\tB\t\n',
}
OWN_FILES = {
    "own/train.tsv": TRIPLES,
    "own/valid.tsv": "a\tnext\tZürich\n".encode(),
    "own/test.tsv": b"a\tnext\tAC/DC\n",
    "own/entities.tsv": b"id\tname\tdescription\na\tThe A\tFirst.\n<script>\t\tLast.\n",
    "own/features/image_clip.npy": npy(np.ones((5, 4), np.float32)),
    "own/features/entities.txt": "\n".join(NAMES).encode(),
}


def without(*parts: str) -> Callable[[Path], None]:
    """Takes away folders that reading made."""

    def clean(folder: Path) -> None:
        for part in parts:
            shutil.rmtree(folder / part, ignore_errors=True)

    return clean


def own(folder: Path):
    """A whole dataset with features, as its user opens it."""
    return MultimodalFolder(folder / "own", log=False)[0]


def single(name: str, file: str, content: bytes, read: Callable[[Path], object], share: float = 1.0) -> Target:
    """A target of one file, whose path is what is read."""
    return Target(name, plain(file, content), lambda folder: read(folder / file), share)


def ids_of(path: Path) -> np.ndarray:
    """Triples of names as ids ``[E, 3]``."""
    triples = read_triples(path)
    return triples.to_ids(*vocabulary([triples]))


ROWS = "\n".join(NAMES).encode()
NPY = {"x.npy": npy(np.ones((5, 2, 3), np.float32)), "x.mask.npy": npy(np.ones((5, 2), bool)), "entities.txt": ROWS}
TENSORS = {"x.safetensors": safetensors({"f": np.ones((5, 2, 3), np.float32)}), "entities.txt": ROWS}
ID_NAMES, ID_TRIPLES = DB15K_FILES["DB15K/raw/entity2id.txt"], DB15K_FILES["DB15K/raw/train2id.txt"]
TEXT, ENTITIES = DB15K_FILES["DB15K/entity2text.tsv"], OWN_FILES["own/entities.tsv"]
FREEBASE, TABLE = b"/m/0a <SameAs> a .\n/m/0b <SameAs> b .\n", b"a\tDBIMG1\nb\tDBIMG2\n"
LINKS = b"http://dbpedia.org/resource/A\ta\nhttp://x.org/B\tb\n"

TARGETS = [
    single("id triples", "train2id.txt", ID_TRIPLES, lambda path: read_id_triples(path, 3, 2), 2),
    single("id names", "entity2id.txt", ID_NAMES, read_names, 2),
    single("named triples", "train.txt", TRIPLES, ids_of, 2),
    single("entity2text", "entity2text.tsv", TEXT, lambda path: read_entity_text(path).aligned(["<http://x/A>"]), 2),
    single("entities.tsv", "entities.tsv", ENTITIES, read_entities, 2),
    single("Freebase links", "links.txt", FREEBASE, lambda path: freebase_keys(path, ["a", "b"])),
    single("DBpedia links", "ent_links", LINKS, lambda path: linked_keys(path, ["a", "b"])),
    single("table of pictures", "index.txt", TABLE, lambda path: table_keys(path, ["a", "b"])),
    single("tar.gz", "x.tar.gz", archive(), lambda path: read_members(path, ["train.txt", "test.txt"])),
    single("hdf5", "x.h5", hdf5(), lambda path: read_hdf5(path, KEYS, rows=2, width=3, progress=False), 2),
    Target("npy", several(NPY), lambda folder: read_array(folder / "x.npy", KEYS, progress=False)),
    Target("safetensors", several(TENSORS), lambda folder: read_array(folder / "x.safetensors", KEYS, progress=False)),
    Target("stored features", written(features), lambda folder: load_features(folder / "image_x").gather(FIRST)),
    Target("processed graph", written(graph), lambda folder: read_processed(folder / "graph.pt")),
    Target("checkpoint", written(checkpoint), lambda folder: load_tree(folder / "step-00000001.safetensors")),
    Target("folder of checkpoints", written(checkpoint), lambda folder: Checkpoints(folder).latest()),
    Target("settings of a run", written(config), lambda folder: RunConfig.load(folder / "config.json")),
    Target("negatives", written(negatives), read_negatives, 0.5),
    single("PNG", "a.png", picture("PNG"), lambda path: decode_picture(read_bytes(path)), 0.5),
    single("JPEG", "a.jpg", picture("JPEG"), lambda path: decode_picture(read_bytes(path)), 0.5),
    Target("DB15K", several(DB15K_FILES), lambda f: DB15K(f, log=False)[0], 0.25, without("DB15K/processed")),
    Target("own folder", several(OWN_FILES), own, 0.25, without("own/processed")),
]
