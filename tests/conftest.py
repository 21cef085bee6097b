"""What several rooms' tests share: where the raw benchmark files are, and a small graph with a learnable structure."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # two busy-waiting threads starve each other where cores are shared
# sums on a GPU are not the same to the bit twice, as many tests want them to be
if os.environ.get("MMKG_TEST_GPU", "0") in ("", "0"):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
if "PYTEST_XDIST_WORKER" in os.environ:  # a core for each worker and what it starts
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the benchmarks' raw files and the reference numbers, or a skip that says how to get them."""
    folder = Path(os.environ.get("MMKG_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(
            f"raw benchmark files are not at {folder}: set MMKG_SHARED to a folder that holds data/ and reference/"
        )
    return folder


@pytest.fixture
def kin() -> Data:
    """A graph of 4 relations on 60 entities in a ring: next, previous, opposite and twin (symmetric)."""
    n = 60
    i = torch.arange(n)
    parts = [
        torch.stack([i, torch.zeros_like(i), (i + 1) % n]),
        torch.stack([(i + 1) % n, torch.ones_like(i), i]),
        torch.stack([i, torch.full_like(i, 2), (i + n // 2) % n]),
        torch.stack([i, torch.full_like(i, 3), i ^ 1]),
    ]
    triples = torch.cat(parts, dim=1)  # [3, 240], rows h, r, t
    order = torch.randperm(triples.shape[1], generator=torch.Generator().manual_seed(0))
    triples = triples[:, order]
    data = Data(edge_index=triples[[0, 2]], edge_type=triples[1], num_nodes=n)
    data.num_relations = 4
    number = torch.arange(triples.shape[1])
    data.train_mask, data.val_mask, data.test_mask = number < 200, (number >= 200) & (number < 220), number >= 220
    data.entity_names = [f"e{k:02d}" for k in range(n)]
    data.relation_names = ["next", "previous", "opposite", "twin"]
    return data
