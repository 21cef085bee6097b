"""DB15K: DBpedia's part of MMKB, as used by MMRNS and all who compare with it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from mmkg.datasets.base import MultimodalKG
from mmkg.datasets.download import Remote
from mmkg.datasets.entity_keys import dbpedia_keys, freebase_keys, table_keys
from mmkg.datasets.feature_files import FeatureSource
from mmkg.datasets.raw_graph import RawGraph
from mmkg.datasets.split import carve

GRAPH = "https://raw.githubusercontent.com/zjukg/AdaMF-MAT/main/benchmarks/DB15K"
MMKB = "https://raw.githubusercontent.com/mniepert/mmkb/master/DB15K"
VALIDATION_SHARE, VALIDATION_SEED = 0.05, 0


class DB15K(MultimodalKG):
    """DB15K: 12,842 entities and 279 relations of DBpedia, with pictures and texts.

    **The published validation split is broken**: its 9,904 lines are 7,481 distinct triples, of which 6,584 are in
    train and 824 in test. A model selected on it is selected on train and test. The default therefore leaves it out
    and takes 5 % of the train triples for validation (seed 0; inverse pairs stay together, nothing is unseen in the
    rest); the 73 triples that are in neither stay in the evaluation filter (``extra_filter``), so that test numbers
    are comparable.

    Triples: `AdaMF-MAT <https://github.com/zjukg/AdaMF-MAT>`_; graph and picture index:
    `MMKB <https://github.com/mniepert/mmkb>`_ (BSD-3). Feature files, if they lie in ``DB15K/features/``:
    ``mmrns-beit`` and ``mmrns-sbert`` (`MMRNS <https://github.com/quqxui/MMRNS>`_), ``mmkb-vgg`` (MMKB).

    Args:
        root: Folder that holds datasets.
        split_policy: ``"clean"``, or ``"published"`` for the release as it is, duplicates and overlap included, with a
            warning.
        split: None, ``"train"``, ``"val"`` or ``"test"``.
        **options: Of :class:`~mmkg.datasets.base.MultimodalKG`.

    Example:
        >>> data = DB15K("datasets")[0]  # doctest: +SKIP
        >>> data.num_nodes, data.num_relations, int(data.test_mask.sum())  # doctest: +SKIP
        (12842, 279, 9902)
    """

    folder = "DB15K"
    required = ("entity2id.txt", "relation2id.txt", "train2id.txt", "valid2id.txt", "test2id.txt")
    remotes = {  # noqa: RUF012
        name: Remote(f"{base}/{name}", digest)
        for base, name, digest in (
            (GRAPH, "entity2id.txt", "8f8d070f1bb24d07ed3050e4e4e780cb7f2245d0b14db3346e8db4fa55981728"),
            (GRAPH, "relation2id.txt", "25e5a975ee079dbd5b8d22ffe23575a9e3135d263e0a3763224777bf526c1a74"),
            (GRAPH, "train2id.txt", "d41f9b9ab5c0e6eed393e0f93febb4258dc02e5e4a4e2a99c49410d167522804"),
            (GRAPH, "valid2id.txt", "dc7ed39aa14e35a2f7ac09a0ff046067ee0e0d7953f8a204f04e7c09776095b1"),
            (GRAPH, "test2id.txt", "15f28535d04f3711b739a49d824f2346167384283cde57123376392d418ad6de"),
            (MMKB, "DB15K_SameAsLink.txt", "329f13f5834eff712ab7fcaa214407d3f48bcaa9b6c48e5fcae632994e070141"),
            (MMKB, "DB15K_ImageIndex.txt", "fcd2f034111388af8ae3fc58e15822d85b02d9d043b5191b4b0ffa0a622bd29b"),
        )
    }

    def __init__(
        self,
        root: str | Path = "datasets",
        split_policy: Literal["clean", "published"] = "clean",
        split: Literal["train", "val", "test"] | None = None,
        **options,
    ) -> None:
        if split_policy not in ("clean", "published"):
            raise ValueError(f"split_policy {split_policy!r}: choose clean or published")
        self.split_policy = split_policy
        super().__init__(root, split, **options)
        if split_policy == "published":
            warnings.warn(
                "DB15K's published validation split repeats 6584 train and 824 test triples: do not select a model on "
                "it; split_policy='clean' gives a sound one",
                stacklevel=2,
            )

    def options(self) -> tuple[str, ...]:
        """The split policy."""
        return (self.split_policy,)

    def read(self) -> RawGraph:
        """Read the id files and apply the split policy."""
        raw = RawGraph.from_id_files(self.raw_file)
        train, val, test = raw.train, raw.val, raw.test
        raw.report |= {"published_validation": _compare(train, val, test), "split_policy": self.split_policy}
        if self.split_policy == "published":
            return raw
        whole = np.unique(train, axis=0, return_index=True)[1]
        train = train[np.sort(whole)]  # distinct, in the order of the file
        outside = _difference(np.unique(val, axis=0), np.concatenate([train, test]))
        carved = carve(train, VALIDATION_SHARE, VALIDATION_SEED)
        return replace(raw, train=train[~carved], val=train[carved], extra_filter=outside)

    def sources(self) -> Sequence[FeatureSource]:
        """MMRNS's BEiT and SBERT features, MMKB's VGG features."""
        return (
            FeatureSource(
                "image",
                "mmrns-beit",
                lambda: self.find("features/MMKB_img_BEIT_16-224.h5"),
                lambda names: freebase_keys(self.raw_file("DB15K_SameAsLink.txt"), names),
                rows=24,
                width=383,
            ),
            FeatureSource(
                "image",
                "mmkb-vgg",
                lambda: self.find("features/DB15K_ImageData.h5"),
                lambda names: table_keys(self.raw_file("DB15K_ImageIndex.txt"), names),
                rows=1,
            ),
            FeatureSource(
                "text",
                "mmrns-sbert",
                lambda: self.find("features/MMKB_description_sentences.h5"),
                dbpedia_keys,
                rows=4,
                width=384,
                exact=False,
            ),
        )


def _rows(triples: np.ndarray) -> np.ndarray:
    """Triples ``[E, 3]`` as single values ``[E]`` that can be compared."""
    return np.ascontiguousarray(triples, dtype=np.int64).view([("h", "<i8"), ("r", "<i8"), ("t", "<i8")]).reshape(-1)


def _difference(triples: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Those triples that are not among the known, ``[X, 3]``."""
    return triples[~np.isin(_rows(triples), _rows(known))]


def _compare(train: np.ndarray, val: np.ndarray, test: np.ndarray) -> dict:
    """How the published validation file relates to train and test."""
    distinct = np.unique(val, axis=0)
    in_train, in_test = (np.isin(_rows(distinct), _rows(part)) for part in (train, test))
    return {
        "lines": len(val),
        "distinct": len(distinct),
        "in_train": int(in_train.sum()),
        "in_test": int(in_test.sum()),
        "in_neither": int((~in_train & ~in_test).sum()),
    }
