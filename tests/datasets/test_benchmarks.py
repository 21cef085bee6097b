"""FB15K, WN18, MKG-W, MKG-Y, FB15k-237, WN18RR: the real files' counts; small stand-ins of each format; bad files."""

import gzip
import hashlib
import io
import os
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from mmkg.datasets import FB15K, MKG_W, MKG_Y, WN18, WN18RR, FB15k_237
from mmkg.datasets.archives import read_members
from mmkg.datasets.download import Remote
from mmkg.datasets.entity_keys import linked_keys
from mmkg.errors import DataError
from mmkg.run.build import DATASETS

h5py = pytest.importorskip("h5py")

ROOT = Path(__file__).parents[2]
PARTS = ("train", "valid", "test")
NAME_FILES, ID_FILES, ARCHIVED = (FB15K, WN18), (MKG_W, MKG_Y), (FB15k_237, WN18RR)
ALL = (*NAME_FILES, *ID_FILES, *ARCHIVED)


# The real files ------------------------------------------------------------------------------------------------------

# train, val, test, entities, relations; unseen entities, val triples and test triples that hold one; descriptions
REAL = {
    FB15K: ((483142, 50000, 59071), 14951, 1345, (0, 0, 0), 14928),
    WN18: ((141442, 5000, 5000), 40943, 18, (0, 0, 0), 40943),
    MKG_Y: ((21310, 2665, 2663), 15000, 28, (612, 400, 388), 1566),
    FB15k_237: ((272115, 17535, 20466), 14541, 237, (36, 9, 28), 14539),
    WN18RR: ((86835, 3034, 3134), 40943, 11, (384, 210, 210), 40943),
}


@pytest.fixture(scope="module")
def real(shared, tmp_path_factory):
    """Opens a dataset over the real files, or skips."""
    patch, root = pytest.MonkeyPatch(), tmp_path_factory.mktemp("real")
    patch.setenv("MMKG_RAW", str(shared / "data"))

    def open_real(kind):
        missing = [f for f in kind.required if not (shared / "data" / kind.folder / "raw" / f).is_file()]
        if missing:
            pytest.skip(f"{shared}/data/{kind.folder}/raw holds no {', '.join(missing)}")
        return kind(root, log=False)

    yield open_real
    patch.undo()


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_real_counts(real, kind):
    dataset = real(kind)  # no MKG-W is at hand: it skips
    sizes, entities, relations, unseen, descriptions = REAL[kind]
    data, report = dataset.topology, dataset.report
    assert (data.num_nodes, data.num_relations, data.num_edges) == (entities, relations, sum(sizes))
    assert tuple(int(data[f"{s}_mask"].sum()) for s in ("train", "val", "test")) == sizes
    assert report["triples"] == dict(zip(("train", "val", "test"), sizes, strict=True))
    assert tuple(report["unseen_in_train"].values()) == unseen
    assert report["duplicates"] == {"train": 0, "val": 0, "test": 0}
    assert report["overlap"] == {"train-val": 0, "train-test": 0, "val-test": 0}
    assert report["descriptions"] == descriptions
    assert sorted(data.edge_index.flatten().unique().tolist()) == list(range(entities))  # nobody is only a name
    ends = (report.get("carriage_returns", 0), report.get("entities_if_carriage_returns_stayed", 0))
    assert ends == ((sum(sizes), 27395) if kind is FB15k_237 else (0, 0))
    assert not any(name != name.strip() for name in data.entity_names + data.relation_names)  # CR LF in FB15k-237
    assert data.edge_type.max() == relations - 1


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_the_card_says_the_same(kind):
    """The numbers that the test above finds in the files; MKG-W's are as published."""
    sizes, entities, relations, unseen, descriptions = REAL.get(kind, ((34196, 4276, 4274), 15000, 169, (0, 0, 0), 0))
    cards = (ROOT / "datasets/README.md").read_text(encoding="utf-8")
    card = cards.split(f"\n## {kind.folder}\n")[1].split("\n## ")[0]
    train, valid, test = sizes
    told = [f"train {train:,}, valid {valid:,}, test {test:,}", f"{entities:,} ", f"{relations:,} relations"]
    told += [f"{unseen[0]} ", f"{unseen[1]} validation", f"{unseen[2]} test triples"] if any(unseen) else []
    told += [f"{descriptions:,} "] if descriptions and descriptions != entities else []
    told += ["Licence", "Download", "Cite: ", "**Known defects**", "**Pictures"]
    assert [text for text in told if text not in card] == []


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_real_triples_are_those_of_the_file(real, kind):
    dataset = real(kind)
    data = dataset.topology
    if kind in ID_FILES:
        lines = Path(dataset.raw_file("test2id.txt")).read_text().split("\n")[1:-1]
        expected = [tuple(int(line.split()[column]) for column in (0, 2, 1)) for line in lines]  # columns are h t r
        found = zip(data.edge_index[0].tolist(), data.edge_type.tolist(), data.edge_index[1].tolist(), strict=True)
        assert list(found)[-len(lines) :] == expected
        return
    if kind in ARCHIVED:
        with tarfile.open(dataset.raw_file(kind.required[0])) as archive:
            content = archive.extractfile("test.txt").read().decode()
    else:
        content = Path(dataset.raw_file("test.txt")).read_text()
    expected = [tuple(line.strip().split("\t")) for line in content.splitlines()]
    test = data.test_mask
    h, t = (data.edge_index[side][test].tolist() for side in (0, 1))
    names, relations = data.entity_names, data.relation_names
    found = [(names[a], relations[r], names[b]) for a, r, b in zip(h, data.edge_type[test].tolist(), t, strict=True)]
    assert found == expected
    assert names == sorted(names)  # ids do not depend on any row's order
    assert relations == sorted(relations)


@pytest.mark.parametrize("kind", [WN18, WN18RR], ids=lambda k: k.__name__)
def test_real_offsets_keep_their_zeros(real, kind):
    data = real(kind).topology
    assert all(len(name) == 8 and name.isdigit() for name in data.entity_names)
    assert data.entity_names[0] == "00001740"
    assert data.entity_labels[data.entity_names.index("00001930")] == "physical entity"


def test_real_names(real):
    fb, y = real(FB15K).topology, real(MKG_Y).topology
    assert fb.entity_labels[fb.entity_names.index("/m/010016")] == "Denton"
    assert y.entity_names[:2] == ["Gilles_Mbang_Ondo", "Libreville"]  # in order of their ids
    assert sum(not name.isascii() for name in y.entity_names) == 966


@pytest.mark.parametrize("kind", [FB15K, WN18], ids=lambda k: k.__name__)
def test_real_inverse_leak_is_as_the_card_says(real, kind):
    data = real(kind).topology
    pairs = [set(map(tuple, data.edge_index[:, data[f"{s}_mask"]].t().tolist())) for s in ("train", "test")]
    test = data.edge_index[:, data.test_mask].t().tolist()
    assert round(100 * sum((t, h) in pairs[0] for h, t in test) / len(test)) == {FB15K: 78, WN18: 94}[kind]


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_checksums_are_those_of_the_real_files(shared, kind):
    here = shared / "data" / kind.folder / "raw"
    found = {name: remote for name, remote in kind.remotes.items() if (here / name).is_file()}
    assert set(kind.required) <= set(kind.remotes)
    assert all(remote.url.startswith("https://raw.githubusercontent.com/") for remote in kind.remotes.values())
    if not found:
        pytest.skip(f"{here} is not there")
    for name, remote in found.items():
        assert hashlib.sha256((here / name).read_bytes()).hexdigest() == remote.sha256


@pytest.mark.parametrize("kind", [WN18, WN18RR], ids=lambda k: k.__name__)
def test_real_picture_features_of_synsets(shared, real, kind):
    folder = shared / "data/WN18/features"
    if not (folder / "entities.txt").is_file():
        pytest.skip(f"{folder} is not there")
    dataset = real(kind)
    assert dataset.available("image") == ["mobilenet-v1"]
    data, features = dataset[0], dataset.features("image")
    assert features.shape == (476, 1, 1024)
    assert data.image.shape == (40943, 1, 1024)
    assert int(data.image_mask.sum()) == 476
    released = np.load(folder / "visual_mobilenetv1_1024.npy")
    names = (folder / "entities.txt").read_text().split()
    assert len(names) == len(released) == 476
    for row in (0, 1, 137, 300, 475):
        entity = data.entity_names.index(names[row])
        assert torch.equal(data.image[entity, 0], torch.from_numpy(released[row].astype(np.float16)))
        assert data.image_mask[entity, 0]
    assert not data.image[~data.image_mask.any(1)].any()
    assert dataset.report["image"]["present"] == dataset.report["image"]["keys_in_file"] == 476


def test_real_keys(real):
    fb, y = real(FB15K), real(MKG_Y)
    (vgg,) = fb.sources()
    assert sum(map(bool, vgg.keys(fb.topology.entity_names))) == 13444
    assert vgg.keys(["/m/01m4kpp", "/m/nobody"]) == [["FBIMG00001"], []]
    smaller = real(FB15k_237)
    keys = smaller.sources()[0].keys(smaller.topology.entity_names)  # by FB15K's index, beside it
    assert keys[smaller.topology.entity_names.index("/m/01m4kpp")] == ["FBIMG00001"]
    for source in y.sources():
        keys = source.keys(y.topology.entity_names)
        assert all(len(own) == 1 for own in keys)
        assert keys[y.topology.entity_names.index("AC/DC")] == ["AC/DC"]


# Small stand-ins in each release's format; they need nothing from shared --------------------------------------------

TRIPLES = {
    "train": [("/m/0b", "/r/of", "/m/0a"), ("/m/0a", "/r/has", "/m/0c"), ("/m/0c", "/r/has", "/m/0c")],
    "valid": [("/m/0c", "/r/of", "/m/0a"), ("/m/0c", "/r/of", "/m/0d")],
    "test": [("/m/0b", "/r/has", "/m/0c")],
}


def tar_gz(members: dict[str, bytes | tarfile.TarInfo]) -> bytes:
    """A ``tar.gz`` of contents, or of members as they are."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def rendered(end: str = "\n") -> dict[str, bytes]:
    return {f"{p}.txt": "".join("\t".join(t) + end for t in TRIPLES[p]).encode() for p in PARTS}


def write_small(root: Path, kind) -> Path:
    """A stand-in of four entities and two relations in the files and formats of that release."""
    raw = root / kind.folder / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    if kind in NAME_FILES:
        files = rendered()
    elif kind in ARCHIVED:
        files = {kind.required[0]: tar_gz(rendered("\r\n" if kind is FB15k_237 else "\n"))}
    else:  # MKG-W's real files are not at hand; they are of the format of MKG-Y's
        entities, relations = ["/m/0c", "/m/0a", "/m/0b", "/m/0d"], ["/r/has", "/r/of"]
        rows = {f"{p}2id": [(h, t, r) for h, r, t in TRIPLES[p]] for p in PARTS}
        lines = {name: [f"{entities.index(h)} {entities.index(t)} {relations.index(r)}" for h, t, r in v]
                 for name, v in rows.items()}  # fmt: skip
        lines |= {"entity2id": [f"{n} {i}" for i, n in enumerate(entities)]}
        lines |= {"relation2id": [f"{n} {i}" for i, n in enumerate(relations)]}
        files = {f"{name}.txt": "\n".join([str(len(v)), *v, ""]).encode() for name, v in lines.items()}
    for name, content in files.items():
        (raw / name).write_bytes(content)
    return raw


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Writes a stand-in below a root of its own and gives the root."""
    monkeypatch.delenv("MMKG_RAW", raising=False)

    def write(kind):
        write_small(tmp_path, kind)
        return tmp_path

    return write


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_stand_in(small, kind):
    dataset = kind(small(kind), log=False)
    data = dataset[0]
    ids = ["/m/0c", "/m/0a", "/m/0b", "/m/0d"] if kind in ID_FILES else ["/m/0a", "/m/0b", "/m/0c", "/m/0d"]
    assert data.entity_names == ids
    assert data.relation_names == ["/r/has", "/r/of"]
    for split, part in zip(("train", "val", "test"), PARTS, strict=True):
        at = data[f"{split}_mask"]
        rows = zip(*data.edge_index[:, at].tolist(), data.edge_type[at].tolist(), strict=True)
        assert [(ids[h], data.relation_names[r], ids[t]) for h, t, r in rows] == TRIPLES[part]
    assert dataset.report["unseen_in_train"] == {"entities": 1, "val": 1, "test": 0}
    assert dataset.report["self_loops"]["train"] == 1
    assert kind(dataset.root, "val", log=False)[0].num_edges == 2
    assert repr(dataset) == f"{kind.__name__}()"


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_stand_in_in_mmkg_raw(small, kind, tmp_path, monkeypatch):
    given, root = small(kind), tmp_path / "elsewhere"
    monkeypatch.setenv("MMKG_RAW", str(given))
    before = sorted(given.rglob("*"))
    assert kind(root, log=False)[0].num_nodes == 4
    assert not (root / kind.folder / "raw").exists() or not list((root / kind.folder / "raw").iterdir())
    assert [p for p in sorted(given.rglob("*")) if root not in (p, *p.parents)] == before


def test_text_and_folders_of_the_larger_graph_serve_the_smaller(small):
    root = small(FB15k_237)
    assert FB15k_237(root, log=False)[0].entity_labels[0] == "/m/0a"
    (root / "FB15K").mkdir()
    (root / "FB15K/entity2text.tsv").write_text("/m/0a\tDenton\tA city.\n", encoding="utf-8")
    data = FB15k_237(root, log=False)[0]
    assert (data.entity_labels[0], data.descriptions[0]) == ("Denton", "A city.")
    (root / "FB15k-237/entity2text.tsv").write_text("/m/0a\tits own\t\n", encoding="utf-8")
    assert FB15k_237(root, log=False)[0].entity_labels[0] == "its own"


def test_the_command_line_knows_them():
    names = {"fb15k": FB15K, "wn18": WN18, "mkg_w": MKG_W, "mkg_y": MKG_Y, "fb15k_237": FB15k_237, "wn18rr": WN18RR}
    assert names.items() <= DATASETS.items()


@pytest.mark.parametrize("gap", [" ", "\t", "  "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("rest", ["", "\n", "\n\n \n"])
def test_mkg_w_in_upstreams_words(tmp_path, monkeypatch, gap, end, rest):
    """The real files, of which none is at hand, are of this form: a count, Wikidata's addresses, h t r in ids."""
    monkeypatch.delenv("MMKG_RAW", raising=False)
    entities = [f"http://www.wikidata.org/entity/Q{number}" for number in (129286, 61, 7, 376577)]
    relations = ["http://www.wikidata.org/entity/P161", "http://www.wikidata.org/entity/P17"]
    files = {
        "entity2id": [f"{name}{gap}{number}" for number, name in enumerate(entities)],
        "relation2id": [f"{name}{gap}{number}" for number, name in enumerate(relations)],
        "train2id": [gap.join(row) for row in ("010", "121", "301")],
        "valid2id": [gap.join("230")],
        "test2id": [gap.join("021")],
    }
    raw = tmp_path / "MKG-W/raw"
    raw.mkdir(parents=True)
    for name, lines in files.items():
        (raw / f"{name}.txt").write_bytes(((end.join([str(len(lines)), *lines])) + end + rest).encode())
    dataset = MKG_W(tmp_path, log=False)
    data = dataset[0]
    assert data.entity_names == entities
    assert data.entity_labels == ["Q129286", "Q61", "Q7", "Q376577"]
    assert data.relation_labels == ["P161", "P17"]
    assert data.edge_index.tolist() == [[0, 1, 3, 2, 0], [1, 2, 0, 3, 2]]
    assert data.edge_type.tolist() == [0, 1, 1, 0, 1]
    assert dataset.find_entity("q61") == 1
    assert dataset.report.get("carriage_returns", 0) == (16 if end == "\r\n" else 0)
    page = "http://dbpedia.org/resource/Quentin_Tarantino"
    (raw / "ent_links").write_bytes(
        f"{page}\t{entities[0]}{end}{page}\thttp://www.wikidata.org/entity/Q0{end}".encode()
    )
    (tmp_path / "MKG-W/features").mkdir()
    with h5py.File(tmp_path / "MKG-W/features/MKG_W_img_BEIT_16-224.h5", "w") as file:
        file["Quentin_Tarantino"] = np.ones((24, 383), dtype=np.float32)
    assert MKG_W(tmp_path, log=False)[0].image_mask.all(1).tolist() == [True, False, False, False]


def test_a_file_without_a_known_checksum_is_taken_as_it_comes(small, monkeypatch):
    root = small(MKG_W)
    source = (root / "MKG-W/raw").rename(root / "source")
    remotes = {name: Remote((source / name).as_uri()) for name in MKG_W.required}  # a local address for the real one
    assert all(remote.sha256 is None for remote in MKG_W.remotes.values())
    monkeypatch.setattr(MKG_W, "remotes", remotes)
    assert MKG_W(root, log=False)[0].num_nodes == 4
    wrong = {name: Remote(remote.url, "0" * 64) for name, remote in remotes.items()}
    monkeypatch.setattr(MKG_W, "remotes", wrong)
    with pytest.raises(DataError, match="holds another file than was released"):
        MKG_W(root / "again", log=False)


# Features: small files in the format of the released HDF5, which cannot be had in a test ------------------------------


@pytest.mark.parametrize("kind", [FB15K, FB15k_237], ids=lambda k: k.__name__)
def test_vgg_features(small, kind):
    root = small(kind)
    for folder in ("raw", "features"):
        (root / "FB15K" / folder).mkdir(parents=True, exist_ok=True)
    (root / "FB15K/raw/FB15K_ImageIndex.txt").write_text("/m/0c\tFBIMG00002\n/m/0a\tFBIMG00001\n/m/zz\tFBIMG00003\n")
    with h5py.File(root / "FB15K/features/FB15K_ImageData.h5", "w") as file:
        for i in (1, 2, 3):
            file[f"FBIMG0000{i}"] = np.full((1, 4096), i, dtype=np.float32)
    data = kind(root, log=False)[0]
    assert data.image.shape == (4, 1, 4096)
    assert data.image[:, 0, 7].tolist() == [1, 0, 2, 0]
    assert data.image_mask[:, 0].tolist() == [True, False, True, False]


@pytest.mark.parametrize(("kind", "prefix"), [(MKG_W, "MKG_W"), (MKG_Y, "MKG_Y")], ids=["MKG_W", "MKG_Y"])
def test_mmrns_features(small, kind, prefix):
    root = small(kind)
    folder = root / kind.folder / "features"
    folder.mkdir()
    with h5py.File(folder / f"{prefix}_img_BEIT_16-224.h5", "w") as file:
        file["AC/DC"] = np.full((24, 383), 2, dtype=np.float32)
        file["Zürich"] = np.full((24, 383), 3, dtype=np.float32)
    with h5py.File(folder / f"{prefix}_description_sentences.h5", "w") as file:
        file["Zürich"] = np.ones((6, 384), dtype=np.float32)
        file["AC/DC"] = np.ones((1, 384), dtype=np.float32)
    with pytest.raises(DataError, match=r"ent_links: missing\. Cure: put ent_links at .*, or set MMKG_RAW"):
        kind(root, log=False)[0]
    links = "http://dbpedia.org/resource/{}\t{}\n"
    lines = [links.format(*pair) for pair in (("Zürich", "/m/0a"), ("AC/DC", "/m/0b"), ("None", "/m/elsewhere"))]
    (root / kind.folder / "raw/ent_links").write_text("".join(lines), encoding="utf-8")
    dataset = kind(root, log=False)
    data = dataset[0]
    assert (dataset.available("image"), dataset.available("text")) == (["mmrns-beit"], ["mmrns-sbert"])
    assert data.image.shape == (4, 24, 383)
    assert data.image[:, 0, 0].tolist() == [0, 3, 2, 0]  # ids: 0c, 0a, 0b, 0d
    assert data.text_mask.sum(1).tolist() == [0, 4, 1, 0]


def test_links_with_two_pages_and_others(tmp_path):
    path = tmp_path / "ent_links"
    page = "http://dbpedia.org/resource/"
    path.write_text(f"{page}A\tQ1\r\n{page}B\tQ1\r\nhttp://example.org/C\tQ2\r\n", encoding="utf-8")
    assert linked_keys(path, ["Q2", "Q1", "Q3"]) == [[], ["A", "B"], []]
    path.write_text(f"{page}A\tQ1\n{page}B Q2\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"ent_links, line 2: expected 2 fields: .* Cure: write a DBpedia page"):
        linked_keys(path, ["Q1"])


def write_npy(root: Path, array: np.ndarray, names: str = "/m/0c\n/m/zz\n/m/0a\n") -> Path:
    folder = root / "WN18/features"
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "visual_mobilenetv1_1024.npy", array)
    (folder / "entities.txt").write_text(names, encoding="utf-8")
    return folder


def marked(length: int = 3) -> np.ndarray:
    """Rows of 1, 2, 3 …"""
    return np.repeat(np.arange(1, length + 1, dtype=np.float32)[:, None], 1024, axis=1)


def test_npy_features(small):
    root = small(WN18)
    write_npy(root, marked())
    data = WN18(root, log=False)[0]
    assert data.image.shape == (4, 1, 1024)
    assert data.image[:, 0, 5].tolist() == [3, 0, 1, 0]
    assert data.image_mask[:, 0].tolist() == [True, False, True, False]
    write_npy(root, marked(), "/m/0a\n/m/zz\n/m/0c\n")  # the same size, other names: nothing old may be served
    assert WN18(root, log=False)[0].image[:, 0, 5].tolist() == [1, 0, 3, 0]
    stored = root / "WN18/processed/features/image_mobilenet-v1_1x1024_fp16.npy"
    before = stored.stat().st_mtime_ns
    WN18(root, log=False)[0]
    assert stored.stat().st_mtime_ns == before


NAN = marked()
NAN[1, 3] = np.nan
BAD_NPY = {
    "length": (marked(4), r"has 4 rows, entities\.txt beside it has 3 names"),
    "width": (np.ones((3, 1000), "f4"), r"holds float32 \[3, 1000\], expected \[3, 1024\] of floating point"),
    "axes": (np.ones((3, 2, 1024), "f4"), r"holds float32 \[3, 2, 1024\]"),
    "one axis": (np.ones(3, "f4"), r"holds float32 \[3\]"),
    "integers": (np.ones((3, 1024), "i4"), r"holds int32 \[3, 1024\]"),
    "NaN": (NAN, r"row 1 \('/m/zz'\) holds nan, which is no float16 number"),
    "too large": (marked() * 1e6, r"row 0 \('/m/0c'\) holds 1000000\.0"),
    "objects": (np.array([[{}] * 1024] * 3, dtype=object), r"not a whole \.npy file"),
}


@pytest.mark.parametrize(("array", "problem"), BAD_NPY.values(), ids=BAD_NPY)
def test_bad_npy(small, array, problem):
    root = small(WN18)
    write_npy(root, array)
    with pytest.raises(DataError, match=problem) as caught:
        WN18(root, log=False)[0]
    assert str(caught.value).startswith(f"{root / 'WN18/features/visual_mobilenetv1_1024.npy'}: ")
    assert "Cure: write visual_mobilenetv1_1024.npy and its entities.txt again" in str(caught.value)
    assert not list((root / "WN18/processed").glob("features/*"))
    assert WN18(root, image=None, log=False)[0].num_nodes == 4


@pytest.mark.parametrize("kept", [0, 5, 60, 0.5, -4])
def test_truncated_npy(small, kept):
    root = small(WN18)
    path = write_npy(root, marked()) / "visual_mobilenetv1_1024.npy"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept) if isinstance(kept, float) else kept])
    with pytest.raises(DataError, match=r"1024\.npy: not a whole \.npy file \("):
        WN18(root, log=False)[0]


def test_npy_names(small):
    root = small(WN18)
    folder = write_npy(root, marked(), "/m/0a\n/m/0b\n/m/0a\n")
    with pytest.raises(DataError, match=r"entities\.txt, line 3: name given twice: '/m/0a'"):
        WN18(root, log=False)[0]
    (folder / "entities.txt").unlink()
    with pytest.raises(DataError, match=r"1024\.npy: nothing says whose its rows are\. Cure: write .*entities\.txt"):
        WN18(root, log=False)[0]


# Bad raw files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_two_fields(small, kind):
    raw = small(kind) / kind.folder / "raw"
    if kind in ARCHIVED:
        files = {**rendered(), "valid.txt": b"a\tr\tb\n\na\tb\r\n"}
        (raw / kind.required[0]).write_bytes(tar_gz(files))
        where = r"tar\.gz/valid\.txt, line 3: 2 fields, expected 3: 'a\\tb'"
    elif kind in NAME_FILES:
        (raw / "valid.txt").write_bytes(b"a\tr\tb\n\na\tb\r\n")
        where = r"valid\.txt, line 3: 2 fields, expected 3: 'a\\tb'"
    else:
        (raw / "valid2id.txt").write_text("2\n0 1 0\n1 0\n")
        where = r"valid2id\.txt, line 3: 2 fields, expected 3: '1 0'"
    with pytest.raises(DataError, match=where):
        kind(raw.parents[1], log=False)
    assert not list((raw.parent / "processed").glob("*.pt"))


@pytest.mark.parametrize("kept", [0, 1, 20, 0.3, 0.7, -9, -1])
@pytest.mark.parametrize("kind", ARCHIVED, ids=lambda k: k.__name__)
def test_truncated_archive(small, kind, kept):
    path = small(kind) / kind.folder / "raw" / kind.required[0]
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept) if isinstance(kept, float) else kept])
    with pytest.raises(DataError) as caught:
        kind(path.parents[2], log=False)
    assert str(caught.value).startswith(f"{path}: not a whole tar.gz (")
    assert f"Cure: delete {path} and fetch it again" in str(caught.value)
    assert not list((path.parents[1] / "processed").glob("*.pt"))


BAD_ARCHIVES = {
    "escaping": ({"../train.txt": b"x", **rendered()}, r"member '\.\./train\.txt' points outside"),
    "escaping inside": ({"a/../../b": b"x", **rendered()}, r"member 'a/\.\./\.\./b' points outside"),
    "absolute": ({"/tmp/mmkg_escaped": b"x", **rendered()}, r"member '/tmp/mmkg_escaped' points outside"),
    "backslash": ({"..\\train.txt": b"x", **rendered()}, r"points outside"),
    "symbolic link": (
        {**rendered(), "train.txt": member("train.txt", tarfile.SYMTYPE, "/etc/passwd")},
        r"member 'train\.txt' is a link",
    ),
    "hard link": ({**rendered(), "x": member("x", tarfile.LNKTYPE, "train.txt")}, r"member 'x' is a link"),
    "device": ({**rendered(), "x": member("x", tarfile.FIFOTYPE)}, r"member 'x' is a link or another thing"),
    "lacking": ({"train.txt": b"", "valid.txt": b""}, r"lacks 'test\.txt'; holds 'train\.txt', 'valid\.txt'"),
    "in a folder": ({f"in/{k}": v for k, v in rendered().items()}, r"lacks 'train\.txt'; holds 'in/train\.txt'"),
    "folder of that name": (
        {**rendered(), "test.txt": member("test.txt", tarfile.DIRTYPE)},
        r"lacks 'test\.txt'",
    ),
    "twice": ({**rendered(), "x": member("train.txt", tarfile.REGTYPE)}, r"holds 'train\.txt' twice"),
    "empty": ({}, r"lacks 'train\.txt'; holds nothing"),
}


@pytest.mark.parametrize(("members", "problem"), BAD_ARCHIVES.values(), ids=BAD_ARCHIVES)
def test_bad_archive(small, members, problem):
    root = small(WN18RR)
    path = root / "WN18RR/raw/WN18RR.tar.gz"
    path.write_bytes(tar_gz(members))
    before = {p for p in root.rglob("*") if p.is_file()}
    with pytest.raises(DataError, match=problem) as caught:
        WN18RR(root, log=False)
    assert str(caught.value).startswith(f"{path}: ")
    assert {p for p in root.rglob("*") if p.is_file()} == before
    assert not os.path.lexists("/tmp/mmkg_escaped")


def test_other_bad_archives(tmp_path, monkeypatch):
    path = tmp_path / "a.tar.gz"
    whole = tar_gz(rendered())
    flipped = bytearray(whole)
    flipped[-5] ^= 1  # in the checksum at the end
    inner = gzip.compress(gzip.decompress(whole)[:700])  # a whole gzip around a tar that is cut short
    for content in (b"not gzip at all", bytes(flipped), inner, gzip.compress(b"no tar inside" * 100)):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.tar\.gz: (not a whole tar\.gz|lacks)"):
            read_members(path, ("train.txt", "valid.txt", "test.txt"))
    path.write_bytes(whole)
    assert len(read_members(path, ("train.txt",))["train.txt"]) == 3
    monkeypatch.setattr("mmkg.datasets.archives.LIMIT", 1 << 10)
    with pytest.raises(DataError, match="unpacks to more than"):
        read_members(path, ("train.txt",))


def test_same_graph_without_warnings(small):
    root = small(FB15K)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        a, b = FB15K(root, log=False)[0], FB15K(root, force_reload=True, log=False)[0]
    assert torch.equal(a.edge_index, b.edge_index)
    lines = (root / "FB15K/raw/train.txt").read_text().splitlines()
    (root / "FB15K/raw/train.txt").write_text("\n".join(reversed(lines)) + "\n")
    assert FB15K(root, log=False)[0].entity_names == a.entity_names  # whatever the order of rows
