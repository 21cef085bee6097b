"""From settings to a sampler, by name."""

from __future__ import annotations

from collections.abc import Callable

import torch

from mmkg.errors import DataError
from mmkg.run.config import RunConfig
from mmkg.samplers import MMRNS, NegativeSampler, UniformSampler
from mmkg.scorers import Scorer
from mmkg.training import stream
from mmkg.types import Features


def build_sampler(config: RunConfig, model: Scorer, features: dict[str, Features]) -> NegativeSampler | None:
    """The sampler over some features, initialised by the run's seed; None for an objective that needs none."""
    s = config.sampler
    if not config.draws_negatives:
        return None
    if s.negatives < 1 or s.pool < 0:
        raise DataError(
            f"negatives {s.negatives}, pool {s.pool}", cure="negatives is at least 1; pool at least 0 (all)"
        )
    torch.manual_seed(stream(config.train.seed, "sampler"))
    return SAMPLERS[s.name](config, model, features)


def _uniform(config: RunConfig, model: Scorer, features: dict[str, Features]) -> NegativeSampler:
    return UniformSampler(model.num_nodes, config.sampler.negatives)


def _mmrns(config: RunConfig, model: Scorer, features: dict[str, Features]) -> NegativeSampler:
    s = config.sampler
    return MMRNS(
        model.num_nodes,
        model.node_emb.weight.shape[1],
        model.rel_emb.weight.shape[1],
        features.get("image"),
        features.get("text"),
        num_negatives=s.negatives,
        pool=s.pool_kind,
        memory_mb=s.memory_mb,
        pool_size="all" if s.pool == 0 or s.pool >= model.num_nodes else s.pool,
        attention_dim=s.attention,
        gate_dim=s.gate,
        gate_layers=s.gate_layers,
        epsilon=s.epsilon,
        tau=s.tau,
        beta=s.beta,
        alpha=config.alpha,
        relaxation=s.relaxation,
        gumbel_gradient=s.gumbel_gradient,
        contrast=s.contrast,
        use_structure="structure" in s.modalities,
    )


SAMPLERS: dict[str, Callable[[RunConfig, Scorer, dict[str, Features]], NegativeSampler]] = {
    "uniform": _uniform,
    "mmrns": _mmrns,
}
"""How each sampler is made, by the name that the command line knows it under."""
