"""Feature files of a dataset: which are there, which one is wanted, and their conversion from what was released."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from mmkg.datasets.graph_data import KGData
from mmkg.datasets.hdf5 import read_hdf5
from mmkg.errors import DataError
from mmkg.files import unwritable
from mmkg.types import Features

MODALITIES = ("image", "text")
SAMPLES = 64  # places of a file that are looked at to tell it from another


@dataclass(frozen=True)
class FeatureSource:
    """A file of features that others released.

    Args:
        modality: ``"image"`` or ``"text"``.
        name: What the set is called, for example ``"mmrns-beit"``.
        file: Finds the file; None where it is not there.
        keys: Gives the keys of each entity in that file, length ``N``.
        rows: Regions or sentences to keep, if known.
        width: Columns, if known.
        exact: Whether every array has just that many rows.
        read: Reads the file, with the arguments of :func:`~mmkg.datasets.hdf5.read_hdf5`.
        beside: Finds small files that belong to it; those that are not there do not count.
    """

    modality: str
    name: str
    file: Callable[[], Path | None]
    keys: Callable[[Sequence[str]], list[list[str]]]
    rows: int | None = None
    width: int | None = None
    exact: bool = True
    read: Callable[..., Features] = read_hdf5
    beside: Callable[[], Sequence[Path]] = tuple

    def state(self, path: Path) -> dict[str, int | str]:
        """What tells a file from another one of its name: size, age, a sample, and what lies beside it."""
        about = path.stat()
        digest = hashlib.blake2b(digest_size=16)
        with open(path, "rb") as file:  # all of a gigabyte would take a second at every start
            for start in range(0, about.st_size, max(1, about.st_size // SAMPLES)):
                file.seek(start)
                digest.update(file.read(4096))
        for second in self.beside():
            digest.update(second.read_bytes() if second.is_file() else b"")
        return {"file": path.name, "bytes": about.st_size, "modified": about.st_mtime_ns, "sample": digest.hexdigest()}


class FeatureFiles:
    """The features of one dataset, in ``processed/features/<modality>_<name>_<R>x<D>_fp16.npy``.

    Args:
        folder: ``processed/features``.
        sources: Released files, the preferred first.
        graph: The whole graph; None if it was filtered out.
        wanted: Per modality ``"auto"``, a name, or None.
        marks: Gives what else identifies the entities' pictures, length ``N``, or nothing.
        progress: Show bars.
    """

    def __init__(
        self,
        folder: Path,
        sources: Sequence[FeatureSource],
        graph: KGData | None,
        wanted: dict[str, str | None],
        marks: Callable[[], list[str]] = list,
        progress: bool = True,
    ) -> None:
        self.folder, self.sources, self.graph, self.progress = folder, list(sources), graph, progress
        self.wanted, self.marks = dict(wanted), marks
        self._open: dict[str, Features | None] = {}

    def available(self, modality: str) -> list[str]:
        """Names of the sets that are there: released ones in order of preference, then those made here, by name."""
        _check_modality(modality)
        released = [s.name for s in self.sources if s.modality == modality and s.file() is not None]
        labels = [label for label in self._stored(modality) if label.rsplit("_", 1)[0] not in map(slug, released)]
        encoders = [label.rsplit("_", 1)[0] for label in labels]  # the shape tells sets of one encoder apart
        return released + [e if encoders.count(e) == 1 else label for e, label in zip(encoders, labels, strict=True)]

    def check(self, modality: str) -> None:
        """Raise where a set is asked for by a name that is not there."""
        wanted, there = self.wanted[modality], self.available(modality)
        if wanted not in (None, "auto") and wanted not in there:
            raise DataError(
                f"no {modality} features {wanted!r} in {self.folder}",
                cure=f"choose one of {', '.join(['auto', *there])}; make them with dataset.encode_{modality}"
                + ("s()" if modality == "image" else "()")
                + f"; or put {modality}_{wanted}.npy and entities.txt into features/",
            )

    def get(self, modality: str) -> Features | None:
        """The wanted set, memory-mapped; opened once."""
        _check_modality(modality)
        if modality not in self._open:
            self._open[modality] = self._choose(modality)
        return self._open[modality]

    def put(self, modality: str, name: str, features: Features) -> Features:
        """Store a set, and take it for this dataset from now on."""
        from mmkg.encoders import load_features, save_features

        features.provenance = {**features.provenance, "made_for": self.made_for(modality)}
        stem = self.stem(modality, name, features.shape)
        try:
            stem.parent.mkdir(parents=True, exist_ok=True)
            with self._alone():
                save_features(stem, features)
                self._open[modality] = load_features(stem)
        except OSError as error:
            raise unwritable(stem.with_name(f"{stem.name}.npy"), error) from error
        return self._open[modality]

    def _alone(self) -> FileLock:
        """While it is held, no other process writes features here: a set is three files that belong together."""
        return FileLock(self.folder / ".lock")

    def _stored_features(self, stem: Path) -> Features:
        """A stored set; if it is not whole, another process may be about to write it."""
        from mmkg.encoders import load_features

        try:
            return load_features(stem)
        except DataError as error:
            if not (self.folder / ".lock").exists():
                raise
            try:
                with self._alone():
                    return load_features(stem)
            except OSError:  # a read-only folder, in which nobody writes
                raise error from None

    def stem(self, modality: str, name: str, shape: tuple[int, int, int]) -> Path:
        """Path without suffix of a stored set."""
        return self.folder / f"{modality}_{slug(name)}_{shape[1]}x{shape[2]}_fp16"

    def made_for(self, modality: str) -> str:
        """Hash of what the rows belong to: names, and the texts or the pictures' marks."""
        if modality == "text":
            return self.digest([*self.graph.entity_names, *self.graph.entity_labels, *self.graph.descriptions])
        return self.digest([*self.graph.entity_names, *self.marks()])

    @staticmethod
    def digest(texts: Sequence[str]) -> str:
        """Hash of some texts in order."""
        return hashlib.blake2b("\n".join(texts).encode(), digest_size=16).hexdigest()

    def existing(self, modality: str, **provenance) -> Features | None:
        """A stored set, made for this graph, whose provenance has these values; None if there is none."""
        wanted = {**provenance, "made_for": self.made_for(modality)}
        for stem in self._stored(modality).values():
            features = self._stored_features(stem)
            if wanted.items() <= features.provenance.items():
                self._open[modality] = features
                return features
        return None

    def _stored(self, modality: str) -> dict[str, Path]:
        """Stems of stored sets by ``<name>_<R>x<D>``; the JSON is written last, without it a set is not whole."""
        pattern = re.compile(rf"{modality}_(.+_\d+x\d+)_fp16\.json")
        found = ((pattern.fullmatch(path.name), path) for path in sorted(self.folder.glob(f"{modality}_*.json")))
        return {match[1]: path.with_name(path.name[: -len(".json")]) for match, path in found if match}

    def _stems_of(self, modality: str, name: str) -> list[Path]:
        """The stored sets of that name (or name and shape)."""
        stored = self._stored(modality)
        return [stem for label, stem in stored.items() if name == label or slug(name) == label.rsplit("_", 1)[0]]

    def _choose(self, modality: str) -> Features | None:
        wanted = self.wanted[modality]
        if wanted is None or self.graph is None:
            return None
        self.check(modality)
        for name in self.available(modality) if wanted == "auto" else [wanted]:
            features = self._load(modality, name)
            if features is not None:
                return features
        return None

    def _load(self, modality: str, name: str) -> Features | None:
        """A set by name; None if it was made for other entities or texts than the graph has now."""
        source = next((s for s in self.sources if s.modality == modality and s.name == name), None)
        path = None if source is None else source.file()
        wanted = {"made_for": self.made_for(modality), **({} if path is None else source.state(path))}
        stems = self._stems_of(modality, name)
        for stem in stems:
            features = self._stored_features(stem)
            if wanted.items() <= features.provenance.items():
                return features
        if path is None:
            warnings.warn(
                f"{stems[0]}.npy was made for other entities or texts than the graph has now and is left aside; "
                "make it again with dataset.encode_text() or dataset.encode_images()",
                stacklevel=4,
            )
            return None
        features = source.read(
            path,
            source.keys(self.graph.entity_names),
            rows=source.rows,
            width=source.width,
            exact=source.exact,
            progress=self.progress,
        )
        features.provenance.update(encoder=name, **source.state(path))
        return self.put(modality, name, features)


def slug(name: str) -> str:
    """A name that may stand in a file's name: its letters and digits, or a hash where it has none."""
    told = re.sub(r"(?:[^\w-]|_)+", "-", name).strip("-")
    return told or hashlib.blake2b(name.encode(), digest_size=4).hexdigest()


def dense(features: Features) -> tuple[Tensor, Tensor]:
    """All entities' values ``[N, R, D]`` in float16 (zero where absent) and mask ``[N, R]``."""
    present = features.present.nonzero().view(-1)
    rows = features.row[present]
    values = torch.zeros(len(features.row), *features.shape[1:], dtype=torch.float16)
    mask = torch.zeros(values.shape[:2], dtype=torch.bool)
    if rows.numel():
        stored = features.values
        taken = stored[rows] if isinstance(stored, Tensor) else torch.from_numpy(np.asarray(stored[rows.numpy()]))
        mask[present] = features.mask[rows]
        values[present] = taken.half().masked_fill(~mask[present][..., None], 0.0)
    return values, mask


def coverage(features: Features | None) -> dict:
    """Who has the modality: counts, shape and where it comes from."""
    if features is None:
        return {"present": 0}
    rows, regions, width = features.shape
    kept = {k: v for k, v in features.provenance.items() if isinstance(v, (str, int, float))}
    return {**kept, "present": rows, "absent": len(features.row) - rows, "regions": regions, "width": width}


def _check_modality(modality: str) -> None:
    if modality not in MODALITIES:
        raise ValueError(f"modality {modality!r}: choose image or text")
