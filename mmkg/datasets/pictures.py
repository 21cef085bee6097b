"""Picture files of entities: a folder of pictures (or of folders of pictures) named after the entities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

SUFFIXES = {".png", ".jpg", ".jpeg", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2"}


def find_pictures(folder: Path, names: Sequence[str], labels: Sequence[str]) -> list[Path | None]:
    """The picture of each entity, None where there is none.

    A picture is named after the raw name (``/`` written as ``.``, a leading one left out, so that Freebase's
    ``/m/0abc`` is ``m.0abc.jpg``), after the last part of an address, or after the label. The same letters come first;
    then case, and ``_`` for a space, do not matter. A folder of that name gives its first picture by name.

    Args:
        folder: Where pictures lie.
        names: Raw names, length ``N``.
        labels: Human names, length ``N``.

    Returns:
        Paths, length ``N``.
    """
    exact: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.is_dir():
            inside = (p for p in sorted(path.iterdir()) if p.suffix.lower() in SUFFIXES)
            first = next(inside, None)
            if first is not None:
                exact.setdefault(path.name, first)
        elif path.suffix.lower() in SUFFIXES:
            exact.setdefault(path.stem, path)
    alike: dict[str, Path] = {}
    for name, path in exact.items():
        alike.setdefault(_same(name), path)
    found = []
    for name, label in zip(names, labels, strict=True):
        bare = name.strip("<>‹›")
        spellings = (bare.strip("/").replace("/", "."), bare.rsplit("/", 1)[-1], label.replace("/", "."))
        by_letters = next((exact[s] for s in spellings if s in exact), None)
        found.append(by_letters or next((alike[_same(s)] for s in spellings if _same(s) in alike), None))
    return found


def strangers(folder: Path, found: Sequence[Path | None]) -> list[Path]:
    """What lies in a folder of pictures and is nobody's: no entity is called so, or its ending is no picture's.

    Args:
        folder: Where pictures lie.
        found: The picture of each entity, as :func:`find_pictures` gives them.

    Returns:
        Files and folders, by name; hidden ones, such as ``.DS_Store``, are left out.
    """
    used = {path for path in found if path is not None}
    used |= {path.parent for path in used}
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in there if path not in used and not path.name.startswith(".")]


def _same(name: str) -> str:
    return name.casefold().replace("_", " ")
