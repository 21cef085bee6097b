"""The user's own graph: a folder of triples, texts and pictures."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow.compute as pc

from mmkg.datasets.base import MultimodalKG
from mmkg.datasets.lines import columns, fail_on_fields, read_lines, repeated
from mmkg.datasets.own_features import unnamed_arrays
from mmkg.datasets.pictures import strangers
from mmkg.datasets.processed import fingerprint
from mmkg.datasets.raw_graph import RawGraph
from mmkg.datasets.readers import EntityText, oddities, read_triples, vocabulary
from mmkg.datasets.split import split as split_triples
from mmkg.errors import DataError

STEMS = {
    "triples": ("triples",),
    "train": ("train",),
    "val": ("valid", "val", "validation", "dev"),
    "test": ("test",),
}
SUFFIXES = (".tsv", ".txt")
ENTITY_FILE, ENTITY_HEADER = "entities.tsv", "id\tname\tdescription"
ENTITY_COLUMNS = "id⇥name⇥description a line"
# triple files have no header; these first lines are one all the same, and would become a fact unnoticed
TRIPLE_HEADERS = {
    "\t".join(names)
    for names in (
        ("head", "relation", "tail"),
        ("subject", "predicate", "object"),
        ("subject", "relation", "object"),
        ("subject", "property", "object"),
        ("source", "relation", "target"),
        ("from", "relation", "to"),
        ("head", "rel", "tail"),
        ("head_id", "relation_id", "tail_id"),
        ("head_id", "relation", "tail_id"),
        ("h", "r", "t"),
        ("s", "p", "o"),
    )
}
WITH_TABS = """in pandas, df.to_csv("triples.tsv", sep="\\t", header=False, index=False)"""
GIVE = "put triples.tsv (head⇥relation⇥tail) there, or train.tsv, valid.tsv and test.tsv"


class MultimodalFolder(MultimodalKG):
    """A graph of your own, in a folder::

        my_graph/
            triples.tsv     head⇥relation⇥tail, no header; or train.tsv, valid.tsv and test.tsv
            entities.tsv    optional: id⇥name⇥description, with or without just that header
            images/         optional: pictures named after entities, by id or by name: PNG, JPEG, WebP, GIF, BMP,
                            TIFF, AVIF or JPEG 2000
            features/       optional: arrays of your own, see :func:`~mmkg.datasets.array_files.read_array`:
                            image_clip.npy or .safetensors, text_e5.npy, and entities.txt with the rows' ids

    Triple files may end in ``.txt`` as well, and ``val``, ``validation`` or ``dev`` may stand for ``valid``; a missing
    or empty ``valid.tsv`` or ``test.tsv`` is an empty split. A folder with ``triples.tsv`` is split by seed: inverse
    pairs stay together, and nothing is held out that does not occur in train, so that a small graph may hold out less
    than was asked for. Each distinct triple is then one edge; splits that you give are taken as they are. Names are
    taken letter by letter; ``report`` counts ``duplicated_lines`` and ``names_with_outer_spaces``, among other things.

    Ids follow the sorted names. An entity that stands in ``entities.tsv`` alone is no part of the graph; ``report``
    counts it in ``text_rows_of_other_entities``. Where pictures lie and how they are named says
    :func:`~mmkg.datasets.pictures.find_pictures`. A graph is made again when its files change.

    Args:
        path: The folder.
        split: None, ``"train"``, ``"val"`` or ``"test"``.
        fractions: Shares of train, validation and test that ``triples.tsv`` is split into; they add up to 1.
        seed: Of that split.
        root: Where to write: ``<root>/<name of the folder>/processed``, for a folder that cannot be written to. None
            for ``<path>/processed``.
        **options: Of :class:`~mmkg.datasets.base.MultimodalKG`.

    Raises:
        DataError: If the folder is no graph; the error names file, line, value and cure.

    Example:
        >>> dataset = MultimodalFolder("my_graph/")  # doctest: +SKIP
        >>> dataset.encode_text(), dataset.encode_images()  # doctest: +SKIP
        >>> dataset[0]  # doctest: +SKIP
    """

    def __init__(
        self,
        path: str | Path,
        split: Literal["train", "val", "test"] | None = None,
        *,
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        seed: int = 0,
        root: str | Path | None = None,
        **options,
    ) -> None:
        self.source = Path(os.path.abspath(Path(path).expanduser()))  # "." has no name of its own
        self.fractions, self.seed = tuple(map(float, fractions)), int(seed)
        split_triples(np.zeros((0, 3)), self.fractions)  # shares that make no sense are refused before any reading
        self.parts = find_parts(self.source)
        self.folder = self.source.name
        optional = [ENTITY_FILE] if (self.source / ENTITY_FILE).is_file() else []
        for path in [] if optional else sorted(self.source.glob("entities.*")):
            warnings.warn(f"{path} is not read: save it as {ENTITY_FILE}, {ENTITY_COLUMNS}", stacklevel=2)
        for path in unnamed_arrays(self.source / "features"):
            cure = f"call it image_{path.name} or text_{path.name}"
            warnings.warn(f"{path} is not read, for its name does not say what it is: {cure}", stacklevel=2)
        self.required = (*(file.name for file in self.parts.values()), *optional)
        super().__init__(self.source.parent if root is None else root, split, **options)

    def options(self) -> tuple[str, ...]:
        """How ``triples.tsv`` was split; nothing where the splits were given."""
        return (f"{'-'.join(map(repr, self.fractions))}_seed{self.seed}",) if "triples" in self.parts else ()

    @property
    def raw_dir(self) -> str:
        """The folder itself."""
        return str(self.source)

    def folders(self) -> list[Path]:
        """The folder and no other: ``MMKG_RAW`` is for benchmarks."""
        return [self.source]

    def find(self, relative: str) -> Path | None:
        """A file of the folder, which has no ``raw`` of its own."""
        return super().find(relative.removeprefix("raw/"))

    def read(self) -> RawGraph:
        """Read the triples and what is known of the entities."""
        files = {part: self.raw_file(file.name) for part, file in self.parts.items()}
        texts = read_entities(self.raw_file(ENTITY_FILE)) if ENTITY_FILE in self.required else None
        read = {}
        for part, file in files.items():
            lines = read_lines(file)
            if len(lines) and lines.text[0].as_py().casefold() in TRIPLE_HEADERS:
                shown = repr(lines.text[0].as_py())
                raise DataError(f"header {shown}", file=file, line=int(lines.number[0]), cure="remove this line")
            read[part] = read_triples(lines)
        first = next(iter(files))  # triples or train
        if not len(read[first]):
            raise DataError("no triples", file=files[first], cure="write one head⇥relation⇥tail a line")
        entities, relations = vocabulary(list(read.values()))
        _tell_of_columns(entities, relations, files[first])
        ids = {part: triples.to_ids(entities, relations) for part, triples in read.items()}  # [E_part, 3]
        distinct = {part: _first_of_each(triples) for part, triples in ids.items()}
        report = {
            "files": [file.name for file in files.values()],
            "duplicated_lines": sum(len(ids[part]) - len(distinct[part]) for part in ids),
            "names_with_outer_spaces": sum(name != name.strip() for name in (*entities, *relations)),
            **oddities([triples.lines for triples in read.values()], list(read.values())),
        }
        if first == "triples":
            report |= {"fractions": list(self.fractions), "seed": self.seed}
            masks = split_triples(distinct[first], self.fractions, self.seed)
            train, val, test = (distinct[first][mask] for mask in masks)
        else:
            train, val, test = (ids.get(part, np.zeros((0, 3), dtype=np.int64)) for part in ("train", "val", "test"))
        raw = RawGraph(entities, relations, train, val, test, report=report)
        if texts is not None:
            raw.add_texts(texts, self.source / ENTITY_FILE)
        return raw

    @property
    def report(self) -> dict:
        """What was counted, how many entities have a picture in ``images/``, and how many files there are of nobody."""
        pictures = [] if self._whole is None else self.image_paths()
        counts = {"pictures": sum(path is not None for path in pictures)}
        if pictures and (others := strangers(self.source / "images", pictures)):
            counts["pictures_of_nobody"] = len(others)
        return {**super().report, **counts}

    def _made_from(self) -> str | None:
        made_from = super()._made_from()
        # the base looks at contents alone, but valid.tsv renamed to test.tsv is another graph
        return None if made_from is None else fingerprint([], made_from, *self.required)

    def __repr__(self) -> str:
        return f"MultimodalFolder({str(self.source)!r}" + (f", split={self.split!r})" if self.split else ")")


def find_parts(folder: Path) -> dict[str, Path]:
    """The triple files of a folder: ``triples`` alone, or ``train`` and what there is of ``val`` and ``test``.

    Raises:
        DataError: If it is no folder, holds no triples, or files that do not go together.
    """
    if not folder.is_dir():
        if folder.exists():
            raise DataError("not a folder", file=folder, cure="give the folder that holds the triples")
        raise DataError("no such folder", file=folder, cure="check the path")
    parts: dict[str, Path] = {}
    for part, stems in STEMS.items():
        names = [stem + suffix for stem in stems for suffix in SUFFIXES]
        there = [folder / name for name in names if (folder / name).is_file()]
        if len(there) > 1:
            shown = " and ".join(file.name for file in there)
            raise DataError(f"{shown} are both there", file=folder, cure="keep one of them")
        if there:
            parts[part] = there[0]
    if not parts:
        known = {stem for stems in STEMS.values() for stem in stems}
        for file in sorted(folder.iterdir()):
            if file.is_file() and file.stem.casefold() in known:
                cure = f"save head, relation and tail with tabs between them, as triples.tsv: {WITH_TABS}"
                raise DataError(f"{file.name} is not read, and no other triples are there", file=folder, cure=cure)
        raise DataError("no triples in this folder", file=folder, cure=GIVE)
    if "triples" in parts and len(parts) > 1:
        whole, *others = [file.name for file in parts.values()]
        cure = f"keep {whole} to have it split here, or the others to use their splits"
        raise DataError(f"{whole} and {', '.join(others)} are both there", file=folder, cure=cure)
    if not {"triples", "train"} & set(parts):
        shown = " and ".join(file.name for file in parts.values())
        raise DataError(f"{shown} without train.tsv", file=folder, cure=GIVE)
    return parts


def read_entities(path: Path) -> EntityText:
    """Rows of ``entities.tsv``, letter by letter: no quotes, no escapes, nothing trimmed."""
    lines = read_lines(path)
    if len(lines) and lines.text[0].as_py() == ENTITY_HEADER:
        lines = lines.part(1)
    fields = pc.split_pattern(lines.text, "\t")
    length = np.asarray(pc.list_value_length(fields))
    fail_on_fields(lines, length, "separate id, name and description with tabs; name and description may be empty")
    table = columns(fields, 3)
    lines.fail_where(pc.equal(table[0], ""), "empty id: {line}", "begin the line with the entity's id")
    again = repeated(np.asarray(table[0].dictionary_encode().indices))
    lines.fail_where(again, "id given twice: {line}", "keep one line for each id")
    return EntityText(*(column.to_pylist() for column in table))


def _tell_of_columns(entities: list[str], relations: list[str], file: Path) -> None:
    """Warn where most relations are entities, too: the columns may be head, tail, relation."""
    known = set(entities)
    both = [name for name in relations if name in known]
    if len(both) > len(relations) / 2 and len(relations) > 1:
        told = f"{file}: {len(both)} of {len(relations)} relations are entities as well, such as {both[0]!r}"
        warnings.warn(f"{told}; the columns must be head, relation, tail", stacklevel=3)


def _first_of_each(triples: np.ndarray) -> np.ndarray:
    """Distinct triples ``[E', 3]`` in the order in which they first occur."""
    return triples[np.sort(np.unique(triples, axis=0, return_index=True)[1])]
