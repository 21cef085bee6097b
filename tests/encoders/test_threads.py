"""Threads are fitted to the idle cores, and given back."""

import psutil
import pytest
import torch

from mmkg.encoders.threads import idle_cores_only


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("four_threads")
@pytest.mark.parametrize(
    ("busy", "threads"), [([0] * 8, 4), ([0] * 4, 4), ([100, 90, 5, 0], 2), ([100] * 4, 1), ([0, 100], 1)]
)
def test_threads_fit_the_idle_cores(busy, threads, monkeypatch):
    monkeypatch.setattr(psutil, "cpu_percent", lambda **_: busy)
    with idle_cores_only("cpu") as given:
        assert given == torch.get_num_threads() == threads
    assert torch.get_num_threads() == 4


@pytest.mark.usefixtures("four_threads")
def test_threads_are_given_back_after_an_error_and_left_alone_on_an_accelerator(monkeypatch):
    monkeypatch.setattr(psutil, "cpu_percent", lambda **_: [100] * 4)
    with pytest.raises(KeyboardInterrupt), idle_cores_only():
        raise KeyboardInterrupt
    assert torch.get_num_threads() == 4
    with idle_cores_only("cuda") as given:
        assert given == 4
