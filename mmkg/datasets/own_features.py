"""Features that users bring along: files in ``features/`` that say by their names what they are."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from mmkg.datasets.array_files import MASK, NAMES, mask_file, names_file, read_array
from mmkg.datasets.feature_files import FeatureSource
from mmkg.errors import DataError

OWN = re.compile(r"(image|text)(?:[_-](.+))?\.(npy|safetensors)")
# formats in which features are often kept, too; the first of them execute what they hold
OTHERS = re.compile(r"(image|text)([_-].+)?\.(pt|pth|pkl|pickle|npz|h5|hdf5|bin|mat|csv|parquet)")
UNNAMED = re.compile(r"(?!(image|text)[_.-]).+\.(npy|safetensors)")


def own_sources(folders: Sequence[Path]) -> list[FeatureSource]:
    """The user's own feature files, by name.

    A file ``features/image_<name>.npy`` or ``.safetensors`` is the set ``<name>`` of pictures, ``text_<name>`` one of
    texts; ``image.npy`` and ``text.npy`` are called ``own``. What they hold says
    :func:`~mmkg.datasets.array_files.read_array`.

    Args:
        folders: Where a dataset's files are looked for, the first that has a set counts.

    Raises:
        DataError: If one set is there in both formats.
    """
    found: dict[tuple[str, str], FeatureSource] = {}
    for folder in folders:
        here: dict[tuple[str, str], Path] = {}
        for path in sorted((folder / "features").glob("*")):
            match = OWN.fullmatch(path.name)
            if match is None:
                if OTHERS.fullmatch(path.name):
                    warnings.warn(
                        f"{path} is not read: save it as .npy or .safetensors, with {NAMES} beside it", stacklevel=3
                    )
                continue
            if path.name.endswith(f".{MASK}.npy") or not path.is_file():
                continue
            key = match[1], match[2] or "own"
            if key in here:
                problem = f"{here[key].name} and {path.name} are both there"
                raise DataError(problem, file=folder / "features", cure="keep one of them")
            here[key] = path
        for key, path in here.items():
            found.setdefault(key, _source(*key, path))
    return list(found.values())


def unnamed_arrays(folder: Path) -> list[Path]:
    """Arrays in a folder of features whose names say neither image nor text, so that they are not read."""
    return [path for path in sorted(folder.glob("*")) if UNNAMED.fullmatch(path.name)]


def _source(modality: str, name: str, path: Path) -> FeatureSource:
    return FeatureSource(
        modality,
        name,
        lambda: path if path.is_file() else None,
        lambda names: [[name] for name in names],
        read=read_array,
        beside=lambda: (names_file(path), mask_file(path)),
    )
