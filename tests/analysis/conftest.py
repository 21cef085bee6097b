"""A small graph in which a question has several answers, so that some negatives are in truth held-out facts."""

import pytest
import torch
from accelerate.state import AcceleratorState
from torch_geometric.data import Data


def ring() -> Data:
    """What :func:`crowd` gives."""
    n = 60
    i = torch.arange(n)
    pairs = [(0, 1), (1, -1)] + [(2, k) for k in (-3, -2, 2, 3)] + [(3, n // 2)]
    triples = torch.cat([torch.stack([i, torch.full_like(i, r), (i + k) % n]) for r, k in pairs], dim=1)  # [3, 420]
    triples = triples[:, torch.randperm(triples.shape[1], generator=torch.Generator().manual_seed(0))]
    data = Data(edge_index=triples[[0, 2]], edge_type=triples[1], num_nodes=n)
    data.num_relations = 4
    number = torch.arange(triples.shape[1])
    data.train_mask, data.val_mask, data.test_mask = number < 340, (number >= 340) & (number < 380), number >= 380
    data.entity_names = [f"e{k:02d}" for k in range(n)]
    data.relation_names = ["next", "previous", "near", "opposite"]
    return data


@pytest.fixture
def crowd() -> Data:
    """60 entities in a ring under next, previous, opposite and near (symmetric, N-N: 2 and 3 steps either way)."""
    return ring()


@pytest.fixture(scope="module")
def crowd_once() -> Data:
    """The same, for what is made once for many tests; not to be changed."""
    return ring()


@pytest.fixture(autouse=True)
def fresh_accelerator():
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
