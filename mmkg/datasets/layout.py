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
    names a folder of the same shape, to which nothing is ever written, and fetched otherwise.

    Attributes:
        folder: The dataset's name.
        required: Raw files without which there is no graph.
        remotes: Where raw files, these and others, are fetched from.
    """

    folder: ClassVar[str]
    required: ClassVar[tuple[str, ...]] = ()
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

    def folders(self) -> list[Path]:
        """Where files are looked for, in this order."""
        extra = os.environ.get("MMKG_RAW")
        return [self.home, *([Path(extra) / self.folder] if extra else [])]

    def find(self, relative: str) -> Path | None:
        """A file given relative to ``<root>/<name>``, there or in ``MMKG_RAW``; None if it is in neither."""
        return next((folder / relative for folder in self.folders() if (folder / relative).is_file()), None)

    def raw_file(self, name: str) -> Path:
        """A raw file, fetched if it is not there."""
        path = self.find(f"raw/{name}")
        if path is not None:
            return path
        target = self.home / "raw" / name
        if name not in self.remotes:
            raise DataError("missing", file=target, cure=f"put {name} there, or set MMKG_RAW")
        return fetch(self.remotes[name], target, f"{self.folder}/raw")
