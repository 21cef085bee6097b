"""From settings to a sampler, by name."""

from __future__ import annotations

import inspect

import torch

from mmkg.errors import DataError
from mmkg.graph import Facts
from mmkg.run.config import RunConfig
from mmkg.samplers import MMRNS, SAMPLERS, NegativeSampler
from mmkg.scorers import Scorer
from mmkg.training import stream
from mmkg.types import Features

GIVEN = {"self", "num_entities", "num_negatives", "num_relations", "facts", "scorer"}
"""What a sampler gets from the run itself and not from ``SamplerConfig.options``."""
SAID = {"entity_dim", "relation_dim", "image", "text", "pool", "pool_size", "memory_mb", "attention_dim", "gate_dim"}
SAID |= {"gate_layers", "epsilon", "tau", "beta", "alpha", "relaxation", "gumbel_gradient", "contrast"}
SAID |= {"use_image", "use_text", "use_structure"}
"""What MMRNS gets from the run besides: settings with names of their own, and modalities."""


def check_sampler(config: RunConfig) -> None:
    """Raise DataError where a sampler cannot be had or an option is not its own."""
    s = config.sampler
    if s.name not in SAMPLERS:
        raise DataError(f"unknown sampler {s.name!r}", cure=f"choose one of {', '.join(sorted(SAMPLERS))}")
    if s.name == "mans" and config.draws_negatives and config.fusion is None:
        problem = "mans exchanges pictures and texts of a model with fused entities, and this run fuses none"
        raise DataError(problem, cure="choose a fusion too: mmkg train --fusion, or RunConfig.fusion")
    takes = set(inspect.signature(SAMPLERS[s.name].__init__).parameters) - GIVEN
    if s.name == "mmrns":
        takes -= SAID
    if unknown := sorted(set(s.options) - takes):
        told = f"it has {', '.join(sorted(takes))}" if takes else "it has none here"
        raise DataError(f"sampler {s.name} has no option {unknown[0]!r}", cure=f"leave it out; {told}")
    defaults = inspect.signature(SAMPLERS[s.name].__init__).parameters
    for name, value in s.options.items():
        if isinstance(defaults[name].default, (int, float)) and not isinstance(value, (int, float)):
            raise DataError(f"sampler {s.name}: {name} is {value!r}, not a number", cure="give a number")


def build_sampler(config: RunConfig, model: Scorer, features: dict[str, Features], data) -> NegativeSampler | None:
    """The sampler of a run, initialised by its seed; None for an objective that needs none.

    Args:
        config: Settings.
        model: The scorer that will be trained against it.
        features: What MMRNS looks at, by modality.
        data: Graph whose train triples are trained on; its facts are made for a sampler that wants them.

    Raises:
        DataError: If a number is out of range.
    """
    s = config.sampler
    if not config.draws_negatives:
        return None
    if s.negatives < 1 or s.pool < 0:
        raise DataError(
            f"negatives {s.negatives}, pool {s.pool}", cure="negatives is at least 1; pool at least 0 (all)"
        )
    torch.manual_seed(stream(config.train.seed, "sampler"))
    if s.name == "mmrns":
        return _mmrns(config, model, features)
    kind = SAMPLERS[s.name]
    takes = inspect.signature(kind.__init__).parameters
    given = {"num_relations": lambda: model.num_relations, "facts": lambda: Facts.from_data(data)}
    return kind(model.num_nodes, s.negatives, **{n: get() for n, get in given.items() if n in takes}, **s.options)


def _mmrns(config: RunConfig, model: Scorer, features: dict[str, Features]) -> MMRNS:
    s = config.sampler
    return MMRNS(
        model.num_nodes,
        model.node_emb.weight.shape[1],
        model.rel_emb.weight.shape[1],
        features.get("image"),
        features.get("text"),
        num_negatives=s.negatives,
        pool=s.pool_kind,  # type: ignore[arg-type]
        memory_mb=s.memory_mb,  # type: ignore[arg-type]
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
        **s.options,
    )
