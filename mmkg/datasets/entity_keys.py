"""Under which keys an entity's features lie in files that others released."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from mmkg.datasets.lines import columns, read_lines

DBPEDIA = "http://dbpedia.org/resource/"


def dbpedia_keys(names: Sequence[str]) -> list[list[str]]:
    """MMRNS's sentences: the page's name, ``AC/DC`` for ``<http://dbpedia.org/resource/AC/DC>``."""
    bare = (name.strip("<>‹›") for name in names)
    return [[name.removeprefix(DBPEDIA)] if name.startswith(DBPEDIA) else [] for name in bare]


def freebase_keys(path: Path, names: Sequence[str]) -> list[list[str]]:
    """MMRNS's pictures: ``m.xyz`` for the line ``/m/xyz <SameAs> <entity> .`` of ``DB15K_SameAsLink.txt``.

    Four entities have two Freebase ids; the one that the file of features holds will do.
    """
    keys: dict[str, list[str]] = {}
    for freebase, entity in same_as(path):
        keys.setdefault(entity, []).append(freebase.removeprefix("/").replace("/", "."))
    return [keys.get(name, []) for name in names]


def same_as(path: Path) -> list[tuple[str, str]]:
    """Pairs (Freebase id, entity) of lines ``/m/xyz <SameAs> <entity> .``, as ``DB15K_SameAsLink.txt`` holds them."""
    lines = read_lines(path)
    fields = pc.ascii_split_whitespace(pc.ascii_trim_whitespace(lines.text))
    wrong = np.asarray(pc.list_value_length(fields)) != 4
    lines.fail_where(wrong, "expected 4 fields: {line}", "write /m/id <SameAs> <entity> .")
    freebase_ids, _, entities, _ = columns(fields, 4)
    return list(zip(freebase_ids.to_pylist(), entities.to_pylist(), strict=True))


def linked_keys(path: Path, names: Sequence[str]) -> list[list[str]]:
    """MMRNS's features of MKG-W and MKG-Y: the page's name for ``http://dbpedia.org/resource/<page>⇥<entity>``.

    Such lines make up ``ent_links``. A page that is not DBpedia's has no features under any key.
    """
    lines = read_lines(path)
    fields = pc.split_pattern(lines.text, "\t")
    wrong = np.asarray(pc.list_value_length(fields)) != 2
    lines.fail_where(wrong, "expected 2 fields: {line}", "write a DBpedia page and an entity, separated by a tab")
    pages, entities = (pc.ascii_trim_whitespace(column).to_pylist() for column in columns(fields, 2))
    keys: dict[str, list[str]] = {}
    for entity, found in zip(entities, dbpedia_keys(pages), strict=True):
        keys.setdefault(entity, []).extend(found)
    return [keys.get(name, []) for name in names]


def table_keys(path: Path, names: Sequence[str]) -> list[list[str]]:
    """MMKB's pictures: ``DBIMG00001`` for the line ``<entity>⇥DBIMG00001`` of ``DB15K_ImageIndex.txt``."""
    lines = read_lines(path)
    fields = pc.split_pattern(lines.text, "\t")
    wrong = np.asarray(pc.list_value_length(fields)) != 2
    lines.fail_where(wrong, "expected 2 fields: {line}", "write an entity and a key, separated by a tab")
    entities, found = columns(fields, 2)
    keys: dict[str, list[str]] = {}
    for entity, key in zip(entities.to_pylist(), found.to_pylist(), strict=True):
        keys.setdefault(entity, []).append(key)
    return [keys.get(name, []) for name in names]
