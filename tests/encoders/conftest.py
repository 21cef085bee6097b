"""Pictures for, and no hub in, the tests of the encoders' room."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch):
    # these tests never ask the hub, whatever the machine could reach
    import huggingface_hub.constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.fixture(autouse=True)
def _one_thread():
    # the models are small, and on a busy machine two threads wait for one another at every layer
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_pictures(tmp_path):
    """Write ``count`` different noisy PNG pictures of various sizes."""

    def make(count: int, folder: str = "pictures") -> list[Path]:
        (tmp_path / folder).mkdir(exist_ok=True)
        paths = []
        for i in range(count):
            noise = np.random.default_rng(i).integers(0, 256, (20 + i % 7, 30 + i % 5, 3), dtype=np.uint8)
            paths.append(tmp_path / folder / f"{i:03}.png")
            Image.fromarray(noise).save(paths[-1])
        return paths

    return make
