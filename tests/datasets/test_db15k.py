"""DB15K: the counts of the real files, the split policies, and its feature files."""

import hashlib
import warnings

import numpy as np
import pytest
import torch
from small_db15k import ENTITIES, PAGE, write_db15k

from mmkg.datasets import DB15K
from mmkg.datasets.pictures import find_pictures
from mmkg.errors import DataError
from mmkg.graph.facts import Facts

h5py = pytest.importorskip("h5py")


@pytest.fixture(scope="module")
def real(shared, tmp_path_factory):
    if not (shared / "data/DB15K/raw/train2id.txt").is_file():
        pytest.skip(f"{shared}/data/DB15K/raw/train2id.txt is not there")
    patch = pytest.MonkeyPatch()
    patch.setenv("MMKG_RAW", str(shared / "data"))
    yield tmp_path_factory.mktemp("real")
    patch.undo()


def triples(data, mask):
    return torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], 1)[mask]


def test_real_counts(real):
    dataset = DB15K(real, image=None, text=None)
    data, report = dataset[0], dataset.report
    assert (data.num_nodes, data.num_relations, data.num_edges) == (12842, 279, 79222 + 9902)
    assert [int(data[f"{s}_mask"].sum()) for s in ("train", "val", "test")] == [79222 - 3961, 3961, 9902]
    assert report["published_validation"] == {
        "lines": 9904,
        "distinct": 7481,
        "in_train": 6584,
        "in_test": 824,
        "in_neither": 73,
    }
    assert report["overlap"] == {"train-val": 0, "train-test": 0, "val-test": 0}
    assert report["self_loops"]["train"] + report["self_loops"]["val"] == 768
    assert report["unseen_in_train"] == {"entities": 57, "val": 0, "test": 77}
    assert report["descriptions"] == 12839
    assert data.extra_filter.shape == (3, 73)
    assert len(Facts.from_data(data, ("train", "val", "test"))) == 79222 + 9902 + 73  # all that was published
    assert len(Facts.from_data(data)) == 79222 - 3961


def test_real_names(real):
    data = DB15K(real)[0]
    assert data.entity_names[1] == "<http://dbpedia.org/resource/Franciaország>"
    assert data.entity_labels[1] == "Franciaország"
    assert data.descriptions[1].startswith("France, officially the French Republic")
    assert data.relation_names[1] == "<http://dbpedia.org/ontology/country>"
    assert data.relation_labels[1] == "country"


def test_real_validation_leaks_no_inverse_and_shows_nothing_unseen(real):
    data = DB15K(real)[0]
    train, val = (triples(data, data[f"{s}_mask"]).numpy() for s in ("train", "val"))
    pairs = {(h, t) for h, _, t in train.tolist()}
    assert not any((t, h) in pairs for h, _, t in val.tolist())
    assert np.isin(val[:, [0, 2]], train[:, [0, 2]]).all()
    assert np.isin(val[:, 1], train[:, 1]).all()
    digest = hashlib.blake2b(np.unique(val, axis=0).astype("<i8").tobytes(), digest_size=8).hexdigest()
    assert digest == "a75073e26a5b95e5"  # results on another validation set could not be compared


def test_real_published(real):
    with pytest.warns(UserWarning, match="repeats 6584 train and 824 test triples"):
        dataset = DB15K(real, "published")
    data = dataset[0]
    assert [int(data[f"{s}_mask"].sum()) for s in ("train", "val", "test")] == [79222, 9904, 9902]
    assert dataset.report["duplicates"] == {"train": 0, "val": 9904 - 7481, "test": 0}
    assert dataset.report["overlap"] == {"train-val": 6584, "train-test": 0, "val-test": 824}
    assert dataset.report["self_loops"] == {"train": 768, "val": 370, "test": 90}
    assert data.extra_filter.shape == (3, 0)


def test_real_keys(real):
    image, vgg, text = DB15K(real).sources()
    names = DB15K(real).topology.entity_names
    freebase = image.keys(names)
    assert sum(map(bool, freebase)) == 12842
    assert sum(len(keys) == 2 for keys in freebase) == 4
    assert freebase[names.index(PAGE.format("Andy_Griffith"))] == ["m.01m4kpp"]
    assert sum(map(bool, vgg.keys(names))) == 12837
    assert vgg.keys([PAGE.format("Andy_Griffith")]) == [["DBIMG00001"]]
    assert text.keys([PAGE.format("AC/DC")]) == [["AC/DC"]]


def test_clean_keeps_every_published_triple_in_the_filter(root):
    data = DB15K(root)[0]
    published = {(0, 0, 1), (1, 1, 5), (6, 1, 5)}  # of the validation file, as h, r, t
    known = Facts.from_data(data, ("train", "val", "test"))
    h, r, t = torch.tensor(sorted(published)).T
    assert known.contains(h, r, t).all()
    assert data.extra_filter.t().tolist() == [[6, 1, 5]]
    assert not Facts.from_data(data).contains(*torch.tensor([[6], [1], [5]])).any()


def test_policies_share_a_root(root):
    clean = DB15K(root)
    with pytest.warns(UserWarning, match="published"):
        published = DB15K(root, "published")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert DB15K(root)[0].num_edges == clean[0].num_edges == published[0].num_edges - 4
    assert sorted(p.name for p in (root / "DB15K/processed").iterdir()) == ["graph_clean.pt", "graph_published.pt"]


def test_bad_policy(root):
    with pytest.raises(ValueError, match="split_policy 'raw': choose clean or published"):
        DB15K(root, "raw")


# Small files in the format of those that MMRNS and MMKB release; the real ones cannot be had in a test.


@pytest.fixture
def features(root):
    folder = root / "DB15K/features"
    folder.mkdir()
    with h5py.File(folder / "MMKB_img_BEIT_16-224.h5", "w") as file:
        for i in (0, 2, 4):
            file[f"m.0{i}"] = np.full((24, 383), i + 1, dtype=np.float32)
        file["m.0zzz"] = np.zeros((24, 383), dtype=np.float32)  # an entity of another graph
    with h5py.File(folder / "DB15K_ImageData.h5", "w") as file:
        file["DBIMG00000"] = np.ones((1, 4096), dtype=np.float32)
        file["DBIMG00005"] = np.ones(4096, dtype=np.float64)
    with h5py.File(folder / "MMKB_description_sentences.h5", "w") as file:
        for name, count in (("France", 6), ("AC/DC", 2), ("Zürich", 0)):
            file[name] = np.arange(count * 384, dtype=np.float32).reshape(count, 384) / 1000
    return folder


def test_mmrns_features(root, features):
    dataset = DB15K(root)
    assert dataset.available("image") == ["mmrns-beit", "mmkb-vgg"]
    data = dataset[0]
    assert data.image.shape == (7, 24, 383)
    assert data.image.dtype == torch.float16
    assert data.image_mask.any(1).tolist() == [True, False, True, False, True, False, False]
    assert data.image[:, 0, 0].tolist() == [1, 0, 3, 0, 5, 0, 0]
    assert data.text_mask.sum(1).tolist() == [4, 0, 2, 0, 0, 0, 0]  # six sentences cut to four; none at all is absent
    assert data.text[2, 1, 0] == pytest.approx(0.384, abs=1e-3)
    assert data.text[2, 2:].abs().sum() == 0
    report = dataset.report["image"]
    assert (report["present"], report["absent"], report["keys_in_file"]) == (3, 4, 4)
    assert dataset.features("image").boxes is None  # runs of tokens are no places


def test_features_are_shared_and_memory_mapped(root, features):
    DB15K(root)[0]
    stored = sorted(p.name for p in (root / "DB15K/processed/features").iterdir())
    assert "image_mmrns-beit_24x383_fp16.npy" in stored
    assert "text_mmrns-sbert_4x384_fp16.npy" in stored
    before = {p: p.stat().st_mtime_ns for p in (root / "DB15K/processed/features").iterdir()}
    with pytest.warns(UserWarning, match="published"):
        view = DB15K(root, "published", "train")
    values = view.features("image").values
    assert isinstance(values, np.memmap)
    assert values.shape == (3, 24, 383)  # rows of present entities only
    assert before == {p: p.stat().st_mtime_ns for p in (root / "DB15K/processed/features").iterdir()}


def test_features_by_name(root, features):
    vgg = DB15K(root, image="mmkb-vgg", text=None)
    assert vgg[0].image.shape == (7, 1, 4096)
    assert vgg[0].image_mask[:, 0].tolist() == [True, False, False, False, False, True, False]
    assert vgg.features("text") is None
    assert "text" not in vgg[0]
    with pytest.raises(
        DataError, match=r"no image features 'clip' in .* Cure: choose one of auto, mmrns-beit, mmkb-vgg"
    ):
        DB15K(root, image="clip")


def test_a_new_feature_file_replaces_the_old_one(root, features):
    assert DB15K(root)[0].image[0, 0, 0] == 1
    with h5py.File(features / "MMKB_img_BEIT_16-224.h5", "w") as file:
        file["m.0x"] = np.full((24, 383), 9, dtype=np.float32)
    data = DB15K(root)[0]
    assert data.image[0, 0, 0] == 9  # by the entity's other Freebase id
    assert int(data.image_mask.any(1).sum()) == 1


BAD = {
    "rows": (lambda f: f.create_dataset("m.00", data=np.zeros((23, 383), "f4")), r"'m.00' holds float32 \[23, 383\]"),
    "width": (lambda f: f.create_dataset("m.00", data=np.zeros((24, 384), "f4")), r"expected \[24, 383\]"),
    "three axes": (lambda f: f.create_dataset("m.00", data=np.zeros((1, 24, 383), "f4")), r"expected \[24, 383\]"),
    "integers": (lambda f: f.create_dataset("m.00", data=np.zeros((24, 383), "i4")), r"holds int32"),
    "NaN": (lambda f: f.create_dataset("m.00", data=np.full((24, 383), np.nan, "f4")), r"'m.00' holds nan"),
    "too large": (lambda f: f.create_dataset("m.00", data=np.full((24, 383), 1e6, "f4")), r"'m.00' holds 1000000.0"),
    "text": (lambda f: f.create_dataset("m.00", data="picture"), r"'m.00' holds object"),
}


@pytest.mark.parametrize(("make", "problem"), BAD.values(), ids=BAD)
def test_bad_hdf5(root, make, problem):
    path = root / "DB15K/features/MMKB_img_BEIT_16-224.h5"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        make(file)
    with pytest.raises(DataError, match=problem) as caught:
        DB15K(root)[0]
    assert str(caught.value).startswith(f"{path}: ")
    assert "Cure: fetch MMKB_img_BEIT_16-224.h5 again, or move it away" in str(caught.value)
    assert not list((root / "DB15K/processed").glob("features/*"))  # nothing half-written
    assert DB15K(root, image=None)[0].num_nodes == 7


def test_hdf5_of_another_dataset(root):
    path = root / "DB15K/features/MMKB_img_BEIT_16-224.h5"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        file["nobody"] = np.zeros((24, 383), dtype=np.float32)
    with pytest.raises(DataError, match="not one of 7 entities has an array in it; its first key is 'nobody'"):
        DB15K(root)[0]
    assert not list((root / "DB15K/processed").glob("features/*"))


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.95])
def test_truncated_hdf5(root, features, kept):
    path = features / "MMKB_img_BEIT_16-224.h5"
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(len(content) * kept)])
    with pytest.raises(
        DataError, match=r"MMKB_img_BEIT_16-224\.h5: not a whole HDF5 file \(.*\)\. Cure: fetch"
    ) as caught:
        DB15K(root, text=None)[0]
    assert "\n" not in str(caught.value)
    assert not list((root / "DB15K/processed").glob("features/*"))


def test_pictures_named_after_entities(root):
    pil = pytest.importorskip("PIL.Image")
    folder = root / "DB15K/images"
    (folder / "zürich").mkdir(parents=True)
    for name in ("France.png", "AC.DC label.JPG", "zürich/2.png", "zürich/1.png", "notes.png"):
        pil.new("RGB", (8, 8)).save(folder / name, format="PNG")
    dataset = DB15K(root)
    found = [None if p is None else str(p.relative_to(folder)) for p in dataset.image_paths()]
    assert found == ["France.png", None, "AC.DC label.JPG", None, None, None, "zürich/1.png"]
    assert dataset.image_path("France label") == folder / "France.png"


def test_the_same_letters_come_before_the_same_name(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    for name in ("a b.png", "A_b.png", "A B.png", "c.png"):
        pil.new("RGB", (8, 8)).save(tmp_path / name)
    found = find_pictures(tmp_path, ["a b", "A_b", "A B", "a_B", "C"], ["", "", "", "", ""])
    assert [path.name for path in found] == ["a b.png", "A_b.png", "A B.png", "A B.png", "c.png"]


def test_a_huge_array_is_refused_before_it_is_read(root):
    path = root / "DB15K/features/MMKB_img_BEIT_16-224.h5"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:  # a few bytes on the disk, 4 TB in memory
        file.create_dataset("m.00", shape=(2**20, 2**20), dtype="f4", chunks=(64, 64), compression="gzip")
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match=r"key 'm\.00' holds float32 \[1048576, 1048576\], expected \[24, 383\]"):
        DB15K(root, text=None)[0]


def test_write_helper_is_in_the_release_format(tmp_path):
    assert (
        (write_db15k(tmp_path) / "DB15K/raw/entity2id.txt").read_text(encoding="utf-8").startswith(f"{len(ENTITIES)}\n")
    )
