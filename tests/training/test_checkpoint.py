"""A checkpoint is whole and unaltered or passed over; a full disk costs no earlier one; clocks may jump."""

import errno
import time

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmkg.errors import DataError
from mmkg.samplers import UniformSampler
from mmkg.scorers import RotatE
from mmkg.training import Callback, Checkpoints, SelfAdversarial, TrainConfig, Trainer, load_tree, save_tree

TENSORS = {
    "none": torch.zeros(0, 3),
    "scalar": torch.tensor(3.0),
    "half": torch.linspace(-1, 1, 7, dtype=torch.bfloat16),
    "bool": torch.tensor([True, False]),
    "ids": torch.arange(50),
    "double": torch.rand(4, 3, dtype=torch.float64),
}
META = {"step": 7, "names": ["é", "<script>", "\u2028"]}


def make(data, folder, callbacks=(), **options):
    torch.manual_seed(0)
    given = {"steps": 12, "batch_size": 32, "validate_every": 4, "checkpoint_every": 4}
    config = TrainConfig(**(given | options))
    model, sampler = RotatE(data.num_nodes, data.num_relations, 8), UniformSampler(data.num_nodes, 4)
    return Trainer(model, sampler, SelfAdversarial(), data, config, folder=folder, callbacks=callbacks, progress=False)


def test_what_is_kept_comes_back(tmp_path):
    save_tree(tmp_path / "a.safetensors", TENSORS, META)
    tensors, meta = load_tree(tmp_path / "a.safetensors")
    assert meta == META
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[k], v) and tensors[k].dtype == v.dtype for k, v in TENSORS.items())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_is_believed(tmp_path, data):
    path = tmp_path / "a.safetensors"
    if not path.exists():
        save_tree(path, TENSORS, META)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    kind = data.draw(st.sampled_from(["cut", "bit", "longer", "zeros"]))
    if kind == "cut":
        bad = whole[:at]
    elif kind == "bit":
        bad = whole[:at] + bytes([whole[at] ^ (1 << data.draw(st.integers(0, 7)))]) + whole[at + 1 :]
    elif kind == "longer":
        bad = whole + b"\0" * (1 + at)
    else:  # a block that the disk forgot
        bad = whole[:at] + b"\0" * len(whole[at : at + 64]) + whole[at + 64 :]
    other = tmp_path / "b.safetensors"
    other.write_bytes(bad)
    try:
        tensors, meta = load_tree(other)
    except DataError as error:
        told = str(error)
    else:  # nothing that counts was hit: padding of the header, or zeros that were zeros
        told = str(other) if meta == META and all(torch.equal(tensors[k], v) for k, v in TENSORS.items()) else ""
    assert str(other) in told


@pytest.mark.parametrize(
    "damage", [lambda b: b[:100], lambda b: b[:-5] + b"\1" + b[-4:], lambda b: b"", lambda b: b[8:]]
)
def test_a_damaged_checkpoint_is_passed_over_and_training_goes_on_from_the_one_before(kin, tmp_path, damage):
    expected = make(kin, tmp_path / "whole").fit()
    folder = tmp_path / "parts"
    make(kin, folder).fit()
    latest = Checkpoints(folder).newest()
    latest.write_bytes(damage(latest.read_bytes()))
    again = make(kin, folder)
    with pytest.warns(UserWarning, match=r"passed over a damaged checkpoint: .*step-00000012"):
        found = again.fit(resume=True)
    assert found.best == expected.best
    assert load_tree(Checkpoints(folder).newest())[1]["step"] == 12  # written anew
    one, other = (load_tree(Checkpoints(f).newest())[0] for f in (tmp_path / "whole", folder))
    assert all(torch.equal(v, other[k]) for k, v in one.items())


def full(at):
    """As on a disk that has no room left from some file on."""
    from safetensors import SafetensorError

    from mmkg.training import checkpoint

    save, count = checkpoint.save_file, []

    def refuse(tensors, path, metadata=None):
        count.append(path)
        if len(count) >= at:
            path.write_bytes(b"\0" * 100)  # so much was there room for
            raise SafetensorError(f"Error while serializing: I/O error: No space left (os error {errno.ENOSPC})")
        save(tensors, path, metadata=metadata)

    return refuse


def test_a_full_disk_costs_no_earlier_checkpoint(kin, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("mmkg.training.checkpoint.save_file", full(at=2))
        told = r"step-00000008\.safetensors: cannot be written .*Cure: make room on the disk, or choose another folder"
        with pytest.raises(DataError, match=told):
            make(kin, tmp_path / "parts").fit()
    assert [p.name for p in sorted((tmp_path / "parts").glob("*step*"))] == ["step-00000004.safetensors"]
    assert not list((tmp_path / "parts").glob(".*"))  # no half-written file takes up the room that is missing
    again, whole = make(kin, tmp_path / "parts"), make(kin, tmp_path / "whole")  # with room again
    assert again.fit(resume=True).best == whole.fit().best
    assert torch.equal(again.model.node_emb.weight, whole.model.node_emb.weight)


def test_the_systems_own_limit_on_files(kin, tmp_path):
    resource = pytest.importorskip("resource", reason="file sizes can be limited on Unix only")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        with pytest.raises(DataError, match=r"step-00000004\.safetensors: cannot be written .*File too large"):
            make(kin, tmp_path).fit()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [p.name for p in tmp_path.iterdir()] == ["names.json"]


@pytest.mark.parametrize("jump", [-1e9, 1e9])
def test_a_clock_that_jumps_changes_no_result(kin, tmp_path, monkeypatch, jump):
    expected = make(kin, tmp_path / "whole").fit()

    class Jump(Callback):
        def on_step(self, trainer, step, losses):
            if step == 6:
                now = time.time
                monkeypatch.setattr(time, "time", lambda: now() + jump)

    trainer = make(kin, tmp_path / "parts", callbacks=[Jump()])
    found = trainer.fit()
    assert abs(time.time()) > 5e8  # it did jump
    assert 0 <= found.seconds < 600  # a steady clock measures training
    assert found.best == expected.best
    assert [p.name for p in Checkpoints(tmp_path / "parts").paths()] == [
        "step-00000012.safetensors",
        "step-00000008.safetensors",
    ]  # the latest by step, whatever the files' times say
