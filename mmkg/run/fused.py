"""A run's scorer with pictures and texts in its entities' embeddings."""

from __future__ import annotations

import torch

from mmkg.datasets import MultimodalKG
from mmkg.errors import DataError
from mmkg.run.build import encode_missing
from mmkg.run.config import RunConfig
from mmkg.scorers import Scorer, fuse
from mmkg.training import stream
from mmkg.types import Features


def fused_features(config: RunConfig, dataset: MultimodalKG) -> dict[str, Features]:
    """Features that a run's entities are fused with, by modality; what is not yet encoded is encoded now and kept.

    Raises:
        DataError: If a modality is asked for that the dataset has nothing of.
    """
    if config.fusion is None:
        return {}
    found = {}
    encode_missing(dataset, config.fuse_with)
    for modality in config.fuse_with:
        features = dataset.features(modality)
        if features is None:
            told = f"{type(dataset).__name__} has no {modality} features here to fuse with"
            raise DataError(told, cure="leave it out of fuse_with, or see the dataset's card for how to get them")
        found[modality] = features
    return found


def fused(config: RunConfig, scorer: Scorer, features: dict[str, Features]) -> Scorer:
    """The scorer fused with features by modality; as it is where there are none."""
    if not features:
        return scorer
    torch.manual_seed(stream(config.train.seed, "fusion"))
    return fuse(scorer, features, fusion=config.fusion, scale=config.fuse_scale)
