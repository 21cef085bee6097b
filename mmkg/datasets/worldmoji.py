"""WorldMoji: facts of the world with emoji for pictures; it needs nothing but packages from PyPI."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from mmkg.datasets.base import MultimodalKG
from mmkg.datasets.emoji import ATTRIBUTION, render
from mmkg.datasets.lines import Lines, columns, read_lines, repeated
from mmkg.datasets.raw_graph import RawGraph
from mmkg.datasets.readers import read_triples, vocabulary
from mmkg.errors import DataError

HEADER = "id\tname\tdescription\tpicture"


def facts_folder() -> Path:
    """Where the facts lie: inside the installed package, or in the source tree."""
    packaged = Path(__file__).parent / "worldmoji_raw"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "datasets" / "worldmoji" / "raw"


class WorldMoji(MultimodalKG):
    """A small real multimodal graph: borders, capitals, languages, what is a kind of what, and what evokes what.

    Its facts come with the package; its pictures are emoji of `OpenMoji <https://openmoji.org>`_ (CC BY-SA 4.0, show
    :attr:`attribution` where you show them), rendered at first use into ``<root>/worldmoji/images``. ``pip install
    mmkg[demo]`` brings pictures, renderer and encoders.

    Args:
        root: Folder that holds datasets.
        split: None, ``"train"``, ``"val"`` or ``"test"``.
        **options: Of :class:`~mmkg.datasets.base.MultimodalKG`.

    Example:
        >>> dataset = WorldMoji("datasets")  # doctest: +SKIP
        >>> dataset.encode_text(), dataset.encode_images()  # doctest: +SKIP
        >>> dataset[0].image.shape  # doctest: +SKIP
        torch.Size([2167, 24, 1280])
    """

    folder = "worldmoji"
    required = ("entities.tsv", "train.tsv", "valid.tsv", "test.tsv")
    attribution = ATTRIBUTION
    _codes: list[str] | None = None

    @classmethod
    def raw_there(cls, root: str | Path) -> dict[str, Path | None]:
        """Where the facts lie, which come with the package."""
        paths = {name: facts_folder() / name for name in cls.required}
        return {name: path if path.is_file() else None for name, path in paths.items()}

    def find(self, relative: str) -> Path | None:
        """A file of this dataset; the facts are always those of the installed package."""
        if not relative.startswith("raw/"):
            return super().find(relative)
        path = facts_folder() / relative.removeprefix("raw/")
        return path if path.is_file() else None

    def raw_file(self, name: str) -> Path:
        """A file of facts."""
        path = self.find(f"raw/{name}")
        if path is None:
            raise DataError("missing", file=facts_folder() / name, cure="install mmkg again; its facts come with it")
        return path

    def read(self) -> RawGraph:
        """Read the facts; ids follow the order of ``entities.tsv``."""
        _, (ids, labels, descriptions, pictures) = read_entities(self.raw_file("entities.tsv"))
        parts = [read_triples(self.raw_file(f"{part}.tsv")) for part in ("train", "valid", "test")]
        relations = vocabulary(parts)[1]
        train, val, test = (part.to_ids(ids, relations) for part in parts)
        report = {"pictures": sum(map(bool, pictures))}
        return RawGraph(ids, relations, train, val, test, labels=labels, descriptions=descriptions, report=report)

    def image_paths(self) -> list[Path | None]:
        """Picture of each entity, 224×224 on white, rendered if it has not been yet."""
        return self._render(range(len(self.picture_marks())))

    def image_path(self, entity: int | str) -> Path | None:
        """Picture of one entity, rendered if it has not been yet; None if it has none."""
        return self._render([self.find_entity(entity)])[0]

    def picture_marks(self) -> list[str]:
        """OpenMoji's code of each entity's picture, empty where it has none, length ``N``."""
        if self._codes is None:
            self._codes = read_entities(self.raw_file("entities.tsv"))[1][3]
        return self._codes

    def _render(self, entities: Sequence[int]) -> list[Path | None]:
        codes = [self.picture_marks()[entity] for entity in entities]
        paths = render([code for code in codes if code], self.home / "images", progress=self.log)
        return [paths[code] if code else None for code in codes]


def read_entities(path: Path) -> tuple[Lines, list[list[str]]]:
    """Lines and columns (id, name, description, picture) of ``entities.tsv``."""
    lines = read_lines(path)
    if not len(lines) or lines.text[0].as_py() != HEADER:
        shown = repr(lines.text[0].as_py()[:80]) if len(lines) else "an empty file"
        raise DataError(f"header is {shown}", file=path, line=1, cure="begin with id⇥name⇥description⇥picture")
    lines = lines.part(1)
    fields = pc.split_pattern(lines.text, "\t")
    wrong = np.asarray(pc.list_value_length(fields)) != 4
    lines.fail_where(wrong, "expected 4 fields: {line}", "separate id, name, description and picture with tabs")
    table = columns(fields, 4)
    lines.fail_where(pc.equal(table[0], ""), "empty id: {line}", "begin the line with the entity's id")
    again = repeated(np.asarray(table[0].dictionary_encode().indices))
    lines.fail_where(again, "id given twice: {line}", "keep one line for each id")
    code = pc.match_substring_regex(table[3], r"^([0-9A-F]+(-[0-9A-F]+)*)?$")
    lines.fail_where(
        pc.invert(code), "picture is no OpenMoji code: {line}", "write it as 1F1EB-1F1F7, or leave it empty"
    )
    return lines, [column.to_pylist() for column in table]
