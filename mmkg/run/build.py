"""From settings to objects: dataset, features, scorer, sampler, objective."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from mmkg.datasets import (
    DB15K,
    FB15K,
    MKG_W,
    MKG_Y,
    WN18,
    WN18RR,
    FB15k_237,
    MultimodalFolder,
    MultimodalKG,
    WorldMoji,
)
from mmkg.errors import DataError
from mmkg.run.config import RunConfig
from mmkg.run.controls import controlled
from mmkg.run.sampler import check_sampler
from mmkg.scorers import FUSIONS, SCORERS, Scorer
from mmkg.scorers.pooling import SCALES
from mmkg.training import OBJECTIVES, stream
from mmkg.types import Features

DATASETS: dict[str, type[MultimodalKG]] = {
    "worldmoji": WorldMoji,
    "db15k": DB15K,
    "fb15k": FB15K,
    "fb15k_237": FB15k_237,
    "mkg_w": MKG_W,
    "mkg_y": MKG_Y,
    "wn18": WN18,
    "wn18rr": WN18RR,
}
"""Datasets by the name that the command line knows them under."""

OBJECTIVE_OPTIONS = ("alpha", "objective_margin", "label_smoothing")


def _choose(kind: str, name: str, known) -> None:
    if name not in known:
        raise DataError(f"unknown {kind} {name!r}", cure=f"choose one of {', '.join(sorted(known))}")


def check_names(config: RunConfig) -> None:
    """Raise DataError where a name is unknown, before anything is read or written."""
    if config.dataset not in DATASETS and not Path(config.dataset).is_dir():
        known = ", ".join(sorted(DATASETS))
        if Path(config.dataset).is_file():
            raise DataError("not a folder", file=config.dataset, cure="give the folder that holds the triples")
        if Path(config.dataset).name != config.dataset:  # a path, and no name
            raise DataError("no such folder", file=config.dataset, cure="check the path")
        raise DataError(f"unknown dataset {config.dataset!r}", cure=f"choose one of {known}, or give your own folder")
    _choose("scorer", config.scorer, SCORERS)
    _choose("objective", config.objective, OBJECTIVES)
    check_sampler(config)
    if config.fusion is not None:
        _choose("fusion", config.fusion, FUSIONS)
        _choose("fuse_scale", config.fuse_scale, SCALES)
        for modality in config.fuse_with or ("nothing",):
            _choose("modality to fuse with", modality, ("image", "text"))


def open_dataset(config: RunConfig, *, features: bool, progress: bool = True) -> MultimodalKG:
    """The dataset of a run.

    Args:
        config: Settings.
        features: Whether pictures and texts are wanted; what is there but not yet encoded is encoded now and kept.
        progress: Whether to show bars.
    """
    own = config.dataset not in DATASETS
    kind = MultimodalFolder if own else DATASETS[config.dataset]
    if unknown := set(config.options) - set(inspect.signature(kind.__init__).parameters):
        raise DataError(f"{kind.__name__} has no option {sorted(unknown)[0]!r}", cure="leave it out")
    dataset = kind(config.dataset if own else config.root, **config.options, log=progress)
    encode_missing(dataset, config.sampler.modalities if features else ())
    return dataset


def encode_missing(dataset: MultimodalKG, modalities: Collection[str]) -> None:
    """Encode, and keep, those of the texts and pictures asked for that are there and not yet encoded."""
    if "text" in modalities and dataset.features("text") is None and any(dataset.topology.descriptions):
        dataset.encode_text()
    if "image" in modalities and dataset.features("image") is None and any(dataset.image_paths()):
        dataset.encode_images()


def used_features(config: RunConfig, dataset: MultimodalKG) -> dict[str, Features]:
    """Features that the sampler of a run looks at, by modality; those that are asked for and missing are told.

    Raises:
        DataError: If nothing is left to look at.
    """
    wanted = [m for m in config.sampler.modalities if m != "structure"]
    chosen = {m: f for m in wanted if (f := dataset.features(m)) is not None}
    if missing := [m for m in wanted if m not in chosen]:
        told = f"{type(dataset).__name__} has no {' and no '.join(missing)} features here"
        if not chosen and "structure" not in config.sampler.modalities:
            raise DataError(told, cure="add structure to the modalities, or see the dataset's card for how to get them")
        warnings.warn(f"{told}; MMRNS goes without", stacklevel=2)
    controls = {"image": config.sampler.images, "text": config.sampler.texts}
    return {m: controlled(f, controls[m], config.train.seed) for m, f in chosen.items()}


def build_scorer(config: RunConfig, num_nodes: int, num_relations: int) -> Scorer:
    """The scorer, initialised by the run's seed."""
    kind = SCORERS[config.scorer]
    torch.manual_seed(stream(config.train.seed, "scorer"))
    wanted: dict[str, Any] = {
        "margin": config.margin,
        "initial_std": config.initial_std,
        "reciprocal": config.reciprocal,
    }
    takes = inspect.signature(kind.__init__).parameters  # a margin is for distance scorers, a spread for bilinear ones
    options = {name: value for name, value in wanted.items() if name in takes}
    for name in ("reciprocal", "initial_std"):
        if wanted[name] and name not in takes:
            raise DataError(f"{config.scorer} has no option {name}", cure="leave it out")
    return kind(num_nodes, num_relations, config.dim, **options)


def build_objective(config: RunConfig) -> torch.nn.Module:
    """The objective."""
    kind = OBJECTIVES[config.objective]
    takes = inspect.signature(kind.__init__).parameters
    return kind(**{name: getattr(config, name) for name in OBJECTIVE_OPTIONS if name in takes})
