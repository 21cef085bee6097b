"""Controls: features of the same shape that hold less, and what exactly is left in each."""

from dataclasses import replace

import pytest
import torch

from mmkg.errors import DataError
from mmkg.run import Run, SamplerConfig
from mmkg.run.config import CONTROLS
from mmkg.run.controls import MAKE, channels, controlled
from mmkg.types import Features


@pytest.fixture
def features():
    """Three of five entities have two or three real rows out of three."""
    values = torch.randn(3, 3, 4, generator=torch.Generator().manual_seed(0)).half() * 3 + 1
    mask = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 1, 1]]).bool()
    values[1, 2] = 99.0  # padding is not to be counted
    return Features(values, mask, torch.tensor([2, -1, 0, 1, -1]), torch.rand(3, 4), {"encoder": "e"})


def test_every_control_has_a_name_in_the_settings():
    assert set(CONTROLS) == {"real", *MAKE}


def test_real_features_stay_as_they_are(features):
    assert controlled(features, "real", 0) is features


def test_zeros_leave_not_even_presence(features):
    values, mask = controlled(features, "zero", 0).gather(torch.arange(5))
    assert values.shape == (5, 3, 4)
    assert not values.any()
    assert mask.all()


def test_presence_is_all_that_is_left(features):
    control = controlled(features, "presence", 0)
    assert torch.equal(control.present, features.present)
    values, _ = control.gather(features.present.nonzero().flatten())
    assert (values == 1).all()


def test_noise_has_the_means_and_spreads_of_real_rows_and_keeps_entities_apart():
    generator = torch.Generator().manual_seed(1)
    real = torch.randn(800, 3, 4, generator=generator) * torch.tensor([1.0, 2, 3, 0]) + torch.tensor([0.0, 5, -5, 7])
    mask = torch.rand(800, 3, generator=generator) < 0.7
    mask[:, 0] = True
    features = Features(real.masked_fill(~mask[..., None], 1e3), mask, torch.arange(800))
    mean, spread = channels(features)
    torch.testing.assert_close(mean, real[mask].mean(0), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(spread, real[mask].std(0, correction=0), rtol=1e-3, atol=1e-4)
    control = controlled(features, "random", 3)
    rows = control.values.float()[mask]  # [n, D]
    torch.testing.assert_close(rows.mean(0), mean, rtol=0, atol=0.3)
    torch.testing.assert_close(rows.std(0), spread, rtol=0.1, atol=1e-2)
    assert torch.equal(control.mask, mask)
    assert torch.equal(control.values, controlled(features, "random", 3).values)
    assert not torch.equal(control.values, controlled(features, "random", 4).values)
    assert len(control.values.flatten(1).unique(dim=0)) == 800


@pytest.mark.parametrize("control", [c for c in CONTROLS if c != "real"])
def test_a_run_looks_at_its_control_and_says_so(config, tmp_path, control):
    config = replace(config, sampler=replace(config.sampler, images=control, texts=control))
    run = Run.train(config, tmp_path / "run", progress=False)
    seen = run.sampler.views.features
    for modality in ("image", "text"):
        expected = controlled(run.dataset.features(modality), control, config.train.seed)
        assert torch.equal(seen[modality].row, expected.row)
        assert (seen[modality].boxes is None) or control == "shuffled"
    told = Run.load(run.folder, sampler=True, progress=False).sampler.views.features["text"].provenance
    assert told["shuffled" if control == "shuffled" else "control"] in (0, control)


def test_an_unknown_control_is_told():
    with pytest.raises(DataError, match=r"texts 'none'\. Cure: choose one of real, shuffled, random, zero, presence"):
        SamplerConfig(texts="none")


def test_switches_of_mmrns_reach_it(config, tmp_path):
    options = {"use_guide": False, "use_contrast": False, "epsilon_schedule": False}
    run = Run.train(replace(config, sampler=replace(config.sampler, options=options)), tmp_path / "run", progress=False)
    assert not run.sampler.use_contrast
    assert not run.sampler.epsilon_schedule
    assert not run.sampler.views.kca.use_guide
    assert Run.load(run.folder, sampler=True, progress=False).config.sampler.options == options
    bad = replace(config, sampler=replace(config.sampler, options={"beta": 1.0}))
    with pytest.raises(DataError, match=r"no option 'beta'\. Cure: leave it out; it has chunk_size"):
        Run.train(bad, tmp_path / "bad", progress=False)
