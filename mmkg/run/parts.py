"""All that a run is put together from, for training and for loading alike."""

from __future__ import annotations

from dataclasses import dataclass

from mmkg.datasets import MultimodalKG
from mmkg.run.build import build_scorer, used_features
from mmkg.run.config import RunConfig
from mmkg.run.fused import fused, fused_features
from mmkg.run.refit import refit_data
from mmkg.run.sampler import build_sampler
from mmkg.samplers import NegativeSampler
from mmkg.scorers import Scorer
from mmkg.types import Features


@dataclass(frozen=True)
class Parts:
    """What a run is put together from.

    Args:
        seen: Graph whose train triples are trained on: the dataset's own, or with validation among them for a refit.
        features: What the sampler looks at and what entities are fused with, by modality.
        model: The scorer, initialised by the run's seed.
        sampler: The sampler, likewise; None where none is needed or asked for.
    """

    seen: object
    features: dict[str, Features]
    model: Scorer
    sampler: NegativeSampler | None


def put_together(config: RunConfig, dataset: MultimodalKG, *, sampler: bool = True) -> Parts:
    """Make a run's parts from its settings.

    Args:
        config: Settings.
        dataset: Opened by :func:`mmkg.run.open_dataset`, with features if a sampler that looks at some is wanted.
        sampler: Whether to make the sampler as well.

    Raises:
        DataError: If features that are asked for are missing, or an option is not to be had.
    """
    data = dataset.topology
    seen = refit_data(data) if config.refit else data
    looked_at = used_features(config, dataset) if sampler and config.looks_at_features else {}
    of_entities = fused_features(config, dataset)
    model = fused(config, build_scorer(config, int(data.num_nodes), int(data.num_relations)), of_entities)
    made = build_sampler(config, model, looked_at, seen) if sampler else None
    return Parts(seen, looked_at | of_entities, model, made)
