"""A full disk, a read-only one, writers at the same time and writers that are killed: a file is whole or not there."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from test_bad_input import content, sound

from mmkg.datasets import DB15K, WN18, MultimodalFolder
from mmkg.errors import DataError

ROOT = Path(__file__).parents[2]
OPEN = {
    "DB15K": lambda root: DB15K(root, log=False),
    "WN18": lambda root: WN18(root, log=False),
    "own": lambda root: MultimodalFolder(root / "own", log=False),
}
KINDS = pytest.mark.parametrize("kind", OPEN)


@pytest.fixture
def root(monkeypatch):
    """Sound datasets, in a folder that other users may look into, which pytest's are not."""
    monkeypatch.delenv("MMKG_RAW", raising=False)
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        yield sound(Path(place) / "root")


def digest(data) -> str:
    """Hash of a graph and of its features."""
    state = hashlib.blake2b("\n".join(data.entity_names + data.relation_names + data.entity_labels).encode())
    for key in ("edge_index", "edge_type", "train_mask", "val_mask", "test_mask", "image", "image_mask", "text"):
        if key in data:
            state.update(data[key].contiguous().view(torch.uint8).numpy().tobytes())
    return state.hexdigest()


# disks ------------------------------------------------------------------------------------------------------------


@contextmanager
def files_up_to(size: int):
    """As on a disk with little room: the system refuses to let a file grow beyond a size."""
    resource = pytest.importorskip("resource", reason="file sizes can be limited on Unix only")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def read_only(folder: Path):
    """As on a read-only disk. Permissions do not stop root: for the time being we are nobody."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    user = os.geteuid()
    try:
        if user == 0:
            try:
                os.seteuid(65534)
                os.listdir(folder)
            except OSError as error:
                pytest.skip(f"this place lets nobody be nobody: {error}")
        yield
    finally:
        os.seteuid(user)
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)


@KINDS
def test_a_disk_that_is_full(root, kind):
    before = content(root)
    with files_up_to(700), pytest.raises(DataError, match=r"graph.*\.pt: cannot be written \(.*\)\. Cure: make room"):
        OPEN[kind](root)
    assert content(root) == before
    dataset = OPEN[kind](root)
    graph = content(root)
    with files_up_to(80), pytest.raises(DataError, match=r"image_.*\.npy: cannot be written \(.*\)\. Cure: make room"):
        dataset.features("image")
    assert content(root) == graph  # no part of the features stays
    assert dataset.features("image").present.any()  # with room again


@KINDS
def test_a_disk_that_is_full_when_there_was_a_graph_before(root, kind):
    expected = digest(OPEN[kind](root)[0])
    before = content(root)
    for path in root.rglob("*"):  # one more line, so that the graph must be made again
        if path.name in ("train.tsv", "train.txt", "entity2text.tsv"):
            path.write_bytes(path.read_bytes() + b"\n")
            before[path.relative_to(root)] = path.read_bytes()
    with files_up_to(700), pytest.raises(DataError, match=r"graph.*\.pt: cannot be written"):
        OPEN[kind](root)
    assert content(root) == before
    assert digest(OPEN[kind](root)[0]) == expected


@KINDS
def test_no_space_left_halfway(root, kind, monkeypatch):
    opened, write = open, []

    class Full:
        """A file on a disk that has room for so much."""

        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            self.file.write(bytes(data)[:100])
            write.append(len(data))
            raise OSError(errno.ENOSPC, "No space left on device")

    before = content(root)
    monkeypatch.setattr("mmkg.files.open", lambda *args: Full(opened(*args)), raising=False)
    with pytest.raises(DataError, match=r"graph.*\.pt: cannot be written \(No space left on device\)"):
        OPEN[kind](root)
    assert len(write) == 1
    assert content(root) == before
    monkeypatch.undo()
    monkeypatch.delenv("MMKG_RAW", raising=False)
    assert OPEN[kind](root)[0].num_edges


@KINDS
def test_a_disk_that_is_read_only(root, kind):
    OPEN[kind](sound(root.parent / "warm"))[0]  # what is imported late is imported now, while all may be read
    before = content(root)
    told = r"cannot be written \(Permission denied\)\. Cure: make it writable, or name another place with root="
    with read_only(root), pytest.raises(DataError, match=told):
        OPEN[kind](root)
    assert content(root) == before
    OPEN[kind](root)
    graph = content(root)
    with read_only(root):
        dataset = OPEN[kind](root)  # what was made before is read
        assert dataset.topology.num_edges
        with pytest.raises(DataError, match=rf"image_.*{told}"):
            dataset.features("image")
    assert content(root) == graph
    expected = digest(OPEN[kind](root)[0])
    made = content(root)
    with read_only(root):
        assert digest(OPEN[kind](root)[0]) == expected  # with its features, and not a byte written
        assert digest(OPEN[kind](root)[0]) == expected
    assert content(root) == made


def test_damaged_features_on_a_read_only_disk_are_told_as_such(root):
    OPEN["own"](root)[0]
    (stored,) = root.rglob("image_clip_1x4_fp16.npy")
    stored.write_bytes(stored.read_bytes()[:-1])
    with read_only(root), pytest.raises(DataError, match=r"fp16\.npy: values cannot be read"):
        OPEN["own"](root)[0]


def test_a_read_only_folder_can_be_used_from_elsewhere(root):
    expected = digest(OPEN["own"](sound(root.parent / "warm"))[0])
    other = root.parent / "elsewhere"
    other.mkdir()
    other.chmod(0o777)
    with read_only(root):
        assert digest(MultimodalFolder(root / "own", root=other, log=False)[0]) == expected


# processes --------------------------------------------------------------------------------------------------------

WORKER = """
import os, sys, time, warnings
from pathlib import Path
sys.path[:0] = [{tests!r}]
from test_disks_and_processes import OPEN, digest
from test_base import Counting

place, me, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

def wait(name):
    (place / f"{{name}}-{{me}}").touch()
    patience = time.monotonic() + 60
    while len(list(place.glob(f"{{name}}-*"))) < 2:
        time.sleep(0.0005)
        if time.monotonic() > patience:
            sys.exit("the other process is gone")

for number in range(rounds):
    root = place / f"root{{number}}"
    wait(f"start{{number}}")
    for kind in OPEN:
        data = OPEN[kind](root)[0]
        wait(f"open{{number}}{{kind}}")
        dataset = OPEN[kind](root)
        dataset.encode_text(Counting())
        print(number, kind, digest(data), digest(dataset[0]), flush=True)

root = place / "root0"  # made again and again, and read meanwhile
wait("again")
for number in range(15):
    if me == "a":
        os.utime(root / "WN18/features/image_clip.npy", (number, number))
        OPEN["WN18"](root).features("image")
        from mmkg.datasets import WN18
        WN18(root, log=False, force_reload=True)
    print("again", digest(OPEN["WN18"](root)[0]), flush=True)
"""


@contextmanager
def started(*arguments, code=WORKER):
    """A process, which does not outlive the test."""
    script = code.format(tests=str(Path(__file__).parent))
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    env.pop("MMKG_RAW", None)
    command = [sys.executable, "-c", script, *map(str, arguments)]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_two_processes_at_once_both_succeed_and_the_graph_is_whole(root):
    rounds = 5
    place = root.parent
    for number in range(rounds):
        sound(place / f"root{number}")
    with started(place, "a", rounds) as one, started(place, "b", rounds) as other, ThreadPoolExecutor(2) as pool:
        # each on its own: who waits for one that has failed waits for ever
        told = list(pool.map(lambda process: process.communicate(timeout=90), (one, other)))
    assert [one.returncode, other.returncode] == [0, 0], told
    assert told[0][0].splitlines()[: rounds * 3] == told[1][0].splitlines()[: rounds * 3]
    from test_base import Counting

    expected = {}
    for kind, open_one in OPEN.items():
        first = digest(open_one(root)[0])
        dataset = open_one(root)
        dataset.encode_text(Counting())
        expected[kind] = first, digest(dataset[0])
    lines = [line.split() for line in told[0][0].splitlines()]
    assert {(kind, (one, other)) for _, kind, one, other in lines[: rounds * 3]} == set(expected.items())
    again = {tuple(line.split()) for out, _ in told for line in out.splitlines()[rounds * 3 :]}
    assert again == {("again", expected["WN18"][1])}
    for number in range(rounds):
        left = [p for p in (place / f"root{number}").rglob(".*") if p.name != ".lock"]
        assert left == []
        for kind, open_one in OPEN.items():
            assert digest(open_one(place / f"root{number}")[0]) == expected[kind][1]


HANG = """
import os, signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever starts the tests in the background ignores Ctrl-C
sys.path[:0] = [{tests!r}]
from test_disks_and_processes import OPEN
import mmkg.files

def hang(handle):
    print("hangs", flush=True)
    time.sleep(600)

if sys.argv[3] == "features":
    dataset = OPEN[sys.argv[2]](Path(sys.argv[1]))
mmkg.files.os.fsync = hang
OPEN[sys.argv[2]](Path(sys.argv[1])).features("image")
"""


@pytest.mark.parametrize(("end", "what"), [(signal.SIGKILL, "graph"), (signal.SIGINT, "features")])
def test_a_process_that_is_stopped_while_it_writes(root, end, what):
    with started(root, "WN18", what, code=HANG) as process:
        assert process.stdout.readline() == "hangs\n"  # all is written but not yet under its name
        process.send_signal(end)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert len(list(root.rglob("graph*.pt"))) == (what == "features")
    assert not list(root.rglob("image_*.json"))
    left = list(root.rglob(".*.tmp"))
    assert len(left) == (end == signal.SIGKILL)  # who is killed cannot clean up; who is interrupted does
    dataset = OPEN["WN18"](root)
    assert dataset[0].image_mask.any()
    assert dataset.available("image") == ["clip"]
