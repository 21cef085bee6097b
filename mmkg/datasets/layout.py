"""Where the files of a dataset lie, and where missing ones come from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from torch_geometric.data import InMemoryDataset

from mmkg.datasets.download import Remote, fetch
from mmkg.errors import DataError


class DatasetFiles(InMemoryDataset):
    """Folders of a dataset.

    ``<root>/<name>/`` holds ``raw`` (as released), ``processed`` (made from it), ``features`` (as others made them),
    ``images``, and ``entity2text.tsv``. A file that is not there is read from ``$MMKG_RAW/<name>/`` if that variable
    is set, which names a folder of the same shape to which nothing is ever written, and fetched otherwise.

    Attributes:
        folder: The dataset's name.
        required: Raw files without which there is no graph.
        remotes: Where raw files, these and others, are fetched from.
    """

    folder: str  # of the class, but for a folder of the user's own
    required: tuple[str, ...] = ()
    remotes: ClassVar[dict[str, Remote]] = {}

    @property
    def home(self) -> Path:
        """``<root>/<name>``."""
        return Path(self.root) / self.folder

    @property
    def raw_dir(self) -> str:
        """``<root>/<name>/raw``."""
        return str(self.home / "raw")

    @property
    def processed_dir(self) -> str:
        """``<root>/<name>/processed``."""
        return str(self.home / "processed")

    @property
    def raw_file_names(self) -> list[str]:
        """What must be there to read the graph."""
        return list(self.required)

    @property
    def raw_paths(self) -> list[str]:
        """Where each of them is, or is to be."""
        return [str(self.find(f"raw/{name}") or self.home / "raw" / name) for name in self.required]

    @classmethod
    def raw_there(cls, root: str | Path) -> dict[str, Path | None]:
        """Where each file of ``required`` lies, without fetching any; None where it is in none of the folders.

        Args:
            root: Folder that holds datasets.
        """
        homes = places(root, cls.folder)
        return {n: next((h / "raw" / n for h in homes if (h / "raw" / n).is_file()), None) for n in cls.required}

    def folders(self) -> list[Path]:
        """Where files are looked for, in this order."""
        return places(self.root, self.folder)

    def find(self, relative: str) -> Path | None:
        """A file given relative to ``<root>/<name>``, there or in ``MMKG_RAW``; None if it is in neither."""
        return next((folder / relative for folder in self.folders() if (folder / relative).is_file()), None)

    def raw_file(self, name: str) -> Path:
        """A raw file, fetched if it is not there."""
        path = self.find(f"raw/{name}")
        if path is not None:
            return path
        target = self.home / "raw" / name
        extra = raw_root()
        elsewhere = "set MMKG_RAW to a folder that holds" if extra is None else f"into MMKG_RAW ({extra}) as"
        cure = f"put {name} at {target}, or {elsewhere} {self.folder}/raw/{name}"
        if name not in self.remotes:
            raise DataError("missing", file=target, cure=cure)
        return fetch(self.remotes[name], target, cure, progress=self.log)


def places(root: str | Path, folder: str) -> list[Path]:
    """Where the files of the dataset ``folder`` are looked for: ``<root>/<folder>``, then in ``MMKG_RAW`` if set."""
    extra = raw_root()
    return [Path(root) / folder, *([] if extra is None else [extra / folder])]


def raw_root() -> Path | None:
    """The folder that ``MMKG_RAW`` names; None if it is not set.

    Raises:
        DataError: If there is no such folder: what is in it would be fetched again, or missed, without a word.
    """
    named = os.environ.get("MMKG_RAW")
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise DataError("MMKG_RAW names no folder", file=named, cure="correct the variable, or unset it")
    return folder
