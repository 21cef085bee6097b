"""Readers of triple and text files: vectorised, and exact about the line at fault.

Two shapes of release exist. *Id files* (``entity2id.txt``, ``train2id.txt``) start with a count and hold ``name id``
or ``h t r`` per line; *name files* (``train.txt``) hold ``h⇥r⇥t``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmkg.datasets.lines import Lines, columns, fail_on_fields, read_lines, repeated
from mmkg.errors import DataError


def _integers(lines: Lines, fields: pa.Array, width: int) -> np.ndarray:
    """Integer fields, ``width`` of them a line, as int64 ``[L, width]``."""
    is_integer = np.asarray(pc.match_substring_regex(fields, r"^-?[0-9]{1,18}$")).reshape(-1, width)
    lines.fail_where(~is_integer.all(1), "not an integer: {line}", "write ids as whole numbers")
    return np.asarray(pc.cast(fields, pa.int64())).reshape(-1, width)


def _counted(path: str | Path | Lines) -> Lines:
    """Lines of an id file after its count, which must be right."""
    lines = path if isinstance(path, Lines) else read_lines(path)
    if not len(lines):
        raise DataError("file is empty", file=lines.path, line=1, cure="first line: how many lines follow")
    first = lines.part(0, 1)
    trimmed = pc.ascii_trim_whitespace(first.text)
    count = pc.match_substring_regex(trimmed, r"^[0-9]{1,18}$")
    first.fail_where(pc.invert(count), "not a count: {line}", "first line: how many lines follow")
    said, rest = int(trimmed[0].as_py()), lines.part(1)
    if said != len(rest):
        raise DataError(
            f"count says {said}, {len(rest)} lines follow",
            file=lines.path,
            line=int(lines.number[0]),
            cure="the file is cut short or the count is wrong; fetch it again or correct the count",
        )
    return rest


def read_names(path: str | Path | Lines) -> list[str]:
    """Names in order of their ids, from ``entity2id.txt`` or ``relation2id.txt``.

    The id is the last field, so that names may hold spaces. Ids must be 0 to n - 1, each once.
    """
    lines = _counted(path)
    if not len(lines):
        return []
    trimmed = pc.ascii_trim_whitespace(lines.text)
    fields = pc.ascii_split_whitespace(trimmed, max_splits=1, reverse=True)
    lines.fail_where(
        pc.not_equal(pc.list_value_length(fields), 2), "1 field, expected 2: {line}", "write a name and its id"
    )
    names, ids = columns(fields, 2)
    ids, names, size = _integers(lines, ids, 1)[:, 0], pc.ascii_trim_whitespace(names), len(lines)
    lines.fail_where(
        (ids < 0) | (ids >= size), f"id out of range 0 to {size - 1}: {{line}}", "number the names from 0 without gaps"
    )
    lines.fail_where(repeated(ids), "id given twice: {line}", "number the names from 0 without gaps")
    codes = np.asarray(names.dictionary_encode().indices)
    lines.fail_where(repeated(codes), "name given twice: {line}", "keep one line for each name")
    return names.take(pa.array(np.argsort(ids))).to_pylist()


def read_id_triples(path: str | Path | Lines, num_entities: int, num_relations: int) -> np.ndarray:
    """Triples from ``train2id.txt`` and its like, whose columns are **h t r**.

    Returns:
        Ids (h, r, t), int64, shape ``[E, 3]``, in the order of the file.
    """
    lines = _counted(path)
    if not len(lines):
        return np.zeros((0, 3), dtype=np.int64)
    fields = pc.ascii_split_whitespace(pc.ascii_trim_whitespace(lines.text))
    length = np.asarray(pc.list_value_length(fields))
    fail_on_fields(lines, length, "write head, tail and relation, separated by a space or a tab")
    h, t, r = _integers(lines, fields.flatten(), 3).T
    for ids, size, kind in ((h, num_entities, "entity"), (t, num_entities, "entity"), (r, num_relations, "relation")):
        wrong = (ids < 0) | (ids >= size)
        if wrong.any():
            value = ids[wrong][0]
            lines.fail_where(
                wrong,
                f"{kind} id {value} out of range 0 to {size - 1}: {{line}}",
                f"columns are head, tail, relation; add the {kind} to {kind}2id.txt or remove the line",
            )
    return np.stack([h, r, t], axis=1)


@dataclass
class NamedTriples:
    """Triples of names as a file gives them.

    Args:
        lines: Where they stand, length ``E``.
        head: Names, length ``E``.
        relation: Names, length ``E``.
        tail: Names, length ``E``.
    """

    lines: Lines
    head: pa.Array
    relation: pa.Array
    tail: pa.Array

    def __len__(self) -> int:
        return len(self.lines)

    def to_ids(self, entities: Sequence[str], relations: Sequence[str]) -> np.ndarray:
        """Ids (h, r, t) in the given lists, int64, shape ``[E, 3]``; a name that is not in them is an error."""
        ids_of = []
        for kind, names, known in (
            ("entity", self.head, entities),
            ("relation", self.relation, relations),
            ("entity", self.tail, entities),
        ):
            ids = pc.index_in(names, value_set=pa.array(known, type=pa.large_string()))
            missing = np.asarray(pc.is_null(ids))
            if missing.any():
                name = names[int(np.flatnonzero(missing)[0])].as_py()
                cure = f"add it to the list of {'entities' if kind == 'entity' else 'relations'} or remove the line"
                self.lines.fail_where(missing, f"unknown {kind} {name!r}: {{line}}", cure)
            ids_of.append(np.asarray(ids, dtype=np.int64))
        return np.stack(ids_of, axis=1)


def read_triples(path: str | Path | Lines) -> NamedTriples:
    """Triples from a file (or lines) of ``head⇥relation⇥tail``; only tabs separate, so names may hold spaces."""
    lines = path if isinstance(path, Lines) else read_lines(path)
    fields = pc.split_pattern(lines.text, "\t")
    length = np.asarray(pc.list_value_length(fields))
    fail_on_fields(lines, length, "separate head, relation and tail with tabs")
    empty = np.asarray(pc.equal(fields.flatten(), "")).reshape(-1, 3).any(1)
    lines.fail_where(empty, "empty name: {line}", "give head, relation and tail")
    return NamedTriples(lines, *columns(fields, 3))


def vocabulary(files: Sequence[NamedTriples]) -> tuple[list[str], list[str]]:
    """Names of entities and relations that occur in some files, each sorted, so that ids depend on no row's order."""
    entities = pa.chunked_array([column for f in files for column in (f.head, f.tail)], type=pa.large_string())
    relations = pa.chunked_array([f.relation for f in files], type=pa.large_string())
    return sorted(pc.unique(entities).to_pylist()), sorted(pc.unique(relations).to_pylist())


def oddities(files: Sequence[Lines], triples: Sequence[NamedTriples] = ()) -> dict[str, int]:
    """What readers forgave some files, where there was anything.

    Args:
        files: All that was read.
        triples: The files of triples of names among them.

    Returns:
        ``carriage_returns`` and ``blank_lines``: how many lines; ``byte_order_marks``: how many files;
        ``entities_if_carriage_returns_stayed``: how many entities a reader would find that leaves them at the tails.
    """
    found = {
        "carriage_returns": sum(int(lines.carriage.sum()) for lines in files),
        "blank_lines": sum(lines.blank for lines in files),
        "byte_order_marks": sum(lines.mark for lines in files),
    }
    if found["carriage_returns"] and triples:
        ends = [pa.array(part.lines.carriage) for part in triples]
        with_end = [part.tail.filter(end) for part, end in zip(triples, ends, strict=True)]
        without = [part.tail.filter(pc.invert(end)) for part, end in zip(triples, ends, strict=True)]
        counts = (
            len(pc.unique(pa.chunked_array(columns, type=pa.large_string())))
            for columns in (with_end, [*without, *(part.head for part in triples)])
        )
        found["entities_if_carriage_returns_stayed"] = sum(counts)
    return {name: count for name, count in found.items() if count}


@dataclass
class EntityText:
    """Rows of ``entity2text.tsv``, each list of length ``L``; name and description may be empty."""

    ids: list[str]
    names: list[str]
    descriptions: list[str]

    def aligned(self, entities: Sequence[str]) -> tuple[list[str], list[str], int]:
        """Names ``[N]`` and descriptions ``[N]`` for given ids (empty where there is none), and how many had a row."""
        row = {name: at for at, name in enumerate(self.ids)}
        at = [row.get(name, -1) for name in entities]
        return (
            [self.names[i] if i >= 0 else "" for i in at],
            [self.descriptions[i] if i >= 0 else "" for i in at],
            sum(i >= 0 for i in at),
        )


def _unescape(column: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(pc.replace_substring(column, '\\"', '"'), r"\\[trn]", " ")


def read_entity_text(path: str | Path) -> EntityText:
    r"""Labels and descriptions from ``id⇥name⇥description`` lines.

    Quotes mean nothing. Upstream's escapes are undone: ``\"`` becomes a quote; ``\t``, ``\r`` and ``\n`` a space.
    """
    lines = read_lines(path)
    fields = pc.split_pattern(lines.text, "\t")
    length = np.asarray(pc.list_value_length(fields))
    fail_on_fields(lines, length, "write id, name and description, separated by tabs; the description may be empty")
    ids, names, descriptions = (pc.ascii_trim_whitespace(_unescape(column)) for column in columns(fields, 3))
    lines.fail_where(pc.equal(ids, ""), "empty id: {line}", "begin the line with the entity's id")
    lines.fail_where(
        repeated(np.asarray(ids.dictionary_encode().indices)), "id given twice: {line}", "keep one line for each id"
    )
    return EntityText(ids.to_pylist(), names.to_pylist(), descriptions.to_pylist())
