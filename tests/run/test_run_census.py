"""A run with a census in its folder: one argument, any sampler, the same run to the bit, also when stopped."""

import os
import signal
from dataclasses import replace

import pytest
import torch

from mmkg.analysis import Census, attribution, read_census
from mmkg.run import Run, open_dataset
from mmkg.training import Callback, TrainingInterrupted


@pytest.mark.parametrize("name", ["uniform", "mmrns"])
def test_a_run_with_a_census_is_the_same_run(config, tmp_path, name):
    config = replace(config, sampler=replace(config.sampler, name=name))
    alone = Run.train(config, tmp_path / "alone", progress=False)
    data = open_dataset(config, features=False, progress=False).topology
    census = Census(data, tmp_path / "run" / "census", probe=40, every=4, overhead=None)
    watched = Run.train(config, tmp_path / "run", progress=False, callbacks=[census])
    a, b = alone.model.state_dict(), watched.model.state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)
    rows = read_census(watched.folder / "census")
    assert sorted(rows.step.unique()) == [1, 4, 8]
    assert rows.attrs["provenance"]["vocabulary"]["names"] is not None
    if name == "mmrns":
        assert set(attribution(rows).modality) == {"image", "text", "structure"}
        assert rows[rows.source == "sampler"].image.isna().any()  # two thirds have no picture


def test_a_run_that_was_stopped_goes_on_with_its_census(config, tmp_path):
    class Stop(Callback):
        def on_step(self, trainer, step, losses):
            if step == 5:
                os.kill(os.getpid(), signal.SIGTERM)

    data, folder = open_dataset(config, features=False, progress=False).topology, tmp_path / "run"
    options = {"probe": 30, "every": 2, "overhead": None}
    with pytest.raises(TrainingInterrupted):
        Run.train(config, folder, progress=False, callbacks=[Census(data, folder / "census", **options), Stop()])
    again = Census(data, folder / "census", resume=True, **options)
    Run.train(config, folder, resume=True, progress=False, callbacks=[again])
    assert sorted(read_census(folder / "census").step.unique()) == [1, 2, 4, 6, 8]
