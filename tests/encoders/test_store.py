"""The features' store: what goes in comes out, and nothing broken comes out."""

import json
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmkg.encoders import load_features, save_features
from mmkg.errors import DataError
from mmkg.types import Features


def make(rows=70, regions=4, dim=6, entities=100, boxes=True, seed=0) -> Features:
    g = torch.Generator().manual_seed(seed)
    row = torch.full((entities,), -1)
    row[torch.randperm(entities, generator=g)[:rows]] = torch.arange(rows)
    return Features(
        torch.randn(rows, regions, dim, generator=g).half(),
        torch.rand(rows, regions, generator=g) > 0.3,
        row,
        torch.rand(regions, 4, generator=g) if boxes else None,
        {"encoder": "fake", "unreadable": [["a/é.png", "empty file"]]},
    )


def same(a: Features, b: Features) -> None:
    np.testing.assert_array_equal(np.asarray(a.values), np.asarray(b.values))
    assert torch.equal(a.mask, b.mask)
    assert torch.equal(a.row, b.row)
    assert (a.boxes is None) == (b.boxes is None)
    assert a.boxes is None or torch.equal(a.boxes, b.boxes)
    assert a.provenance == b.provenance


def test_round_trip_is_exact_and_memory_mapped(tmp_path):
    features, stem = make(), tmp_path / "new folder" / "image_v1.5_4x6_fp16"
    save_features(stem, features)
    loaded = load_features(stem)
    same(features, loaded)
    assert isinstance(loaded.values, np.memmap)
    assert not loaded.values.flags.writeable
    ids = torch.tensor([3, 99, 3, 0])
    for one, other in zip(features.gather(ids), loaded.gather(ids), strict=True):
        assert torch.equal(one, other)
    assert sorted(p.name for p in stem.parent.iterdir()) == [
        f"image_v1.5_4x6_fp16.{kind}" for kind in ("json", "npy", "safetensors")
    ]


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(0, 9),
    regions=st.integers(1, 5),
    dim=st.integers(1, 5),
    more=st.integers(0, 4),
    boxes=st.booleans(),
    kind=st.sampled_from(["half", "float", "double", "bfloat16", "numpy", "loaded"]),
)
def test_round_trip_of_any_shape_and_kind(rows, regions, dim, more, boxes, kind):
    features = make(rows, regions, dim, rows + more, boxes)
    values = features.values
    if kind in ("half", "float", "double", "bfloat16"):
        features.values = getattr(values, kind)()
        values = features.values.half()
    elif kind == "numpy":
        features.values = values.float().numpy()
    with tempfile.TemporaryDirectory() as folder:
        save_features(Path(folder) / "a", features)
        if kind == "loaded":
            features = load_features(Path(folder) / "a")
            save_features(Path(folder) / "b", features)
        loaded = load_features(Path(folder) / ("b" if kind == "loaded" else "a"))
        features.values = values
        same(features, loaded)
        del loaded, features


def test_many_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr("mmkg.encoders.store._CHUNK", 50)
    features = make()
    save_features(tmp_path / "f", features)
    same(features, load_features(tmp_path / "f"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -70_000.0])
@pytest.mark.parametrize("as_numpy", [False, True])
def test_values_that_float16_cannot_hold_name_the_entity(tmp_path, value, as_numpy, monkeypatch):
    monkeypatch.setattr("mmkg.encoders.store._CHUNK", 50)
    features = make()
    save_features(tmp_path / "f", features)
    features.values = features.values.float()
    features.values[33, 2, 1] = value
    owner = int((features.row == 33).nonzero()[0])
    if as_numpy:
        features.values = features.values.numpy()
    with pytest.raises(DataError, match=rf"entity {owner} \(row 33\)"):
        save_features(tmp_path / "f", features)
    assert [p.suffix for p in sorted(tmp_path.iterdir())] == [".npy", ".safetensors"]  # and no temporary file


def test_parts_that_do_not_fit_are_refused(tmp_path):
    for name, part in {
        "values": torch.zeros(3, 4),
        "mask": torch.ones(70, 5, dtype=torch.bool),
        "row": torch.full((100,), 70),
        "boxes": torch.zeros(5, 4),
    }.items():
        features = make()
        setattr(features, name, part)
        with pytest.raises(DataError):
            save_features(tmp_path / "f", features)
    features = make()
    features.row = features.row.float()
    with pytest.raises(DataError, match="integers"):
        save_features(tmp_path / "f", features)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def pickled(path: Path) -> None:
    """An object array of the very size that is announced."""
    size = path.stat().st_size
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    path.write_bytes(path.read_bytes().ljust(size, b"\0")[:size])


def plain_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps([0] * 10).ljust(path.stat().st_size, b"\0"))


def other_values(path: Path) -> None:
    values = np.load(path)
    values[0] += 1
    np.save(path, values)


def nan_values(path: Path) -> None:
    values = np.load(path)
    values[-1] = np.nan
    np.save(path, values)


def other_shape(path: Path) -> None:
    values = np.load(path)
    np.save(path, values.reshape(values.shape[0], 6, 4))


def other_dtype(path: Path) -> None:
    values = np.load(path)
    np.save(path, values.view(np.int16))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def newer(path: Path) -> None:
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))


def other_length(path: Path) -> None:
    about = json.loads(path.read_text())
    path.write_text(json.dumps({**about, "entities": 99}))


DAMAGE = [
    ("npy", damage)
    for damage in (
        cut, lengthen, pickled, plain_pickle, other_values, nan_values, other_shape, other_dtype, Path.unlink,
    )
]  # fmt: skip
DAMAGE += [("safetensors", damage) for damage in (cut, lengthen, flip, plain_pickle, Path.unlink)]
DAMAGE += [("json", damage) for damage in (cut, newer, other_length, Path.unlink)]


@pytest.mark.parametrize(("kind", "damage"), DAMAGE, ids=lambda x: getattr(x, "__name__", x))
def test_damaged_files_are_refused_by_name_and_with_a_cure(tmp_path, kind, damage):
    save_features(tmp_path / "f", make())
    damage(tmp_path / f"f.{kind}")
    with pytest.raises(DataError, match=r"f\.(npy|safetensors|json).*Cure: delete"):
        load_features(tmp_path / "f")


def test_a_pickle_is_not_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    save_features(tmp_path / "f", make())
    target = tmp_path / "f.npy"
    size = target.stat().st_size
    np.save(target, np.array([Evil()], dtype=object), allow_pickle=True)
    about = json.loads((tmp_path / "f.json").read_text())
    (tmp_path / "f.json").write_text(json.dumps({**about, "npy_bytes": target.stat().st_size}))
    assert size != target.stat().st_size
    with pytest.raises(DataError):
        load_features(tmp_path / "f")
    assert not (tmp_path / "executed").exists()


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match="no such features"):
        load_features(tmp_path / "f")


def test_a_writer_that_is_stopped_leaves_nothing_to_be_read(tmp_path, monkeypatch):
    save_features(tmp_path / "f", make(seed=0))

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("mmkg.encoders.store.save_tensors", stop)
    with pytest.raises(KeyboardInterrupt):
        save_features(tmp_path / "f", make(seed=1))
    with pytest.raises(DataError, match="half-way"):
        load_features(tmp_path / "f")
    monkeypatch.undo()
    save_features(tmp_path / "f", make(seed=1))
    same(make(seed=1), load_features(tmp_path / "f"))


def test_overwriting_does_not_disturb_a_reader(tmp_path):
    save_features(tmp_path / "f", make(seed=0))
    reader = load_features(tmp_path / "f")
    save_features(tmp_path / "f", make(seed=1))
    same(make(seed=0), reader)
