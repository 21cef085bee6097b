"""Plays somebody who has only the README: installs by its command, runs its commands, trains a graph of five lines.

``python .ci/newcomer.py`` copies the commands out of README.md, runs them in a clone of this repository in a temporary
folder with a fresh virtual environment, and prints what each took and the total. Any command that fails ends it with
that command's exit status.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ZOO = ("cat\tis_a\tmammal", "dog\tis_a\tmammal", "mammal\tis_a\tanimal", "cat\tchases\tmouse", "mouse\tis_a\tmammal")
ZOO_COMMANDS = (
    "mmkg train zoo --sampler uniform --scorer distmult --dim 8 --negatives 2 --steps 50 --batch-size 4 "
    "--validate-every 0 --out runs/zoo",
    "mmkg predict runs/zoo --head cat --relation is_a -k 3 --json",
)


class Page(HTMLParser):
    """Counts what is on a page, and notes whatever it would fetch from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures, self.fetched = 0, []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag begins."""
        about = dict(attrs)
        self.pictures += tag in ("img", "image")  # of HTML, and of SVG
        source = about.get("src") or (about.get("href") if tag in ("link", "image") else None) or ""
        if source.startswith(("http:", "https:", "//")):
            self.fetched.append(source)


def block_after(text: str, start: str) -> str:
    """The first fenced block of shell commands after some words of the README."""
    found = re.search(re.escape(start) + r".*?```bash\n(.*?)```", text, re.S)
    if not found:
        raise SystemExit(f"README.md has no shell block after {start!r}")
    return found[1]


def commands(readme: str) -> list[tuple[str, str]]:
    """What the newcomer types, in order: (what for, shell command)."""
    steps = [("install and main job", block_after(readme, "<!-- main command -->").strip())]
    for start in ("## Ask the run", "## See the hard negatives"):
        for line in block_after(readme, start).splitlines():
            line = line.split("  #")[0].strip()
            if line and "--other" not in line:  # a second run of the newcomer's own, which is not there
                steps.append((start.removeprefix("## "), line))
    return steps + [("own graph", line) for line in ZOO_COMMANDS]


def main() -> None:
    """Type it all."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--list", action="store_true", help="print the commands and run none")
    options.add_argument("--keep", action="store_true", help="leave the folder where it is")
    args = options.parse_args()
    steps = commands((ROOT / "README.md").read_text(encoding="utf-8"))
    if args.list:
        print("\n".join(f"{what}: {command}" for what, command in steps))
        return
    work = Path(tempfile.mkdtemp(prefix="newcomer-"))
    home, began = work / "mmkg", time.perf_counter()
    try:
        subprocess.run(["git", "clone", "-q", str(ROOT), str(home)], check=True)
        (home / "zoo").mkdir()
        (home / "zoo" / "triples.tsv").write_text("\n".join(ZOO) + "\n", encoding="utf-8")
        for number, (what, command) in enumerate(steps):
            before = time.perf_counter()
            inside = command if number == 0 else f". .venv/bin/activate && {command}"
            done = subprocess.run(["bash", "-c", f"set -eo pipefail; {inside}"], cwd=home)
            print(f"[{time.perf_counter() - before:7.1f} s] {what}: {command}", flush=True)
            if done.returncode:
                sys.exit(done.returncode)
        page = Page()
        (gallery,) = home.glob("runs/worldmoji/latest/gallery.html")
        page.feed(gallery.read_text(encoding="utf-8"))
        if not page.pictures or page.fetched:
            raise SystemExit(f"{gallery}: {page.pictures} pictures, fetches {page.fetched}")
        print(f"gallery: {page.pictures} pictures in one file that fetches nothing")
        print(f"total: {time.perf_counter() - began:.0f} s")
    finally:
        if args.keep:
            print(f"kept: {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
