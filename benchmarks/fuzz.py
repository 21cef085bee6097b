"""Spoil files at random and read them: whatever comes of it, the error is ours and names the file.

    python -m benchmarks.fuzz                       # 100,000 inputs
    python -m benchmarks.fuzz --inputs 500 --only hdf5 "own folder"

Each target is a sound file and what reads it. An input is that file after up to four edits by chance (bytes
overwritten, put in, taken out, zeroed, doubled, lines exchanged, the rest cut off, with numbers and characters that are
known to hurt among the bytes) or a wholly random one. A reading may succeed or raise :class:`mmkg.errors.MMKGError`;
all else, a crash of the process or a minute of computing without an answer included, is a failure, shown with the file
that caused it. Each target has a process of its own. Prints a table; exits with 1 where something failed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

from benchmarks.fuzz_targets import TARGETS, Target
from mmkg.errors import MMKGError

TOKENS = [
    b"\n",
    b"\r\n",
    b"\t",
    b" ",
    b"\0",
    b"",
    b"\xff",
    b"\xef\xbb\xbf",
    b"-1",
    b"7",
    b"999999999999999999999",
    b'"',
]
TOKENS += [b"nan", b"1e400", b"../../x", b"<script>", b"\xe2\x80\xa8", b"\xed\xa0\x80", b"{}", b"[]", b"null", b"\\"]
TOKENS += [b"\xff\xff\xff\xff\xff\xff\xff\x7f", b"\0\0\0\0\0\0\0\x80", b"\0\0\xc0\x7f", b"\0|", b"\0\xfc"]
KINDS = ("over", "in", "out", "zero", "double", "lines", "cut")
MINUTE = 60


Edit = tuple[str, int, bytes]


def edits(chance: random.Random) -> list[Edit] | bytes:
    """Up to four edits, or, for one input in ten, a whole content."""
    if chance.random() < 0.1:
        return chance.randbytes(chance.randrange(120))
    how = []
    for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3, 4))):
        payload = chance.choice(TOKENS) if chance.random() < 0.6 else chance.randbytes(chance.randrange(9))
        how.append((chance.choice(KINDS), chance.randrange(2**16), payload))
    return how


def spoiled(content: bytes, how: list[Edit] | bytes) -> bytes:
    """A file's content after some edits."""
    if isinstance(how, bytes):
        return how
    for kind, at, payload in how:
        place, size = at * (len(content) + 1) >> 16, max(1, len(payload))
        if kind == "over":
            content = content[:place] + payload + content[place + len(payload) :]
        elif kind == "in":
            content = content[:place] + payload + content[place:]
        elif kind == "out":
            content = content[:place] + content[place + size :]
        elif kind == "zero":
            content = content[:place] + b"\0" * len(content[place : place + 4 * size]) + content[place + 4 * size :]
        elif kind == "double":
            content = content[:place] + 2 * content[place : place + 16 * size] + content[place + 16 * size :]
        elif kind == "lines":
            lines = content.split(b"\n")
            one, other = at % len(lines), (at // 7) % len(lines)
            lines[one], lines[other] = lines[other], lines[one]
            content = b"\n".join(lines)
        else:
            content = content[:place]
    return content


def too_long(*_) -> None:
    raise TimeoutError(f"no answer in {MINUTE} s")


def fuzz(target: Target, inputs: int, number: int, folder: str, answers) -> None:
    """Read spoiled files and send how often it went how; what each process does."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGPROF, too_long)
    place = Path(folder)
    sound = target.make(place)  # bytes by path, one or more files of which one is spoiled
    names = sorted(sound)
    count, failures = {"inputs": 0, "read": 0, "refused": 0, "failed": 0}, {}
    target.read(place)  # what is sound is read

    for at in range(inputs):
        chance = random.Random(f"{number} {target.name} {at}")  # each input can be had again alone
        name = chance.choice(names)
        content = spoiled(sound[name], edits(chance))
        (place / name).write_bytes(content)
        count["inputs"] += 1
        signal.setitimer(signal.ITIMER_PROF, MINUTE)  # of this process's own time: the machine may be busy
        try:
            target.read(place)
            count["read"] += 1
        except MMKGError:
            count["refused"] += 1
        except Exception as error:
            count["failed"] += 1
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
            failures.setdefault(where, f"input {at}, {name}: {content[:400]!r}: {str(error)[:300]}")
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            target.clean(place)
            (place / name).write_bytes(sound[name])
    answers.send((count, failures))


def run(target: Target, inputs: int, number: int) -> dict:
    """Fuzz one target in a process of its own."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        process = multiprocessing.get_context("fork").Process(
            target=fuzz, args=(target, inputs, number, folder, sender)
        )
        begun = time.monotonic()
        process.start()
        sender.close()
        try:
            count, failures = receiver.recv()
        except EOFError:  # it ended without an answer
            process.join()
            kept = tempfile.mkdtemp(prefix="mmkg-fuzz-")
            shutil.copytree(folder, kept, dirs_exist_ok=True)
            count = {"inputs": 0, "read": 0, "refused": 0, "failed": 1}
            failures = {f"the process ended with {process.exitcode}": f"the files are in {kept}"}
        process.join()
    return {"target": target.name, **count, "seconds": round(time.monotonic() - begun, 1), "failures": failures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000, help="over all targets")
    parser.add_argument("--only", nargs="+", choices=[t.name for t in TARGETS], help="targets; all if not given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    chosen = [t for t in TARGETS if not args.only or t.name in args.only]
    share = args.inputs / sum(t.share for t in chosen)
    rows = []
    for target in chosen:
        rows.append(run(target, max(1, round(share * target.share)), args.seed))
        print({k: v for k, v in rows[-1].items() if k != "failures"}, file=sys.stderr, flush=True)
    whole = {k: sum(row[k] for row in rows) for k in ("inputs", "read", "refused", "failed")}
    if args.json:
        print(json.dumps({"targets": rows, **whole}))
    else:
        print("| target | inputs | read | refused | failed |\n|---|---:|---:|---:|---:|")
        for row in [*rows, {"target": "all", **whole}]:
            print("| " + " | ".join(str(row[k]) for k in ("target", "inputs", "read", "refused", "failed")) + " |")
    for row in rows:
        for where, example in row["failures"].items():
            print(f"{row['target']}: {where}\n    {example}", file=sys.stderr)
    sys.exit(bool(whole["failed"]))


if __name__ == "__main__":
    main()
