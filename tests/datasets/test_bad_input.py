"""Bad input of every kind, in one table: refused in one line that names file, problem and cure, and never executed.

Each case spoils one file of a sound dataset, once before it was ever opened and once after. What was there must stay
as it was, byte by byte, with nothing half-made beside it.
"""

import gzip
import io
import os
import pickle
import re
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save as safetensors
from small_db15k import write_db15k
from test_benchmarks import member, rendered, tar_gz, write_small

from mmkg.datasets import DB15K, WN18, WN18RR, MultimodalFolder
from mmkg.errors import DataError

h5py = pytest.importorskip("h5py")

BEIT, NPY, TENSORS = "MMKB_img_BEIT_16-224.h5", "image_clip.npy", "image_clip.safetensors"


class Bomb:
    """Unpickling it makes a file called ``executed`` in the current folder."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


BOMB = pickle.dumps(Bomb())


def npy(array, **options) -> bytes:
    target = io.BytesIO()
    np.save(target, array, **options)
    return target.getvalue()


def hdf5(**arrays) -> bytes:
    target = io.BytesIO()
    with h5py.File(target, "w") as file:
        for key, array in arrays.items():
            file[key.replace("_", ".")] = array
    return target.getvalue()


def torch_file(content, **options) -> bytes:
    target = io.BytesIO()
    torch.save(content, target, **options)
    return target.getvalue()


def npz(**arrays) -> bytes:
    target = io.BytesIO()
    np.savez(target, **arrays)
    return target.getvalue()


def put(array, value):
    array = np.array(array)
    array[1, ..., 2] = value
    return array


ONES, ROWS = np.ones((3, 4), np.float32), np.ones((2, 24, 383), np.float32)
MASK = np.ones((3, 2), dtype=bool)


def sound(root: Path) -> Path:
    """Four datasets, all in order: id files and HDF5, name files and arrays, an archive, a folder of one's own."""
    write_db15k(root)
    write_small(root, WN18)
    write_small(root, WN18RR)
    files = {
        f"DB15K/features/{BEIT}": hdf5(m_00=ROWS[0], m_01=ROWS[1]),
        f"WN18/features/{NPY}": npy(np.ones((3, 2, 4), np.float32)),
        "WN18/features/image_clip.mask.npy": npy(MASK),
        "WN18/features/entities.txt": b"/m/0a\n/m/0c\n/m/elsewhere\n",
        "own/train.tsv": b"a\tr\tb\nb\tr\tc\n",
        "own/test.tsv": b"a\tr\tc\n",
        "own/entities.tsv": b"a\tThe A\tFirst.\n",
        f"own/features/{TENSORS}": safetensors({"features": ONES}),
        "own/features/image_clip.entities.txt": b"a\nb\nc\n",
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


OPEN = {
    "DB15K": lambda root: DB15K(root, log=False)[0],
    "WN18": lambda root: WN18(root, log=False)[0],
    "WN18RR": lambda root: WN18RR(root, log=False)[0],
    "own": lambda root: MultimodalFolder(root / "own", log=False)[0],
}


@dataclass
class Case:
    """One spoiled file.

    Args:
        file: Which, below the root; the first part says which dataset is opened.
        content: What it holds now, given what it held before; None where it is gone.
        problem: Expression that the error must match, after the file's name.
        named: The file that the error names, if it is another one.
        when: "after" the dataset was opened, "before" it ever was, or "both".
    """

    file: str
    content: Callable[[bytes], bytes | None]
    problem: str
    named: str = ""
    when: str = "both"


def holds(content: bytes | None) -> Callable[[bytes], bytes | None]:
    return lambda _: content


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda content: content[: int(len(content) * share)]


def flipped(place: int) -> Callable[[bytes], bytes]:
    def flip(content: bytes) -> bytes:
        changed = bytearray(content)
        changed[place] ^= 0x55
        return bytes(changed)

    return flip


def archive(**changes) -> Callable[[bytes], bytes]:
    return holds(tar_gz({**rendered(), **changes}))


GRAPH = "DB15K/processed/graph_clean.pt"
STORED = "own/processed/features/image_clip_1x4_fp16"
ARCHIVE = "WN18RR/raw/WN18RR.tar.gz"

CASES = {
    # files of ids: columns, ids, counts
    "id triples of two columns": Case(
        "DB15K/raw/train2id.txt", holds(b"2\n0 1 0\n1 0\n"), ", line 3: 2 fields, expected 3"
    ),
    "id triples of four columns": Case(
        "DB15K/raw/test2id.txt", holds(b"1\n0 1 0 5\n"), ", line 2: 4 fields, expected 3"
    ),
    "unknown entity id": Case(
        "DB15K/raw/train2id.txt", holds(b"1\n0 7 0\n"), ", line 2: entity id 7 out of range 0 to 6"
    ),
    "unknown relation id": Case(
        "DB15K/raw/valid2id.txt", holds(b"1\n0 1 2\n"), ", line 2: relation id 2 out of range 0 to 1"
    ),
    "negative id": Case("DB15K/raw/train2id.txt", holds(b"1\n-1 1 0\n"), ", line 2: entity id -1 out of range"),
    "id that is no number": Case("DB15K/raw/train2id.txt", holds(b"1\n0 1 x\n"), ", line 2: not an integer: '0 1 x'"),
    "fewer lines than announced": Case("DB15K/raw/train2id.txt", cut(0.7), ", line 1: count says 10, . lines follow"),
    "no count": Case("DB15K/raw/train2id.txt", holds(b"0 1 0\n"), ", line 1: not a count: '0 1 0'"),
    "empty id file": Case("DB15K/raw/entity2id.txt", holds(b""), ", line 1: file is empty"),
    "one name with two ids": Case(
        "DB15K/raw/relation2id.txt", holds(b"2\na 0\na 1\n"), ", line 3: name given twice: 'a 1'"
    ),
    "one id with two names": Case(
        "DB15K/raw/relation2id.txt", holds(b"2\na 0\nb 0\n"), ", line 3: id given twice: 'b 0'"
    ),
    "name without id": Case("DB15K/raw/relation2id.txt", holds(b"2\na 0\nb\n"), ", line 3: 1 field, expected 2: 'b'"),
    "not UTF-8": Case(
        "DB15K/raw/entity2id.txt", lambda text: text.decode().encode("latin-1", "replace"), ", line 8: not UTF-8"
    ),
    # files of names
    "name triples of two columns": Case(
        "WN18/raw/train.txt", holds(b"a\tr\tb\n\na\tb\n"), ", line 3: 2 fields, expected 3"
    ),
    "name triples of four columns": Case("WN18/raw/test.txt", holds(b"a\tr\tb\tc\n"), ", line 1: 4 fields, expected 3"),
    "spaces for tabs": Case("WN18/raw/valid.txt", holds(b"a r b\n"), ", line 1: 1 field, expected 3: 'a r b'"),
    "empty name": Case("WN18/raw/train.txt", holds(b"a\tr\t\n"), ", line 1: empty name"),
    "compressed and not unpacked": Case("WN18/raw/train.txt", gzip.compress, ", line 1: not UTF-8"),
    "texts of two columns": Case("DB15K/entity2text.tsv", holds(b"a\tb\n"), ", line 1: 2 fields, expected 3"),
    "texts of one entity twice": Case("DB15K/entity2text.tsv", lambda text: text + text, ", line 7: id given twice"),
    "a missing file": Case(
        "WN18/raw/test.txt", holds(None), ": missing, and https://.* cannot be fetched", when="before"
    ),
    # a folder of one's own
    "folder: two columns": Case("own/train.tsv", holds(b"a\tr\n"), ", line 1: 2 fields, expected 3"),
    "folder: header": Case("own/train.tsv", holds(b"head\trelation\ttail\na\tr\tb\n"), ", line 1: header 'head"),
    "folder: no triples": Case("own/train.tsv", holds(b"\n"), ": no triples"),
    "folder: no train": Case("own/train.tsv", holds(None), r": test\.tsv without train\.tsv", "own"),
    "folder: texts of four columns": Case("own/entities.tsv", holds(b"a\tA\t\t\n"), ", line 1: 4 fields, expected 3"),
    "folder: text without id": Case("own/entities.tsv", holds(b"\tA\tB\n"), ", line 1: empty id"),
    # archives
    "truncated gz": Case(ARCHIVE, cut(0.6), r": not a whole tar\.gz \("),
    "gz with a wrong checksum": Case(ARCHIVE, flipped(-6), r": not a whole tar\.gz \("),
    "truncated tar in a whole gz": Case(
        ARCHIVE, lambda b: gzip.compress(gzip.decompress(b)[:600]), ": (not a whole|lacks)"
    ),
    "no archive": Case(ARCHIVE, holds(b"nothing of the kind"), r": not a whole tar\.gz \("),
    "pickle for an archive": Case(ARCHIVE, holds(BOMB), r": not a whole tar\.gz \("),
    "path that escapes": Case(
        ARCHIVE, archive(**{"../../escaped": b"x"}), r": member '\.\./\.\./escaped' points outside"
    ),
    "absolute path": Case(
        ARCHIVE, archive(**{"/tmp/mmkg_escaped": b"x"}), ": member '/tmp/mmkg_escaped' points outside"
    ),
    "link in an archive": Case(
        ARCHIVE,
        archive(**{"train.txt": member("train.txt", tarfile.SYMTYPE, "/etc/passwd")}),
        r": member 'train\.txt' is a link",
    ),
    "member that is not there": Case(
        ARCHIVE, holds(tar_gz({"train.txt": b""})), r": lacks 'valid\.txt'; holds 'train\.txt'"
    ),
    "member twice": Case(ARCHIVE, archive(x=member("train.txt", tarfile.REGTYPE)), r": holds 'train\.txt' twice"),
    # features in HDF5
    "truncated HDF5": Case(f"DB15K/features/{BEIT}", cut(0.8), r": not a whole HDF5 file \("),
    "damaged HDF5": Case(f"DB15K/features/{BEIT}", flipped(9), r": not a whole HDF5 file \("),
    "pickle for HDF5": Case(f"DB15K/features/{BEIT}", holds(BOMB), r": not a whole HDF5 file \("),
    "HDF5: another length": Case(
        f"DB15K/features/{BEIT}", holds(hdf5(m_00=ROWS[0][:23])), r": key 'm\.00' holds .*\[23, 383\]"
    ),
    "HDF5: another width": Case(
        f"DB15K/features/{BEIT}", holds(hdf5(m_00=ROWS[0][:, 1:])), r": key 'm\.00' holds .*\[24, 382\]"
    ),
    "HDF5: NaN": Case(f"DB15K/features/{BEIT}", holds(hdf5(m_00=put(ROWS[0], np.nan))), r": key 'm\.00' holds nan"),
    "HDF5: infinity": Case(
        f"DB15K/features/{BEIT}", holds(hdf5(m_00=put(ROWS[0], -np.inf))), r": key 'm\.00' holds -inf"
    ),
    "HDF5: text": Case(f"DB15K/features/{BEIT}", holds(hdf5(m_00="picture")), r": key 'm\.00' holds object"),
    "HDF5: nobody": Case(
        f"DB15K/features/{BEIT}", holds(hdf5(m_zz=ROWS[0])), ": not one of 7 entities has an array in it"
    ),
    # features in .npy, with names and mask beside them
    "truncated npy": Case(f"WN18/features/{NPY}", cut(0.9), r": not a whole \.npy file \("),
    "npy without its header's end": Case(f"WN18/features/{NPY}", cut(0.2), r": not a whole \.npy file \("),
    "pickle for npy": Case(f"WN18/features/{NPY}", holds(BOMB), r": not a whole \.npy file \(.*pickle"),
    "objects in npy": Case(
        f"WN18/features/{NPY}", holds(npy(np.array([Bomb()] * 3), allow_pickle=True)), ": not a whole .npy file"
    ),
    "npz under another name": Case(f"WN18/features/{NPY}", holds(npz(a=ONES)), r": an \.npz file under another name"),
    "objects in npz": Case(
        f"WN18/features/{NPY}", holds(npz(a=np.array([Bomb()]))), r": an \.npz file under another name"
    ),
    "npy: another length": Case(
        f"WN18/features/{NPY}", holds(npy(np.ones((4, 2, 4)))), r": has 4 rows, entities\.txt beside it has 3"
    ),
    "npy: four axes": Case(
        f"WN18/features/{NPY}", holds(npy(np.ones((3, 2, 2, 4)))), r": holds float64 \[3, 2, 2, 4\], expected \[L, D\]"
    ),
    "npy: no columns": Case(f"WN18/features/{NPY}", holds(npy(np.ones((3, 2, 0)))), ": (holds float64|not a whole)"),
    "npy: whole numbers": Case(
        f"WN18/features/{NPY}", holds(npy(np.ones((3, 2, 4), int))), r": holds int64 \[3, 2, 4\]"
    ),
    "npy: NaN": Case(
        f"WN18/features/{NPY}", holds(npy(put(np.ones((3, 2, 4)), np.nan))), r": row 1 \('/m/0c'\) holds nan"
    ),
    "npy: infinity": Case(
        f"WN18/features/{NPY}", holds(npy(put(np.ones((3, 2, 4)), np.inf))), r": row 1 \('/m/0c'\) holds inf"
    ),
    "npy: too large": Case(
        f"WN18/features/{NPY}", holds(npy(put(np.ones((3, 2, 4)), 7e4))), r": row 1 \('/m/0c'\) holds 70000"
    ),
    "no names": Case(
        "WN18/features/entities.txt", holds(None), ": nothing says whose its rows are", f"WN18/features/{NPY}"
    ),
    "one name twice": Case("WN18/features/entities.txt", holds(b"/m/0a\n/m/0c\n/m/0a\n"), ", line 3: name given twice"),
    "names of others": Case(
        "WN18/features/entities.txt", holds(b"a\nb\nc\n"), r": not one of 4 entities stands", f"WN18/features/{NPY}"
    ),
    "mask of another shape": Case(
        "WN18/features/image_clip.mask.npy", holds(npy(MASK[:, :1])), r": mask holds bool \[3, 1\]"
    ),
    "mask of numbers": Case(
        "WN18/features/image_clip.mask.npy", holds(npy(MASK.astype(int))), r": mask holds int64 \[3, 2\], expected bool"
    ),
    "objects in a mask": Case(
        "WN18/features/image_clip.mask.npy", holds(npy(np.array([Bomb()] * 3), allow_pickle=True)), ": not a whole"
    ),
    # features in .safetensors
    "truncated safetensors": Case(f"own/features/{TENSORS}", cut(0.9), r": not a whole \.safetensors file \("),
    "safetensors with a header that lies": Case(
        f"own/features/{TENSORS}", flipped(0), r": not a whole \.safetensors file \("
    ),
    "pickle for safetensors": Case(f"own/features/{TENSORS}", holds(BOMB), r": not a whole \.safetensors file \("),
    "torch file for safetensors": Case(
        f"own/features/{TENSORS}", holds(torch_file(Bomb())), r": not a whole \.safetensors file \("
    ),
    "two tensors": Case(
        f"own/features/{TENSORS}", holds(safetensors({"a": ONES, "b": ONES})), ": holds 'a', 'b', expected one tensor"
    ),
    "no tensor": Case(
        f"own/features/{TENSORS}", holds(safetensors({"mask": MASK[:, 0]})), ": holds no tensor, expected one"
    ),
    "safetensors: another length": Case(
        f"own/features/{TENSORS}", holds(safetensors({"a": ONES[:2]})), r": has 2 rows, image_clip\.entities"
    ),
    "safetensors: whole numbers": Case(
        f"own/features/{TENSORS}", holds(safetensors({"a": ONES.astype(int)})), r": holds I64 \[3, 4\]"
    ),
    "safetensors: NaN": Case(
        f"own/features/{TENSORS}", holds(safetensors({"a": put(ONES, np.nan)})), r": row 1 \('b'\) holds nan"
    ),
    "safetensors: mask of another shape": Case(
        f"own/features/{TENSORS}",
        holds(safetensors({"a": ONES, "mask": MASK})),
        r": mask holds bool \[3, 2\], expected bool \[3\]",
    ),
    # what opening a dataset has made
    "pickle in a processed graph": Case(
        GRAPH, holds(torch_file({"data": Bomb()})), ": refused: .*plain tensors", when="after"
    ),
    "pickle of old in a processed graph": Case(
        GRAPH, holds(torch_file(Bomb(), _use_new_zipfile_serialization=False)), ": refused: ", when="after"
    ),
    "pickle for a processed graph": Case(GRAPH, holds(BOMB), ": refused: ", when="after"),
    "truncated processed graph": Case(GRAPH, cut(0.7), ": refused: ", when="after"),
    "damaged processed graph": Case(GRAPH, flipped(200), ": refused: ", when="after"),
    "another thing for a processed graph": Case(
        GRAPH, holds(torch_file([1])), ": not a processed graph of mmkg", when="after"
    ),
    "objects among stored features": Case(
        f"{STORED}.npy", holds(npy(np.array([[[Bomb()]]]), allow_pickle=True)), ": values cannot be read", when="after"
    ),
    "truncated stored features": Case(f"{STORED}.npy", cut(0.9), ": values cannot be read", when="after"),
    "NaN among stored features": Case(
        f"{STORED}.npy", holds(npy(put(ONES[:, None], np.nan).astype("f2"))), ": NaN", when="after"
    ),
    "stored mask of others": Case(
        f"{STORED}.safetensors", flipped(-1), ": mask, rows and boxes cannot be read", when="after"
    ),
    "stored description cut short": Case(f"{STORED}.json", cut(0.5), ": not a description of features", when="after"),
}


def content(root: Path) -> dict[Path, bytes]:
    """Every file below a folder, by name; locks hold nothing."""
    files = (p for p in root.rglob("*") if p.is_file() and p.name != ".lock")
    return {path.relative_to(root): path.read_bytes() for path in files}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, where bombs go off; no network, and no other place to look for files."""

    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    monkeypatch.delenv("MMKG_RAW", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_bad_input_is_refused_and_nothing_of_it_stays(here, case):
    opener = OPEN[case.file.split("/")[0]]
    for when in ("before", "after") if case.when == "both" else (case.when,):
        root = sound(here / when)
        if when == "after":
            assert opener(root).num_edges > 0  # it is the spoiling that is refused below
            assert "image" in opener(root) or case.file.startswith("WN18RR")
        file = root / case.file
        spoiled = case.content(file.read_bytes())
        file.unlink() if spoiled is None else file.write_bytes(spoiled)
        before = content(root)
        with pytest.raises(DataError) as caught:
            opener(root)
        told = str(caught.value)
        named = str(root / (case.named or case.file))
        assert told.startswith(named), told
        problem = told.removeprefix(named)
        assert re.match(case.problem, problem), f"{case.problem} does not match {problem}"
        assert "Cure: " in told
        assert "\n" not in told
        after = content(root)
        new = set(after) - set(before)
        # the graph may be made before its features are refused, and then it is whole
        assert all(path.suffix == ".pt" and path.name.startswith("graph") for path in new), new
        assert {path: after[path] for path in before} == before
        assert not (here / "executed").exists()
        assert not os.path.lexists("/tmp/mmkg_escaped")
        assert not list(here.rglob("escaped"))


def test_the_bombs_would_go_off(here):
    for load in (
        lambda: pickle.loads(BOMB),
        lambda: torch.load(io.BytesIO(torch_file({"data": Bomb()})), weights_only=False),
        lambda: np.load(io.BytesIO(npy(np.array([Bomb()] * 3), allow_pickle=True)), allow_pickle=True),
        lambda: np.load(io.BytesIO(npz(a=np.array([Bomb()]))), allow_pickle=True)["a"],
    ):
        load()
        (here / "executed").rmdir()


def test_the_table_is_as_long_as_it_should_be():
    assert len(CASES) >= 40
    assert {case.file.split("/")[0] for case in CASES.values()} == set(OPEN)
