"""A file is there in full or not at all, whoever else writes it and however a writer ends."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mmkg.files import atomic_write, sweep, written_whole

ROOT = Path(__file__).parents[1]


def by_path(path, content, error=None):
    with written_whole(path) as temporary:
        temporary.write_bytes(content)
        if error is not None:
            raise error


def by_file(path, content, error=None):
    with atomic_write(path) as file:
        file.write(content)
        if error is not None:
            raise error


WAYS = pytest.mark.parametrize("write", [by_path, by_file])


def test_who_may_read_is_the_users_choice_whoever_wrote_it(tmp_path):
    (tmp_path / "plain").touch()
    with written_whole(tmp_path / "tensors") as temporary:
        save_file({"a": torch.zeros(2)}, temporary)
    assert (tmp_path / "tensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


@WAYS
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device"), ValueError("bad")])
def test_a_complete_file_appears_and_an_incomplete_one_does_not(tmp_path, write, error):
    path = tmp_path / "new" / "file [1].pt"  # brackets are no pattern
    with pytest.raises(type(error)):
        write(path, b"half", error)
    assert list(path.parent.iterdir()) == []
    write(path, b"one")
    assert path.read_bytes() == b"one"
    with pytest.raises(type(error)):
        write(path, b"two", error)
    assert path.read_bytes() == b"one"
    write(path, b"three")
    assert path.read_bytes() == b"three"
    assert list(path.parent.iterdir()) == [path]


@WAYS
def test_the_content_is_on_the_disk_before_it_has_its_name(tmp_path, write, monkeypatch):
    order, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda handle: (order.append(os.readlink(f"/proc/self/fd/{handle}")), fsync(handle))
    )
    monkeypatch.setattr(os, "replace", lambda old, new: (order.append("rename"), replace(old, new)))
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("what is flushed is looked up in /proc")
    write(tmp_path / "file", b"one")
    assert len(order) == 3
    assert Path(order[0]).name.startswith(".file.")
    assert order[1:] == ["rename", str(tmp_path)]  # the folder after it, so that the name survives as well


def test_a_writer_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), written_whole(tmp_path / "file"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_writers_at_the_same_time_do_not_mix(tmp_path):
    path = tmp_path / "file"
    contents = [bytes([i]) * 300_000 for i in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: by_file(path, content), contents))
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


HANG = """
import sys, time
from pathlib import Path
from mmkg.files import atomic_write
with atomic_write(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("hangs", flush=True)
    time.sleep(600)
"""


def test_what_a_killed_writer_leaves_does_no_harm_and_goes_after_a_day(tmp_path):
    path = tmp_path / "file"
    by_file(path, b"old")
    command, env = [sys.executable, "-c", HANG, str(path)], {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout.readline() == "hangs\n"
        victim.kill()
    (left,) = (p for p in tmp_path.iterdir() if p != path)
    assert (path.read_bytes(), left.read_bytes()) == (b"old", b"half")
    by_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert left.exists()  # its writer might be alive for all that we know
    os.utime(left, (time.time() - 90_000,) * 2)
    other = left.with_name(".another.1-2.tmp")
    other.touch()
    os.utime(other, (time.time() - 90_000,) * 2)
    by_file(path, b"newer")
    assert not left.exists()
    assert other.exists()  # of another file
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


LIMITED = """
import resource, sys
from pathlib import Path
from mmkg.files import atomic_write
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
try:
    with atomic_write(Path(sys.argv[1])) as file:
        for _ in range(64):
            file.write(bytes(1 << 12))
except OSError as error:
    print(error.strerror)
"""


def test_a_disk_that_is_full(tmp_path):
    pytest.importorskip("resource", reason="file sizes can be limited on Unix only")
    path = tmp_path / "file"
    by_file(path, b"old")
    command, env = [sys.executable, "-c", LIMITED, str(path)], {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "File too large\n")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_being_written_survives_a_clock_that_jumps(tmp_path, monkeypatch):
    path, now = tmp_path / "file", time.time
    with written_whole(path) as temporary:
        temporary.write_bytes(b"whole")
        monkeypatch.setattr(time, "time", lambda: now() + 10**8)  # three years ahead
        by_file(path, b"other")  # another writer, who sweeps first
        sweep(tmp_path)
        assert temporary.exists()
    assert path.read_bytes() == b"whole"
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    left = tmp_path / f".file.{gone.stdout.strip()}-0123abcd.tmp"
    left.write_bytes(b"half")
    sweep(tmp_path)
    assert not left.exists()  # its writer is dead
