"""The user's own graph: whatever is written to a folder is read back, and whatever is wrong with it is named."""

import json
import tempfile
import warnings
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_encoders import FakePictureEncoder
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmkg.datasets import MultimodalFolder
from mmkg.errors import DataError

# all that UTF-8 can say but what separates fields and lines; no byte order mark, which a file may begin with
LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\t\r\n\ufeff")
NAMES = st.one_of(
    st.sampled_from(["a", "A", "Zürich", "東京 都", " a", 'say "x"', "\\n", "/m/0", "a\u2028b"]), st.text(LETTERS)
)
NAMES = NAMES.filter(str.strip)
TRIPLES = st.lists(st.tuples(NAMES, NAMES, NAMES), max_size=12)


def write(folder, **files):
    """Files of a folder, ``train="a\tr\tb\n"`` being the content of ``train.tsv``."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem, content in files.items():
        (folder / f"{stem}.tsv").write_bytes(content.encode())
    return folder


def rows(triples):
    return "".join("\t".join(triple) + "\n" for triple in triples)


def named(data, mask=None):
    """Triples of a graph by name, in order."""
    keep = slice(None) if mask is None else data[mask]
    edges = zip(*data.edge_index[:, keep].tolist(), data.edge_type[keep].tolist(), strict=True)
    return [(data.entity_names[h], data.relation_names[r], data.entity_names[t]) for h, t, r in edges]


def load(folder, **options):
    return MultimodalFolder(folder, log=False, **options)


# what is written is read back ------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*are entities as well")  # names are dealt out by chance
@settings(max_examples=60, deadline=None)
@given(
    train=TRIPLES.filter(len),
    val=TRIPLES,
    test=TRIPLES,
    texts=st.dictionaries(NAMES, st.tuples(st.text(LETTERS), st.text(LETTERS)), max_size=5),
    end=st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\n \t \n"]),
    mark=st.sampled_from(["", "\ufeff"]),
    header=st.booleans(),
)
@example([("a", "a", "a")], [], [], {}, "\n", "", False)  # one entity, no validation, no test, no texts
@pytest.mark.filterwarnings("ignore:.*not one of its")  # rows of texts that all belong to others
def test_given_splits_are_read_back(train, val, test, texts, end, mark, header):
    known = {name for h, _, t in train + val + test for name in (h, t)}
    lines = {
        part: ["\t".join(triple) for triple in triples] for part, triples in zip("tve", (train, val, test), strict=True)
    }
    table = ["id\tname\tdescription"] * header + [f"{name}\t{label}\t{text}" for name, (label, text) in texts.items()]
    with tempfile.TemporaryDirectory() as place:
        contents = [mark + end.join(part) + (end if part else "") for part in (*lines.values(), table)]
        folder = write(Path(place), **dict(zip(("train", "valid", "test", "entities"), contents, strict=True)))
        dataset = load(folder)
        data, report = dataset[0], dataset.report
    assert [named(data, f"{part}_mask") for part in ("train", "val", "test")] == [train, val, test]
    assert named(data) == train + val + test
    assert data.entity_names == sorted(known)
    assert data.relation_names == sorted({r for _, r, _ in train + val + test})
    for name, label, description in zip(data.entity_names, data.entity_labels, data.descriptions, strict=True):
        assert description == texts.get(name, ("", ""))[1]
        assert name not in texts or label == texts[name][0] or not texts[name][0]
    assert report["duplicated_lines"] == sum(len(part) - len(set(part)) for part in (train, val, test))
    assert report["text_rows_of_other_entities"] == len(set(texts) - known)
    assert report["pictures"] == 0


@pytest.mark.filterwarnings("ignore:.*are entities as well")  # names are dealt out by chance
@settings(max_examples=60, deadline=None)
@given(triples=TRIPLES.filter(len), seed=st.integers(0, 5), repeat=st.integers(1, 2))
def test_a_whole_graph_is_split_without_loss(triples, seed, repeat):
    with tempfile.TemporaryDirectory() as place:
        dataset = load(write(Path(place), triples=rows(triples * repeat)), seed=seed, fractions=(0.5, 0.25, 0.25))
        data, report = dataset[0], dataset.report
    distinct = set(triples)
    assert Counter(named(data)) == Counter(distinct)
    assert report["duplicated_lines"] == len(triples) * repeat - len(distinct)
    parts = {part: named(data, f"{part}_mask") for part in ("train", "val", "test")}
    assert report["triples"] == {part: len(of_part) for part, of_part in parts.items()}
    seen = {name for h, _, t in parts["train"] for name in (h, t)}
    assert seen == set(data.entity_names)
    assert {r for _, r, _ in parts["train"]} == set(data.relation_names)
    side = {triple: part for part, of_part in parts.items() for triple in of_part}
    assert all(side[a] == side[b] for a in distinct for b in distinct if (a[0], a[2]) == (b[2], b[0]))


# a small graph in a ring, whose split is not empty ---------------------------------------------------------------


RING = [(f"e{i:02}", "next", f"e{(i + 1) % 20:02}") for i in range(20)]
RING += [(f"e{i:02}", "far", f"e{(i + 7) % 20:02}") for i in range(20)]
RING += [(t, "back", h) for h, r, t in RING if r == "next"]


@pytest.fixture
def ring(tmp_path):
    return write(tmp_path / "my graph", triples=rows(RING))


def test_the_split_depends_on_seed_and_triples_alone(ring, tmp_path):
    data = load(ring)[0]
    assert [int(data[f"{part}_mask"].sum()) for part in ("train", "val", "test")] == [48, 6, 6]
    turned = load(write(tmp_path / "turned", triples=rows(RING[::-1])))[0]
    other = load(ring, seed=1)[0]
    for part in ("train", "val", "test"):
        assert set(named(data, f"{part}_mask")) == set(named(turned, f"{part}_mask"))
    assert set(named(data, "test_mask")) != set(named(other, "test_mask"))
    assert set(named(load(ring)[0], "test_mask")) == set(named(data, "test_mask"))  # each seed has its own file
    assert len(list((ring / "processed").glob("graph_*.pt"))) == 2


def test_fractions(ring):
    dataset = load(ring, fractions=(1, 0, 0))
    assert bool(dataset[0].train_mask.all())
    assert dataset.report["fractions"] == [1.0, 0.0, 0.0]
    assert dataset.report["seed"] == 0
    with pytest.raises(ValueError, match="three shares that add up to 1"):
        load(ring, fractions=(0.8, 0.1, 0.2))


def test_a_view_of_one_split(ring):
    whole, view = load(ring)[0], load(ring, split="test")[0]
    assert torch.equal(view.edge_index, whole.edge_index[:, whole.test_mask])
    assert view.num_edge_types == 3
    assert repr(load(ring, split="test")) == f"MultimodalFolder({str(ring)!r}, split='test')"


def test_a_changed_folder_is_read_again(tmp_path):
    folder = write(tmp_path / "g", train="a\tr\tb\n", valid="b\tr\ta\n")
    first = load(folder)
    assert first[0].descriptions == ["", ""]
    assert first[0].val_mask.tolist() == [False, True]
    (folder / "valid.tsv").rename(folder / "test.tsv")  # the same content under another name
    assert load(folder)[0].test_mask.tolist() == [False, True]
    write(folder, entities="a\tThe A\tFirst letter.\n")
    data = load(folder)[0]
    assert data.entity_labels == ["The A", "b"]
    assert data.descriptions == ["First letter.", ""]
    write(folder, train="a\tr\tc\n")
    assert load(folder)[0].entity_names == ["a", "b", "c"]


def test_endings_and_names_of_files(tmp_path):
    folder = write(tmp_path / "g")
    (folder / "train.txt").write_text("a\tr\tb\n")
    (folder / "val.txt").write_text("b\tr\tb\n")
    dataset = load(folder)
    assert dataset.report["files"] == ["train.txt", "val.txt"]
    assert dataset.report["triples"] == {"train": 1, "val": 1, "test": 0}


def test_no_text_but_names_with_spaces_around_them_are_counted(tmp_path):
    dataset = load(write(tmp_path / "g", train="a\tr \tb\na \tr\tb\n"))
    assert dataset[0].entity_names == ["a", "a ", "b"]
    assert dataset.report["names_with_outer_spaces"] == 2
    assert "text_rows_of_other_entities" not in dataset.report


def test_the_upstream_table_of_texts_serves_as_well(tmp_path):
    folder = write(tmp_path / "g", train="a\tr\tb\n", entity2text='a\tA\tSay \\"a\\".\n')
    assert load(folder)[0].descriptions == ['Say "a".', ""]


# where things lie ------------------------------------------------------------------------------------------------


def test_pictures(tmp_path):
    folder = write(tmp_path / "g", train="Q1\tr\tQ2\nQ2\tr\tQ3\n", entities="Q2\tNew York\t\n")
    images = folder / "images"
    images.mkdir()
    for name in ("q1.tiff", "new_york.jpg", "nobody.png"):
        Image.new("RGB", (4, 4)).save(images / name)
    for name in ("Q3.pdf", ".DS_Store"):
        (images / name).touch()
    dataset = load(folder, root=tmp_path / "elsewhere")
    assert dataset.image_paths() == [images / "q1.tiff", images / "new_york.jpg", None]
    assert dataset.image_path("New York") == images / "new_york.jpg"
    assert dataset.report["pictures"] == 2
    assert dataset.report["pictures_of_nobody"] == 2  # nobody.png and Q3.pdf


def test_a_folder_of_pictures_of_an_entity_is_somebodys(tmp_path):
    folder = write(tmp_path / "g", train="Q1\tr\tQ2\n")
    (folder / "images" / "Q1").mkdir(parents=True)
    for name in ("1.png", "2.png"):
        Image.new("RGB", (4, 4)).save(folder / "images" / "Q1" / name)
    assert "pictures_of_nobody" not in load(folder).report


@pytest.mark.parametrize("name", ["entities.csv", "entities.txt"])
def test_entities_in_another_format_are_told(name, tmp_path):
    folder = write(tmp_path / "g", train="a\tr\tb\n")
    (folder / name).write_text("a,A,The first letter.\n")
    with pytest.warns(UserWarning, match=rf"{name} is not read: save it as entities.tsv, id⇥name⇥description"):
        load(folder)


def test_features_that_do_not_say_what_they_are_are_told(tmp_path):
    folder = write(tmp_path / "g", train="a\tr\tb\n")
    (folder / "features").mkdir()
    np.save(folder / "features" / "clip.npy", np.ones((2, 3), dtype="float32"))
    with pytest.warns(UserWarning, match=r"clip.npy is not read, .* call it image_clip.npy or text_clip.npy"):
        load(folder)


def test_columns_in_another_order_are_told(tmp_path):
    folder = write(tmp_path / "g", triples="".join(f"e{i}\te{7 * i % 20}\tlikes\n" for i in range(20)))
    with pytest.warns(UserWarning, match=r"20 of 20 relations are entities as well, such as 'e0'; the columns must be"):
        load(folder)
    folder = write(tmp_path / "h", triples="a\tlikes\tb\nlikes\tis_a\trelation\na\tknows\tb\n")  # one of three
    with warnings.catch_warnings(action="error"):
        load(folder)


@pytest.mark.parametrize("name", ["triples.csv", "Train.xlsx"])
def test_triples_in_another_format_are_told(name, tmp_path):
    (tmp_path / name).write_text("a,r,b\n")
    with pytest.raises(DataError, match=rf"{name} is not read, and no other .* with tabs between them, as triples.tsv"):
        load(tmp_path)


def test_pictures_are_encoded_and_those_that_change_anew(tmp_path):
    names = [f"e{i:02}" for i in range(40)]  # more than a batch
    folder = write(tmp_path / "g", train=rows((a, "r", b) for a, b in pairwise(names)))
    images = folder / "images"
    images.mkdir()
    for i in range(0, 40, 2):
        Image.new("RGB", (14, 14), (i, 0, 0)).save(images / f"E{i:02}.bmp")
    (images / "e01.bmp").write_bytes((images / "E00.bmp").read_bytes()[:40])  # cut short
    encoder = FakePictureEncoder()
    with pytest.warns(UserWarning, match="1 picture cannot be read, 1 of 40 entities counts as without a picture"):
        features = load(folder).encode_images(encoder, (1, 1), batch_size=8)
    assert features.shape == (20, 1, 3)
    assert features.provenance["unreadable"][0][0] == str(images / "e01.bmp")
    data = load(folder)[0]
    assert data.image_mask[:, 0].tolist() == [i % 2 == 0 for i in range(40)]
    expected = [i / 255 if i % 2 == 0 else 0 for i in range(40)]
    assert data.image[:, 0, 0].tolist() == pytest.approx(expected, abs=1e-3)
    again = FakePictureEncoder()
    assert load(folder).encode_images(again, (1, 1)).provenance == features.provenance
    assert again.seen == 0
    size = (images / "E02.bmp").stat().st_size
    Image.new("RGB", (14, 14), (99, 0, 0)).save(images / "E02.bmp")
    assert (images / "E02.bmp").stat().st_size == size  # nothing but its age tells that it is another
    with pytest.warns(UserWarning, match="cannot be read"):
        features = load(folder).encode_images(again, (1, 1))
    assert again.seen == 1  # the others are remembered
    assert load(folder)[0].image[2, 0, 0] == pytest.approx(99 / 255, abs=1e-3)


def test_another_root_leaves_the_folder_alone(ring, tmp_path):
    before = sorted(ring.rglob("*"))
    load(ring, root=tmp_path / "cache")
    assert sorted(ring.rglob("*")) == before
    assert list((tmp_path / "cache" / "my graph" / "processed").glob("graph_*.pt"))


def test_texts_of_other_entities_alone_are_told(tmp_path):
    folder = write(tmp_path / "g", train="Q1\tr\tQ2\n", entities="q1\tOne\t\nq2\tTwo\t\n")
    told = r"entities.tsv: not one of its 2 rows is of an entity of this graph; its first id is 'q1', an .*'Q1'"
    with pytest.warns(UserWarning, match=told):
        assert load(folder).report["text_rows_of_other_entities"] == 2
    (folder / "entities.tsv").rename(folder / "entity2text.tsv")
    with pytest.warns(UserWarning, match=told.replace("entities", "entity2text")):
        load(folder)


def test_oddities_of_files_are_counted(tmp_path):
    report = load(write(tmp_path / "g", train="a\tr\tb\r\n\r\nb\tr\tc\r\n", dev="\ufeffa\tr\tc\n")).report
    assert report["files"] == ["train.tsv", "dev.tsv"]
    assert (report["carriage_returns"], report["blank_lines"], report["byte_order_marks"]) == (2, 1, 1)
    assert report["entities_if_carriage_returns_stayed"] == 5  # a, b, c; b and c with it


def test_a_folder_that_cannot_be_written_to(ring):
    (ring / "processed").write_text("in the way")  # permissions do not stop root, under whom tests may run
    with pytest.raises(DataError, match=r"cannot be written .* Cure: .* root="):
        load(ring)


def test_the_current_folder_and_benchmarks_elsewhere(ring, tmp_path, monkeypatch):
    other = write(tmp_path / "raws" / "my graph", entities="nobody\t\t\n")
    monkeypatch.setenv("MMKG_RAW", str(other.parent))
    monkeypatch.chdir(ring)
    dataset = load(".")
    assert dataset.name == "my graph"
    assert dataset.processed_dir == str(ring / "processed")
    assert "text_rows_of_other_entities" not in dataset.report


def test_the_report_can_be_written_down(ring):
    json.dumps(load(ring).report)


def test_a_filtered_graph_is_empty(ring):
    dataset = load(ring, pre_filter=lambda data: False)
    assert len(dataset) == 0
    assert dataset.report["pictures"] == 0


# bad input -------------------------------------------------------------------------------------------------------

GOOD = "a\tr\tb\n"
BAD_LINES = {
    "two fields": ({"triples": GOOD + "\na\tr\n"}, "triples", 3, "2 fields, expected 3: 'a\\tr'", "with tabs"),
    "four fields": ({"triples": "a\tr\tb\tc\n"}, "triples", 1, "4 fields, expected 3", "with tabs"),
    "spaces for tabs": ({"train": "a r b\n"}, "train", 1, "1 field, expected 3: 'a r b'", "with tabs"),
    "empty name": ({"train": GOOD, "test": "a\t\tb\n"}, "test", 1, "empty name", "head, relation and tail"),
    "header": ({"triples": "Head\trelation\ttail\n" + GOOD}, "triples", 1, "header 'Head\\t", "remove this line"),
    "empty graph": ({"triples": "\n \n"}, "triples", None, "no triples", "head⇥relation⇥tail"),
    "empty train": ({"train": "", "test": GOOD}, "train", None, "no triples", "head⇥relation⇥tail"),
    "id twice": (
        {"train": GOOD, "entities": "id\tname\tdescription\na\tA\t\na\tB\t\n"},
        "entities",
        3,
        "id given twice: 'a\\tB\\t'",
        "one line for each id",
    ),
    "empty id": ({"train": GOOD, "entities": "\tA\t\n"}, "entities", 1, "empty id: '\\tA\\t'", "the entity's id"),
    "text of two fields": (
        {"train": GOOD, "entities": "a\tA\n"},
        "entities",
        1,
        "2 fields, expected 3: 'a\\tA'",
        "may be empty",
    ),
}
BAD_FOLDERS = {
    "nothing": ([], "no triples in this folder", "put triples.tsv"),
    "whole and split": (["triples.tsv", "train.txt"], "triples.tsv and train.txt are both there", "keep triples.tsv"),
    "one part twice": (["train.tsv", "train.txt"], "train.tsv and train.txt are both there", "keep one"),
    "two validations": (["train.tsv", "valid.tsv", "val.tsv"], "valid.tsv and val.tsv are both", "keep one"),
    "no train": (["valid.tsv", "test.tsv"], "valid.tsv and test.tsv without train.tsv", "put triples.tsv"),
}


@pytest.mark.parametrize("case", BAD_LINES.values(), ids=BAD_LINES)
def test_bad_lines(case, tmp_path):
    files, file, line, problem, cure = case
    folder = write(tmp_path / "g", **files)
    with pytest.raises(DataError) as caught:
        load(folder)
    where = f"{folder / file}.tsv" + (f", line {line}" if line else "")
    assert str(caught.value).startswith(f"{where}: {problem}")
    assert cure in str(caught.value).split("Cure: ")[1]
    assert not list(folder.rglob("*.pt"))  # nothing half made


@pytest.mark.parametrize("case", BAD_FOLDERS.values(), ids=BAD_FOLDERS)
def test_bad_folders(case, tmp_path):
    names, problem, cure = case
    for name in names:
        (tmp_path / name).write_text(GOOD)
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: {problem}")
    assert cure in str(caught.value).split("Cure: ")[1]


def test_no_folder(tmp_path):
    with pytest.raises(DataError, match=r"nowhere: no such folder. Cure: check the path"):
        load(tmp_path / "nowhere")
    file = write(tmp_path, triples=GOOD) / "triples.tsv"
    with pytest.raises(DataError, match=r"triples.tsv: not a folder. Cure: give the folder"):
        load(file)


def test_not_utf_8(tmp_path):
    (tmp_path / "triples.tsv").write_bytes("a\tr\tb\nZürich\tr\tb\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"triples.tsv, line 2: not UTF-8"):
        load(tmp_path)
