"""A dataset root whose WorldMoji has small random features, and runs trained on it."""

from dataclasses import replace

import pytest
import torch
from accelerate.state import AcceleratorState

from mmkg.datasets import WorldMoji
from mmkg.run import Run, RunConfig, SamplerConfig
from mmkg.training import TrainConfig
from mmkg.types import Features


def random_features(number, present, regions, width, seed):
    """Random features of some entities: they stand in for encoded pictures and texts, which take a minute to make."""
    generator = torch.Generator().manual_seed(seed)
    row = torch.full((number,), -1)
    row[present] = torch.arange(len(present))
    values = torch.randn(len(present), regions, width, generator=generator).half()
    return Features(values, torch.ones(len(present), regions, dtype=torch.bool), row, None, {"encoder": "random"})


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("datasets")
    dataset = WorldMoji(folder, log=False)
    n = dataset.topology.num_nodes
    dataset.feature_files.put("image", "random", random_features(n, torch.arange(0, n, 3), 5, 7, 0))
    dataset.feature_files.put("text", "random", random_features(n, torch.arange(n), 3, 6, 1))
    return folder


@pytest.fixture
def config(root):
    return RunConfig(
        root=str(root),
        dim=8,
        sampler=SamplerConfig(negatives=4, pool=64, attention=8, gate=8),
        train=TrainConfig(steps=8, batch_size=32, learning_rate=0.01, validate_every=4, checkpoint_every=4),
    )


@pytest.fixture(scope="session")
def trained(root, tmp_path_factory):
    """A short run with MMRNS, not to be changed."""
    config = RunConfig(
        root=str(root),
        dim=8,
        sampler=SamplerConfig(negatives=4, pool=64, attention=8, gate=8),
        train=TrainConfig(steps=4, batch_size=32, validate_every=4),
    )
    return Run.train(config, tmp_path_factory.mktemp("runs") / "trained", progress=False)


@pytest.fixture(scope="session")
def uniform(root, tmp_path_factory):
    """A short run with uniform negatives, not to be changed."""
    config = RunConfig(root=str(root), dim=8, train=TrainConfig(steps=4, batch_size=32, validate_every=4))
    config = replace(config, sampler=SamplerConfig(name="uniform", negatives=4))
    return Run.train(config, tmp_path_factory.mktemp("runs") / "uniform", progress=False)


@pytest.fixture(autouse=True)
def fresh_accelerator():
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
