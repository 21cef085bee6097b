"""The cache: damage, other processes, half-written files."""

import os
import random
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from mmkg.encoders.shards import ShardCache, fill

SHAPE = (2, 3)
ROOT = Path(__file__).parents[2]


def item(content: bytes) -> np.ndarray:
    return np.random.default_rng(list(content)).normal(size=SHAPE).astype(np.float16)


def new_cache(root, **options) -> ShardCache:
    return ShardCache(root, "fake", "identity", SHAPE, **options)


def filled(root, contents, batch=3, **options):
    """Run ``fill`` over some contents; returns the array and the contents that had to be encoded."""
    cache = new_cache(root, **options)
    of_key = {cache.key(c): c for c in contents}
    rows = {cache.key(c): [i for i, d in enumerate(contents) if d == c] for c in contents}
    out, encoded = np.zeros((len(contents), *SHAPE), np.float16), []

    def produce(missing):
        for start in range(0, len(missing), batch):
            keys = missing[start : start + batch]
            encoded.extend(of_key[k] for k in keys)
            yield len(keys), keys, np.stack([item(of_key[k]) for k in keys])

    fill(out, rows, produce, cache, label="test", progress=False)
    np.testing.assert_array_equal(out, np.stack([item(c) for c in contents]))
    return encoded


CONTENTS = [bytes([i]) for i in range(10)] + [b"\x03"]


def test_equal_contents_are_encoded_once_and_never_again(tmp_path):
    assert filled(tmp_path, CONTENTS) == CONTENTS[:10]
    assert filled(tmp_path, CONTENTS) == []
    assert filled(tmp_path, [*CONTENTS, b"new"]) == [b"new"]


def test_without_a_folder_nothing_is_kept():
    assert filled(None, CONTENTS) == CONTENTS[:10]
    assert filled(None, CONTENTS) == CONTENTS[:10]


def test_other_identity_or_shape_shares_nothing(tmp_path):
    filled(tmp_path, CONTENTS)
    other = ShardCache(tmp_path, "fake", "another identity", SHAPE)
    wider = ShardCache(tmp_path, "fake", "identity", (2, 4))
    assert len({other.folder, wider.folder, new_cache(tmp_path).folder}) == 3
    assert len({c.key(b"x") for c in (other, wider, new_cache(tmp_path))}) == 3


def rewrite(path: Path, **changes) -> None:
    with np.load(path) as shard:
        arrays = dict(shard)
    np.savez(path, **{name: changes.get(name, lambda a: a)(array) for name, array in arrays.items()})


def put_nan(values):
    values[1, 0, 0] = np.nan
    return values


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    at = data.find(b"values.npy") + 180  # among the numbers, behind the array's header
    data[at] ^= 0x01
    path.write_bytes(data)


DAMAGE = {
    "emptied": lambda p: p.write_bytes(b""),
    "truncated": lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]),
    "one bit turned": flip_a_byte,
    "not an npz": lambda p: p.write_text("hello"),
    "NaN": lambda p: rewrite(p, values=put_nan),
    "wrong shape": lambda p: rewrite(p, values=lambda v: v[:, :1]),
    "wrong dtype": lambda p: rewrite(p, values=lambda v: v.astype(np.float64)),
    "keys too short": lambda p: rewrite(p, keys=lambda k: k[:, :8]),
    "fewer values than keys": lambda p: rewrite(p, values=lambda v: v[:-1]),
    "no keys": lambda p: np.savez(p, values=np.zeros((1, *SHAPE), np.float16)),
    "pickle": lambda p: np.savez(p, keys=np.array([{}], object), values=np.zeros(1), note=np.zeros(0)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_shard_is_noticed_and_its_items_are_encoded_anew(tmp_path, damage):
    filled(tmp_path, CONTENTS[:5])
    (shard,) = new_cache(tmp_path).folder.glob("*.npz")
    filled(tmp_path, CONTENTS[:8])  # a second shard, whole
    DAMAGE[damage](shard)
    with pytest.warns(UserWarning, match=shard.name):
        assert filled(tmp_path, CONTENTS[:8]) == CONTENTS[:5]
    assert filled(tmp_path, CONTENTS[:8]) == []  # and it is whole again, without a warning


def test_no_spoiled_byte_ends_a_run(tmp_path):
    filled(tmp_path, CONTENTS[:2])
    (shard,) = new_cache(tmp_path).folder.glob("*.npz")
    sound, chance, out = shard.read_bytes(), random.Random(0), np.zeros((2, *SHAPE), np.float16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(300):  # among the bytes are flags of encryption and numbers of compression methods
            spoiled = bytearray(sound)
            spoiled[chance.randrange(len(spoiled))] = chance.randrange(256)
            shard.write_bytes(spoiled)
            cache = new_cache(tmp_path)
            rows = {cache.key(content): [row] for row, content in enumerate(CONTENTS[:2])}
            for key in cache.load(rows, out):
                assert np.array_equal(out[rows[key][0]], item(CONTENTS[rows[key][0]]))


def test_a_shard_that_cannot_be_opened_is_left_alone(tmp_path, monkeypatch):
    filled(tmp_path, CONTENTS)
    (shard,) = new_cache(tmp_path).folder.glob("*.npz")
    real = np.load

    def refuse(path, *args, **kwargs):
        if Path(path) == shard:
            raise PermissionError("not yours")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(np, "load", refuse)
    with pytest.warns(UserWarning, match="not yours"):
        assert filled(tmp_path, CONTENTS) == CONTENTS[:10]
    assert shard.exists()


def test_shards_are_written_by_count_and_by_time(tmp_path):
    filled(tmp_path / "count", CONTENTS, flush_items=3)
    assert len(list(new_cache(tmp_path / "count").folder.glob("*.npz"))) == 4
    filled(tmp_path / "time", CONTENTS, flush_seconds=0)
    assert len(list(new_cache(tmp_path / "time").folder.glob("*.npz"))) == 4
    filled(tmp_path / "end", CONTENTS)
    assert len(list(new_cache(tmp_path / "end").folder.glob("*.npz"))) == 1


def test_leavings_of_killed_runs_are_swept_after_a_day(tmp_path):
    folder = new_cache(tmp_path).folder
    old, young = folder / ".a.npz.1-x.tmp", folder / ".b.npz.2-y.tmp"
    old.touch()
    young.touch()
    os.utime(old, (time.time() - 90_000,) * 2)
    new_cache(tmp_path)
    assert not old.exists()
    assert young.exists()


WORKER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_shards
contents = [bytes([i, j]) for i in range(*{span}) for j in range(40)]
real, calls = test_shards.item, []

def item(content):
    calls.append(content)
    if len(calls) == {hang_at}:
        print("hangs", flush=True)
        time.sleep(600)
    return real(content)

test_shards.item = item
test_shards.filled(Path({root!r}), contents, flush_items=3)
print("done", flush=True)
"""


def start(root: Path, span: tuple[int, int], hang_at: int = 0) -> subprocess.Popen:
    script = WORKER.format(tests=str(Path(__file__).parent), root=str(root), span=span, hang_at=hang_at)
    return subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    )


def test_processes_share_a_cache_and_one_may_be_killed(tmp_path):
    victim, other = start(tmp_path, (6, 0, -1), hang_at=17), start(tmp_path, (0, 4))  # 80 contents are the same
    assert victim.stdout.readline().strip() == "hangs"  # five batches of three are written
    victim.kill()
    victim.communicate(timeout=60)
    assert other.communicate(timeout=60)[0].strip() == "done"
    assert filled(tmp_path, [bytes([i, j]) for i in range(4) for j in range(40)]) == []
    rest = filled(tmp_path, [bytes([i, j]) for i in range(4, 7) for j in range(40)])
    assert len(rest) == 120 - 15
