"""What the tests of the samplers share: small worlds, and the straightforward form."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent


def load(path: Path):
    """A module from its file, whatever pytest's import mode: tests then import it by its bare name."""
    if path.stem not in sys.modules:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        sys.modules[path.stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[path.stem])
    return sys.modules[path.stem]


load(HERE / "sampler_world.py")


@pytest.fixture(scope="session")
def oracle():
    """benchmarks/straightforward_kca.py: MMRNS straight from its equations."""
    return load(HERE.parents[1] / "benchmarks" / "straightforward_kca.py")


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    """Tensors here are tiny: threads that wait for one another on a busy machine cost far more than they save."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
