"""Features that users bring along: what is in their arrays comes out at the right entities, in every dataset."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from small_db15k import ENTITIES, PAGE

from mmkg.datasets import DB15K, FB15k_237, MultimodalFolder
from mmkg.datasets.array_files import read_array
from mmkg.errors import DataError

NAMES = [PAGE.format(name) for name in ENTITIES]


def save(path: Path, values: torch.Tensor, names, mask=None, own_names=False) -> Path:
    """An array with its names, and its mask if there is one, in the format that the path's ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = f"{path.stem}.entities.txt" if own_names else "entities.txt"
    path.with_name(beside).write_bytes("".join(f"{name}\n" for name in names).encode())
    if path.suffix == ".safetensors":
        save_file({"features": values} | ({} if mask is None else {"mask": mask}), path)
    else:
        np.save(path, values.numpy())
        if mask is not None:
            np.save(path.with_name(f"{path.stem}.mask.npy"), mask.numpy())
    return path


def marked(count: int, *shape: int) -> torch.Tensor:
    """Rows of 1, 2, 3 …"""
    return torch.arange(1.0, count + 1).view(-1, *[1] * len(shape)).expand(count, *shape).contiguous()


# every array is read back ----------------------------------------------------------------------------------------

TYPES = {
    ".npy": [torch.float16, torch.float32, torch.float64],
    ".safetensors": [torch.float16, torch.float32, torch.float64, torch.bfloat16],
}


@st.composite
def arrays(draw):
    """Names of rows, values, mask or None, and the file's ending."""
    count, regions, width = draw(st.integers(1, 8)), draw(st.sampled_from([None, 1, 3])), draw(st.integers(1, 4))
    suffix = draw(st.sampled_from(sorted(TYPES)))
    kind = draw(st.sampled_from(TYPES[suffix]))
    shape = (count, width) if regions is None else (count, regions, width)
    values = torch.randn(shape, generator=torch.Generator().manual_seed(draw(st.integers(0, 99)))).to(kind)
    mask = None
    if draw(st.booleans()):
        size = count * (regions or 1)
        mask = torch.tensor(draw(st.lists(st.booleans(), min_size=size, max_size=size))).view(shape[:-1])
        if draw(st.booleans()):
            values[~mask] = float("nan")  # what is not there may be anything
    pool = [*NAMES, "nobody", " nobody", "Zürich 東京\u2028"]
    rows = draw(st.lists(st.sampled_from(pool), min_size=count, max_size=count, unique=True))
    return (rows, values, mask, suffix) if set(rows) & set(NAMES) else ([NAMES[0], *rows[1:]], values, mask, suffix)


@settings(max_examples=80, deadline=None)
@given(arrays(), st.sampled_from([1, 7, 2**24]), st.booleans())
@example(([NAMES[3]], torch.ones(1, 2), torch.zeros(1, dtype=torch.bool), ".npy"), 2**24, False)  # nothing is left
def test_what_is_in_an_array_is_at_its_entity(case, chunk, own_names):
    names, values, mask, suffix = case
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmkg.datasets.array_files.CHUNK", chunk)  # whether read at once or row by row
        path = save(Path(place) / f"image_x{suffix}", values, names, mask, own_names)
        features = read_array(path, [[name] for name in NAMES], progress=False)
    whole = values.view(len(names), -1, values.shape[-1]).half()  # [L, R, D]
    there = torch.ones(whole.shape[:2], dtype=torch.bool) if mask is None else mask.view(whole.shape[:2])
    got, got_mask = features.gather(torch.arange(len(NAMES)))
    present = 0
    for entity, name in enumerate(NAMES):
        at = names.index(name) if name in names else None
        if at is None or not there[at].any():
            assert not got_mask[entity].any()
            assert features.row[entity] == -1
            continue
        present += 1
        assert torch.equal(got_mask[entity], there[at])
        assert torch.equal(got[entity][there[at]], whole[at][there[at]].float())
        assert not got[entity][~there[at]].any()
    about = features.provenance
    assert (about["present"], about["absent"], features.shape[0]) == (present, len(NAMES) - present, present)
    assert about["rows_of_others"] == len(set(names) - set(NAMES))
    assert about["rows_without_content"] == len(set(names) & set(NAMES)) - present


# in a dataset ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", sorted(TYPES))
def test_a_dataset_knows_them_by_name(root, suffix):
    folder, mask = root / "DB15K/features", torch.tensor([[True, False]] * 2)
    save(folder / f"image_clip{suffix}", marked(3, 2, 5), [NAMES[4], "nobody", NAMES[0]])
    save(folder / f"text_e5{suffix}", marked(2, 2, 3), [NAMES[6], NAMES[1]], mask, own_names=True)
    dataset = DB15K(root)
    assert (dataset.available("image"), dataset.available("text")) == (["clip"], ["e5"])
    data = dataset[0]
    assert data.image.shape == (7, 2, 5)
    assert data.image[:, 1, 4].tolist() == [3, 0, 0, 0, 1, 0, 0]
    assert data.image_mask.all(1).tolist() == [True, False, False, False, True, False, False]
    assert data.text[:, 0, 0].tolist() == [0, 2, 0, 0, 0, 0, 1]
    assert data.text_mask.tolist() == [[i in (1, 6), False] for i in range(7)]
    report = dataset.report["image"]
    assert (report["encoder"], report["present"], report["absent"], report["rows_of_others"]) == ("clip", 2, 5, 1)
    stored = root / "DB15K/processed/features/image_clip_2x5_fp16.npy"
    before = stored.stat().st_mtime_ns
    assert isinstance(DB15K(root).features("image").values, np.memmap)
    assert stored.stat().st_mtime_ns == before


def test_in_a_folder_of_ones_own(tmp_path):
    (tmp_path / "triples.tsv").write_text("Zürich\tin\tSwitzerland\nNew York \tin\tUSA\n", encoding="utf-8")
    names = ["USA", "New York ", "Zürich"]  # letter by letter, the space at the end included
    save(tmp_path / "features/image.npy", marked(3, 4), names)
    save(tmp_path / "features/text_mine.safetensors", marked(3, 6), names)
    dataset = MultimodalFolder(tmp_path, log=False)
    assert (dataset.available("image"), dataset.available("text")) == (["own"], ["mine"])
    data = dataset[0]
    assert dict(zip(data.entity_names, data.image[:, 0, 0].tolist(), strict=True)) == {
        "USA": 1, "New York ": 2, "Zürich": 3, "Switzerland": 0,
    }  # fmt: skip
    assert data.text.shape == (4, 1, 6)


def test_the_first_is_taken_unless_another_is_asked_for(root):
    h5py = pytest.importorskip("h5py")
    folder = root / "DB15K/features"
    for number, name in enumerate(("b", "a")):
        save(folder / f"image_{name}.npy", marked(1, number + 1), NAMES[:1])
    with h5py.File(folder / "DB15K_ImageData.h5", "w") as file:
        file["DBIMG00000"] = np.ones((1, 4096), dtype=np.float32)
    dataset = DB15K(root)
    assert dataset.available("image") == ["a", "b", "mmkb-vgg"]
    assert dataset[0].image.shape[-1] == 2
    assert DB15K(root, image="b")[0].image.shape[-1] == 1
    assert DB15K(root, image="mmkb-vgg")[0].image.shape[-1] == 4096
    with pytest.raises(DataError, match=r"no image features 'c' .*Cure: choose one of auto, a, b, mmkb-vgg; make them"):
        DB15K(root, image="c")


def test_those_of_the_larger_graph_serve_the_smaller(tmp_path, monkeypatch):
    from test_benchmarks import write_small

    monkeypatch.delenv("MMKG_RAW", raising=False)
    write_small(tmp_path, FB15k_237)
    save(tmp_path / "FB15K/features/image_clip.npy", marked(2, 3), ["/m/0c", "/m/elsewhere"])
    assert FB15k_237(tmp_path, log=False)[0].image[:, 0, 0].tolist() == [0, 0, 1, 0]
    save(tmp_path / "FB15k-237/features/image_clip.npy", marked(1, 3), ["/m/0a"])
    assert FB15k_237(tmp_path, log=False)[0].image[:, 0, 0].tolist() == [1, 0, 0, 0]


def test_a_file_that_was_replaced_is_read_again(root):
    path = save(root / "DB15K/features/image_clip.npy", marked(2, 500), NAMES[:2])
    assert DB15K(root)[0].image[:2, 0, 0].tolist() == [1, 2]
    about = path.stat()
    save(path, marked(2, 500) * 3, NAMES[:2])
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))  # the same size and, as a copy may have it, the same age
    assert DB15K(root)[0].image[:2, 0, 0].tolist() == [3, 6]
    save(path, marked(2, 500) * 3, NAMES[1::-1])
    assert DB15K(root)[0].image[:2, 0, 0].tolist() == [6, 3]
    save(path, marked(2, 3), NAMES[:2])  # another width is another file beside the first
    assert DB15K(root)[0].image.shape == (7, 1, 3)
    stored = {p: p.stat().st_mtime_ns for p in (root / "DB15K/processed/features").iterdir()}
    assert DB15K(root)[0].image.shape == (7, 1, 3)
    assert {p: p.stat().st_mtime_ns for p in (root / "DB15K/processed/features").iterdir()} == stored
    save(path, marked(2, 3), NAMES[:2], mask=torch.tensor([True, False]))
    assert DB15K(root)[0].image_mask[:2, 0].tolist() == [True, False]


def test_features_in_mmkg_raw_are_read_and_nothing_is_written_there(root, tmp_path, monkeypatch):
    save(root / "DB15K/features/image_clip.npy", marked(1, 2), NAMES[:1])
    before = sorted(root.rglob("*"))
    monkeypatch.setenv("MMKG_RAW", str(root))
    assert int(DB15K(tmp_path / "other")[0].image_mask.sum()) == 1
    assert sorted(root.rglob("*")) == before


def test_other_formats_are_told(root):
    folder = root / "DB15K/features"
    folder.mkdir()
    torch.save(torch.ones(2), folder / "image_clip.pt")
    (folder / "notes.txt").write_text("of no interest")
    with pytest.warns(UserWarning, match=r"image_clip\.pt is not read: save it as \.npy or \.safetensors"):
        assert DB15K(root).available("image") == []


def test_one_set_in_both_formats(root):
    for suffix in TYPES:
        save(root / f"DB15K/features/image_clip{suffix}", marked(1, 2), NAMES[:1])
    with pytest.raises(DataError, match=r"image_clip\.npy and image_clip\.safetensors are both there\. Cure: keep one"):
        DB15K(root)


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_an_array_without_rows_is_nobodys(tmp_path, suffix):
    path = save(tmp_path / f"image{suffix}", torch.zeros(0, 2, 4), [])
    features = read_array(path, [["a"], ["b"]], progress=False)
    assert features.shape == (0, 2, 4)
    assert features.row.tolist() == [-1, -1]
    assert features.provenance["rows_without_content"] == 0


@pytest.mark.parametrize("name", ["日本", "ü_2", "🙂"])
def test_a_set_of_any_name_is_taken_over_once(tmp_path, name):
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "triples.tsv").write_text("a\tr\tb\n")
    save(tmp_path / "g" / "features" / f"image_{name}.npy", marked(2, 4), ["a", "b"])
    dataset = MultimodalFolder(tmp_path / "g", image=name, log=False)
    assert dataset[0].image[:, 0, 0].tolist() == [1.0, 2.0]
    (stored,) = (tmp_path / "g" / "processed" / "features").glob("*.npy")
    age = stored.stat().st_mtime_ns
    again = MultimodalFolder(tmp_path / "g", image=name, log=False)
    assert again[0].image[:, 0, 0].tolist() == [1.0, 2.0]
    assert stored.stat().st_mtime_ns == age
