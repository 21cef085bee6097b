"""Whatever graph is written in a release's format is read back by the class for it, features included."""

import io
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from mmkg.datasets import (
    DB15K,
    FB15K,
    MKG_W,
    MKG_Y,
    WN18,
    WN18RR,
    FB15k_237,
    MultimodalFolder,
    from_networkx,
    from_pandas,
)

h5py = pytest.importorskip("h5py")

SPLITS, PARTS = ("train", "val", "test"), ("train", "valid", "test")
ASCII_SPACE = " \t\n\v\f\r"

# anything that UTF-8 can say, but what ends fields and lines, and the mark that a file may begin with
LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\t\r\n\ufeff")
NAMES = st.one_of(
    st.sampled_from(["a", "A", "Zürich", "東京 都", "AC/DC", "/m/0", "say \"x\"", "\\n", "a\u2028b", "1", "a  b"]),
    st.text(LETTERS, min_size=1, max_size=6),
).map(lambda name: name.strip(ASCII_SPACE)).filter(lambda name: name.strip())  # fmt: skip


@st.composite
def graphs(draw):
    """Triples of names by split, some of them twice, some splits empty, often of very few entities."""
    few = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    name = st.one_of(st.sampled_from(few), NAMES) if draw(st.booleans()) else st.sampled_from(few)
    one = st.lists(st.tuples(name, name, name), max_size=8)
    parts = {split: draw(one) for split in SPLITS}
    for split, triples in parts.items():
        if triples and draw(st.booleans()):
            parts[split] = [*triples, triples[0]]
    return parts


@st.composite
def styles(draw):
    """How an editor would save a file: line ends, blank lines, a byte order mark, an end after the last line."""
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    blank = draw(st.sampled_from(["", end, " \t" + end]))
    mark, last = draw(st.booleans()), draw(st.booleans())

    def saved(lines: list[str]) -> bytes:
        text = blank.join(line + end for line in lines)
        text = text if last else text.removesuffix(end)
        return (("\ufeff" if mark else "") + text + (blank if last else "")).encode()

    return saved


Saved = Callable[[list[str]], bytes]


def name_files(parts, saved: Saved) -> dict[str, bytes]:
    return {
        f"{part}.txt": saved(["\t".join(triple) for triple in parts[split]])
        for part, split in zip(PARTS, SPLITS, strict=True)
    }


def id_files(parts, saved: Saved) -> dict[str, bytes]:
    whole = [triple for part in parts.values() for triple in part]
    entities = list(dict.fromkeys(name for h, _, t in whole for name in (h, t)))
    relations = list(dict.fromkeys(r for _, r, _ in whole))
    lines = {
        f"{part}2id": [f"{entities.index(h)}\t{entities.index(t)} {relations.index(r)}" for h, r, t in parts[split]]
        for part, split in zip(PARTS, SPLITS, strict=True)
    }
    lines["entity2id"] = [f"{name} {number}" for number, name in enumerate(entities)][::-1]  # in any order
    lines["relation2id"] = [f"{name}\t{number}" for number, name in enumerate(relations)]
    return {f"{name}.txt": saved([str(len(rows)), *rows]) for name, rows in lines.items()}


def tar_file(name: str):
    def write(parts, saved: Saved) -> dict[str, bytes]:
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w:gz") as archive:
            for member, content in name_files(parts, saved).items():
                info = tarfile.TarInfo(member)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return {name: target.getvalue()}

    return write


def folder_files(parts, saved: Saved) -> dict[str, bytes]:
    files = name_files(parts, saved)
    return {name.replace(".txt", ".tsv"): content for name, content in files.items()}


KINDS = {
    "FB15K": (FB15K, name_files),
    "WN18": (WN18, name_files),
    "MKG_W": (MKG_W, id_files),
    "MKG_Y": (MKG_Y, id_files),
    "DB15K": (DB15K, id_files),
    "FB15k_237": (FB15k_237, tar_file("FB15k-237.tar.gz")),
    "WN18RR": (WN18RR, tar_file("WN18RR.tar.gz")),
    "folder": (MultimodalFolder, folder_files),
}


def opened(kind, write, place: Path, parts, saved: Saved):
    """A graph written in a release's format, read back by the class for it."""
    home = place if kind is MultimodalFolder else place / kind.folder
    raw = home if kind is MultimodalFolder else home / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for name, content in write(parts, saved).items():
        (raw / name).write_bytes(content)
    options = {"split_policy": "published"} if kind is DB15K else {}
    return lambda: kind(place, log=False, **options), home


def named(data, split: str) -> list[tuple[str, str, str]]:
    keep = data[f"{split}_mask"]
    rows = zip(*data.edge_index[:, keep].tolist(), data.edge_type[keep].tolist(), strict=True)
    return [(data.entity_names[h], data.relation_names[r], data.entity_names[t]) for h, t, r in rows]


def same_graph(data, parts) -> None:
    """The same triples in the same order in the same splits, and no name that is in none."""
    assert {split: named(data, split) for split in SPLITS} == parts
    whole = [triple for part in parts.values() for triple in part]
    assert sorted(data.entity_names) == sorted({name for h, _, t in whole for name in (h, t)})
    assert sorted(data.relation_names) == sorted({r for _, r, _ in whole})
    assert (data.num_nodes, data.num_relations) == (len(data.entity_names), len(data.relation_names))


slow = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ONE = {"train": [("a", "a", "a")], "val": [], "test": []}


@pytest.mark.filterwarnings("ignore:DB15K's published validation split")
@pytest.mark.parametrize("name", KINDS)
@slow
@given(graphs(), styles())
@example(ONE, lambda lines: "\n".join(lines).encode())
def test_a_graph_is_read_back(monkeypatch, name, parts, saved):
    monkeypatch.delenv("MMKG_RAW", raising=False)
    kind, write = KINDS[name]
    if kind is MultimodalFolder and not parts["train"]:
        parts["train"] = [("a", "r", "b")]  # a folder without training triples is refused
    with tempfile.TemporaryDirectory() as place:
        open_it, _ = opened(kind, write, Path(place), parts, saved)
        dataset = open_it()
        same_graph(dataset[0], parts)
        same_graph(open_it()[0], parts)  # from the processed file
        assert len(list(Path(place).rglob("graph*.pt"))) == 1
        report = dataset.report
    assert report["triples"] == {split: len(triples) for split, triples in parts.items()}
    assert report["duplicates"] == {split: len(triples) - len(set(triples)) for split, triples in parts.items()}
    pairs = (("train", "val"), ("train", "test"), ("val", "test"))
    assert report["overlap"] == {f"{a}-{b}": len(set(parts[a]) & set(parts[b])) for a, b in pairs}
    assert report["self_loops"] == {split: sum(h == t for h, _, t in rows) for split, rows in parts.items()}
    seen = {name for h, _, t in parts["train"] for name in (h, t)}
    unseen = {split: sum(not {h, t} <= seen for h, _, t in parts[split]) for split in ("val", "test")}
    whole = {name for rows in parts.values() for h, _, t in rows for name in (h, t)}
    assert report["unseen_in_train"] == {"entities": len(whole - seen), **unseen}


@slow
@given(graphs())
def test_a_table_and_a_network_are_read_back(parts):
    rows = [(*triple, split) for split, triples in parts.items() for triple in triples]
    table = pd.DataFrame(rows, columns=["head", "relation", "tail", "split"], dtype=str)
    same_graph(from_pandas(table), parts)
    graph = nx.MultiDiGraph()
    for number, (h, r, t, split) in enumerate(rows):
        graph.add_edge(h, t, relation=r, split=split, edge=number)
    same_graph(from_networkx(graph), parts)


# features ---------------------------------------------------------------------------------------------------------


def put_npy(home: Path, names, values, mask) -> None:
    np.save(home / "features/text_x.npy", values)
    np.save(home / "features/text_x.mask.npy", mask)
    (home / "features/entities.txt").write_bytes("".join(f"{name}\r\n" for name in names).encode())


def put_safetensors(home: Path, names, values, mask) -> None:
    save_file({"anything": values, "mask": mask}, home / "features/text_x.safetensors")
    (home / "features/text_x.entities.txt").write_bytes(("\ufeff" + "\n".join(names)).encode())


def put_hdf5(home: Path, names, values, mask) -> None:
    """MMRNS's sentences of MKG-W: as many rows as there are sentences, under the name of a page."""
    links = [f"http://dbpedia.org/resource/Page/{i}\t{name}\n" for i, name in enumerate(names)]
    (home / "raw/ent_links").write_bytes("".join(links).encode())
    with h5py.File(home / "features/MKG_W_description_sentences.h5", "w") as file:
        for i in range(len(names)):
            file[f"Page/{i}"] = values[i, : int(mask[i].sum())]


@pytest.mark.parametrize("put", [put_npy, put_safetensors, put_hdf5])
@slow
@given(graphs().filter(lambda parts: any(parts.values())), st.data())
@example(ONE, None)
def test_features_are_read_back_at_their_entities(monkeypatch, put, parts, data):
    monkeypatch.delenv("MMKG_RAW", raising=False)
    width = 384
    known = sorted({name for rows in parts.values() for h, _, t in rows for name in (h, t)})
    names = known if data is None else data.draw(st.lists(st.sampled_from(known), min_size=1, unique=True))
    names = [*names, *({"nobody of them", "a b c"} - set(known))]
    counts = [4] * len(names)
    if data is not None:
        counts = data.draw(st.lists(st.integers(0, 4), min_size=len(names), max_size=len(names)))
    mask = np.arange(4) < np.array(counts)[:, None]  # [L, 4]: sentences come first, padding last
    values = np.random.default_rng(len(names)).normal(size=(len(names), 4, width)).astype(np.float32)
    with tempfile.TemporaryDirectory() as place:
        open_it, home = opened(MKG_W, id_files, Path(place), parts, lambda lines: "\n".join(lines).encode())
        (home / "features").mkdir()
        put(home, names, values, mask)
        if put is put_hdf5 and not any(n for name, n in zip(names, counts, strict=True) if name in known):
            return  # a file that holds nothing for anyone is refused, see the tests of DB15K
        graph = open_it()[0]
        again = open_it()[0]
    assert graph.text.shape == (len(known), 4, width)
    for entity, name in enumerate(graph.entity_names):
        at = names.index(name) if name in names else None
        expected = np.zeros(4, dtype=bool) if at is None else mask[at]
        assert graph.text_mask[entity].tolist() == expected.tolist()
        there = torch.from_numpy(expected)
        if at is not None:
            half = torch.from_numpy(values[at].astype(np.float16))
            assert torch.equal(graph.text[entity][there], half[there])
        assert not graph.text[entity][~there].any()
    assert torch.equal(graph.text, again.text)
    assert torch.equal(graph.text_mask, again.text_mask)


class Encoder:
    """Pictures and sentences to numbers, as little as will do."""

    name, dim, fingerprint = "little", 2, "little"

    def encode(self, things):
        shape = (len(things), 2) if isinstance(things[0], str) else (len(things), 4, 6, 2)
        return torch.ones(shape)


@slow
@given(graphs().filter(lambda parts: bool(parts["train"])), st.booleans())
@example(ONE, True)
def test_a_graph_without_pictures_is_a_graph(monkeypatch, parts, folder):
    monkeypatch.delenv("MMKG_RAW", raising=False)
    with tempfile.TemporaryDirectory() as place:
        open_it, home = opened(
            MultimodalFolder, folder_files, Path(place), parts, lambda lines: "\n".join(lines).encode()
        )
        if folder:
            (home / "images").mkdir()
        dataset = open_it()
        assert dataset.image_paths() == [None] * dataset[0].num_nodes
        features = dataset.encode_images(Encoder())
        assert features.shape == (0, 24, 2)
        dataset.encode_text(Encoder())
        data = open_it()[0]
    same_graph(data, parts)
    assert data.image.shape == (data.num_nodes, 24, 2)
    assert not data.image_mask.any()
    assert data.text_mask[:, 0].all()
