"""The base of all datasets: one graph, its splits as masks, its pictures and texts beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor

from mmkg.datasets.describe import describe
from mmkg.datasets.encoding import encode_images, encode_text, encoded_sentences
from mmkg.datasets.feature_files import MODALITIES, FeatureFiles, FeatureSource, coverage, dense
from mmkg.datasets.graph_data import KGData
from mmkg.datasets.layout import DatasetFiles
from mmkg.datasets.own_features import own_sources
from mmkg.datasets.pictures import find_pictures
from mmkg.datasets.processed import FORMAT, fingerprint, read_processed, write_processed
from mmkg.datasets.raw_graph import RawGraph
from mmkg.datasets.readers import read_entity_text
from mmkg.graph import names
from mmkg.types import Features

SPLITS = ("train", "val", "test")
TEXT_FILE = "entity2text.tsv"


class MultimodalKG(DatasetFiles):
    r"""A multimodal knowledge graph.

    ``dataset[0]`` is one :class:`~mmkg.datasets.graph_data.KGData`. Where its files lie says
    :class:`~mmkg.datasets.layout.DatasetFiles`. A benchmark is a subclass that sets ``folder``, ``required``,
    ``remotes`` and :meth:`read`.

    Pictures and texts come, in this order, from features of your own (``features/image_<name>.npy`` or
    ``.safetensors``, likewise ``text_<name>``, with the names of the rows in ``entities.txt`` beside it, see
    :func:`~mmkg.datasets.array_files.read_array`); from features that others released, where the benchmark's class
    says so; and from :meth:`encode_images` and :meth:`encode_text`.

    Args:
        root: Folder that holds datasets.
        split: None for the whole graph with ``train_mask``, ``val_mask`` and ``test_mask``; ``"train"``, ``"val"`` or
            ``"test"`` for that part's edges alone, in the form of PyG's ``FB15k_237``.
        image: Which picture features to attach: ``"auto"`` for what is there, a name out of
            ``dataset.available("image")``, or None.
        text: The same for texts.
        transform: Applied to the graph at each access.
        pre_transform: Applied to the whole graph before it is stored.
        pre_filter: The dataset is empty if it returns False for the whole graph.
        log: Show progress.
        force_reload: Make the processed graph again.

    Shapes:
        - ``edge_index [2, E]``, ``edge_type [E]``, ``train_mask``, ``val_mask``, ``test_mask`` ``[E]``
        - ``extra_filter [3, X]``: true triples (h, r, t) in no split, for the evaluation filter
        - ``entity_names``, ``entity_labels``, ``descriptions``: lists of length ``N``
        - ``relation_names``, ``relation_labels``: lists of length ``R``
        - ``image [N, R_i, D_i]`` and ``text [N, S, D_t]`` in float16, ``image_mask [N, R_i]``, ``text_mask [N, S]``
    """

    def __init__(
        self,
        root: str | Path = "datasets",
        split: Literal["train", "val", "test"] | None = None,
        *,
        image: str | None = "auto",
        text: str | None = "auto",
        transform: Callable | None = None,
        pre_transform: Callable | None = None,
        pre_filter: Callable | None = None,
        log: bool = True,
        force_reload: bool = False,
    ) -> None:
        if split is not None and split not in SPLITS:
            raise ValueError(f"split {split!r}: choose None, train, val or test")
        self.name, self.split = self.folder, split
        self._wanted = {"image": image, "text": text}
        self._payload: dict | None = None
        super().__init__(str(root), transform, pre_transform, pre_filter, log, force_reload)
        if self._payload is None:
            self._payload = read_processed(Path(self.processed_paths[0]))
        self._adopt(self._payload)
        self.feature_files = FeatureFiles(
            Path(self.processed_dir) / "features",
            [*own_sources(self.folders()), *self.sources()],
            self._whole,
            self._wanted,
            marks=self.picture_marks,
            progress=log,
        )
        for modality in MODALITIES:  # a misspelt name should not wait for the first access
            self.feature_files.check(modality)

    # what a benchmark says of itself -----------------------------------------------------------------------------

    def options(self) -> tuple[str, ...]:
        """What distinguishes this processed graph from others of the dataset; goes into its file's name."""
        return ()

    def read(self) -> RawGraph:
        """Read the raw files, each found with :meth:`raw_file`."""
        raise NotImplementedError(f"{type(self).__name__}.read")

    def sources(self) -> Sequence[FeatureSource]:
        """Released feature files that this dataset understands, the preferred first."""
        return ()

    def picture_marks(self) -> list[str]:
        """What tells, without looking at them, that entities' pictures are others than they were; may be empty."""
        return []

    @property
    def processed_file_names(self) -> list[str]:
        """One file, named after the options."""
        parts = ["graph", *self.options()]
        if self.pre_transform is not None or self.pre_filter is not None:
            shown = describe((self.pre_transform, self.pre_filter))
            parts.append("pre" + hashlib.blake2b(shown.encode(), digest_size=4).hexdigest())
        return ["_".join(parts) + ".pt"]

    # PyG's steps -------------------------------------------------------------------------------------------------

    def download(self) -> None:
        """Fetch what is missing."""
        for name in self.required:
            self.raw_file(name)

    def process(self) -> None:
        """Read, report, transform and store the graph."""
        raw = self.read()
        text_file = self.find(TEXT_FILE)
        if text_file is not None and raw.labels is None:
            raw.add_texts(read_entity_text(text_file), text_file)
        report = {"dataset": self.folder, "options": list(self.options()), **raw.counts(), **raw.report}
        data = raw.to_data()
        if self.pre_filter is not None and not self.pre_filter(data):
            data = None
        elif self.pre_transform is not None:
            data = self.pre_transform(data)
        as_dict = None if data is None else data.to_dict()
        write_processed(Path(self.processed_paths[0]), as_dict, report, self._made_from())

    def _download(self) -> None:
        # a processed graph serves without its raw files; PyG would fetch them again
        if self.force_reload or not Path(self.processed_paths[0]).exists():
            self.download()

    def _process(self) -> None:
        # PyG's own step trusts a file's existence and reads its notes on pre_transform as pickles, executing them
        path = Path(self.processed_paths[0])
        if path.exists() and not self.force_reload:
            payload, made_from = read_processed(path), self._made_from()
            if made_from == payload["made_from"] or (made_from is None and payload["format"] == FORMAT):
                self._payload = payload
                return
            self.download()  # what it was made from is another now, or an older mmkg made it
        self.process()

    def _made_from(self) -> str | None:
        """Hash of the files and settings that the graph is made from; None where raw files are gone."""
        files = [self.find(f"raw/{name}") for name in self.required]
        if None in files:
            return None
        text_file = self.find(TEXT_FILE)
        return fingerprint([f for f in [*files, text_file] if f is not None], type(self).__name__, *self.options())

    def load(self, path: str, data_cls: type = KGData) -> None:
        """Load a processed graph. Other than in PyG, a file that would execute code is refused."""
        self._adopt(read_processed(Path(path)))

    def _adopt(self, payload: dict) -> None:
        self._report = payload["report"]
        self._whole = None if payload["data"] is None else KGData.from_dict(payload["data"])
        self.data, self.slices = (None if self._whole is None else _view(self._whole, self.split)), None
        self._dense: dict[str, tuple[Tensor, Tensor]] = {}
        self._pictures: list[Path | None] | None = None

    # access ------------------------------------------------------------------------------------------------------

    def len(self) -> int:
        """1, or 0 where ``pre_filter`` refused the graph."""
        return 0 if self._data is None else super().len()

    def get(self, idx: int) -> KGData:
        """The graph with the features that are there."""
        data = super().get(idx)
        for modality in MODALITIES:
            features = self.features(modality)
            if features is not None and modality not in data:
                if modality not in self._dense:
                    self._dense[modality] = dense(features)
                data[modality], data[f"{modality}_mask"] = self._dense[modality]
        return data

    @property
    def topology(self) -> KGData:
        """The graph (or the split's view of it) without features: what training needs beside :meth:`features`."""
        return super().get(0)

    @property
    def extra_filter(self) -> Tensor | None:
        """True triples (h, r, t) in no split, shape ``[3, X]``; None in a view of one split."""
        return self._data.to_dict().get("extra_filter")  # PyG's own look-up cannot handle increments by row

    def features(self, modality: str) -> Features | None:
        """Features of ``"image"`` or ``"text"``, memory-mapped; None if there are none or none were asked for."""
        return self.feature_files.get(modality)

    def encode_text(self, encoder=None, max_sentences: int = 4, *, batch_size: int = 64) -> Features:
        """Encode labels and descriptions, once; from then on they are the ``text`` of this dataset.

        Args:
            encoder: A text encoder of :mod:`mmkg.encoders`; the one bundled as a package if None.
            max_sentences: An entity's sentences are its label and as many of its description's as fit.
            batch_size: Sentences encoded at once.

        Returns:
            Features ``[M, max_sentences, D]``, memory-mapped.
        """
        self._dense.pop("text", None)
        return encode_text(self.feature_files, encoder, max_sentences, batch_size)

    def encode_images(self, encoder=None, regions: tuple[int, int] = (4, 6), *, batch_size: int = 16) -> Features:
        """Encode the entities' pictures, once; from then on they are the ``image`` of this dataset.

        Call it again when pictures were added or exchanged: what is the same is not encoded anew.

        Args:
            encoder: A picture encoder of :mod:`mmkg.encoders`; the one bundled as a package if None.
            regions: Rows and columns of the grid that a picture is divided into.
            batch_size: Pictures encoded at once.

        Returns:
            Features ``[M, rows * columns, D]``, memory-mapped.
        """
        self._dense.pop("image", None)
        return encode_images(self.feature_files, self.image_paths(), encoder, regions, batch_size)

    def image_paths(self) -> list[Path | None]:
        """Picture of each entity, from ``images/``; None where there is none."""
        if self._pictures is None:
            folder = next((f / "images" for f in self.folders() if (f / "images").is_dir()), self.home / "images")
            self._pictures = find_pictures(folder, self._whole.entity_names, self._whole.entity_labels)
        return self._pictures

    def image_path(self, entity: int | str) -> Path | None:
        """Picture of one entity, given by id or name; None if there is none."""
        return self.image_paths()[self.find_entity(entity)]

    def sentences(self, entity: int | str) -> list[str] | None:
        """What the rows of an entity's text features stand for; None where features are not of :meth:`encode_text`."""
        number = self.find_entity(entity)
        text = self._whole.entity_labels[number], self._whole.descriptions[number]
        return encoded_sentences(self.features("text"), *text)

    def available(self, modality: str) -> list[str]:
        """Names of feature sets that are there, in the order in which ``"auto"`` takes them."""
        return self.feature_files.available(modality)

    @property
    def report(self) -> dict:
        """What was counted: sizes, duplicates, overlaps, self-loops, unseen entities, and who has a picture or text."""
        return {**self._report, **{m: coverage(self.features(m)) for m in MODALITIES}}

    def find_entity(self, name: str | int) -> int:
        """Id of an entity by raw name or label, see :func:`mmkg.graph.names.find_entity`."""
        return names.find_entity(self._whole, name)

    def find_relation(self, name: str | int) -> int:
        """Id of a relation by raw name or label."""
        return names.find_relation(self._whole, name)

    def __repr__(self) -> str:
        part = f", split={self.split!r}" if self.split else ""
        return f"{type(self).__name__}({', '.join(map(repr, self.options()))}{part})".replace("(, ", "(")


def _view(data: KGData, split: str | None) -> KGData:
    """The graph itself, or one split's edges with all entities and relations."""
    if split is None:
        return data
    keep = data[f"{split}_mask"]
    view = KGData(edge_index=data.edge_index[:, keep], edge_type=data.edge_type[keep])
    for key, value in data.to_dict().items():
        if data.is_edge_attr(key):
            if key not in view and key not in {f"{s}_mask" for s in SPLITS}:  # a pre_transform may have added some
                view[key] = value[keep] if isinstance(value, Tensor) else value
        elif key != "extra_filter":
            view[key] = value
    return view
