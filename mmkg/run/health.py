"""What a machine has and what it lacks for mmkg: versions, devices, caches, raw data, each with the cure."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from mmkg import __version__
from mmkg.datasets import MultimodalKG
from mmkg.datasets.layout import places, raw_root
from mmkg.errors import DataError
from mmkg.run.build import DATASETS

FOR_DEVELOPERS = {"test", "docs", "all"}  # extras that a user does not need
COMPILERS = ("c++", "g++", "clang++", "cl")
SCARCE = 2 * 10**9  # bytes: less than the encoded pictures of one benchmark take


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Args:
        part: "version", "device", "cache" or "data".
        name: What it is.
        state: "ok"; "absent" for what not everybody needs; or "problem".
        detail: What was found.
        cure: What to do about it, empty where there is nothing to do.
    """

    part: str
    name: str
    state: str
    detail: str
    cure: str = ""


def examine(root: str | Path = "datasets") -> list[Check]:
    """Look at versions, devices, caches and raw data; nothing is fetched, made or written.

    Args:
        root: Folder that holds datasets.
    """
    return [*_versions(), *_devices(), *_caches(Path(root)), *_data(Path(root))]


def _versions() -> Iterator[Check]:
    try:
        about = metadata.metadata("mmkg")
        requires, python = metadata.requires("mmkg") or [], about["Requires-Python"]
    except metadata.PackageNotFoundError:
        yield Check("version", "mmkg", "problem", f"{__version__}, not installed", "pip install -e . in its folder")
        return
    yield Check("version", "mmkg", "ok", f"{__version__} at {Path(__file__).parents[1]}")
    fits = SpecifierSet(python).contains(platform.python_version(), prereleases=True)
    cure = "" if fits else f"make an environment with Python {python}"
    yield Check("version", "python", "ok" if fits else "problem", platform.python_version(), cure)
    for requirement in map(Requirement, requires):
        extra = _extra_of(requirement)
        if requirement.name != "mmkg" and extra not in FOR_DEVELOPERS:
            yield _package(requirement, extra)


def _extra_of(requirement: Requirement) -> str | None:
    """The extra that a package is needed for; None if it is needed always."""
    if requirement.marker is None or "extra" not in str(requirement.marker):
        return None
    extras = metadata.metadata("mmkg").get_all("Provides-Extra") or []
    return next((e for e in extras if requirement.marker.evaluate({"extra": e})), "unknown")


def _package(requirement: Requirement, extra: str | None) -> Check:
    name = requirement.name if extra is None else f"{requirement.name} [{extra}]"
    wanted = f"'{requirement.name}{requirement.specifier}'"
    try:
        found = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        if extra is None:
            return Check("version", name, "problem", "missing", f"pip install {wanted}")
        return Check("version", name, "absent", "missing", f"pip install 'mmkg[{extra}]'")
    if requirement.specifier.contains(found, prereleases=True):
        return Check("version", name, "ok", found)
    return Check("version", name, "problem", f"{found}, wanted {requirement.specifier}", f"pip install {wanted}")


def _devices() -> Iterator[Check]:
    import psutil
    import torch

    memory = psutil.virtual_memory()
    shown = f"{torch.get_num_threads()} threads, {memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free"
    yield Check("device", "cpu", "ok", shown)
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        yield Check("device", f"cuda:{number}", "ok", f"{about.name}, {about.total_memory / 2**30:.1f} GiB")
    if torch.backends.mps.is_available():
        yield Check("device", "mps", "ok", "Apple's GPU")
    elif not torch.cuda.is_available():
        built = f"this torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "this torch is CPU-only"
        cure = "" if torch.version.cuda else "with a GPU, install torch for it: https://pytorch.org/get-started/locally"
        yield Check("device", "gpu", "absent", f"none seen; {built}", cure)
    compiler = next((p for c in (os.environ.get("CXX"), *COMPILERS) if c and (p := shutil.which(c))), None)
    cure = "" if compiler else "install g++: without one, distance scorers rank several times more slowly on a CPU"
    yield Check("device", "C++ compiler", "ok" if compiler else "absent", compiler or "none on the PATH", cure)


def _caches(root: Path) -> Iterator[Check]:
    here = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(here).free
    if not os.access(here, os.W_OK):
        yield Check("cache", "datasets", "problem", f"{here} cannot be written to", "give another folder with --root")
    else:
        cure = "" if free > SCARCE else "free some space, or give another folder with --root"
        yield Check(
            "cache", "datasets", "ok" if free > SCARCE else "problem", f"{root}: {free / 1e9:.1f} GB free", cure
        )
    for name, kind in DATASETS.items():
        made = root / kind.folder / "processed"
        if made.is_dir():
            cure = "delete it to have it made again"
            yield Check("cache", name, "ok", f"{made}: {_megabytes(made)}", cure)
    from huggingface_hub.constants import HF_HUB_CACHE

    hub = Path(HF_HUB_CACHE)
    models = sorted(p.name.removeprefix("models--").replace("--", "/") for p in hub.glob("models--*"))
    shown = f"{hub}: {', '.join(models) or 'no models'}"
    yield Check("cache", "hugging face hub", "ok" if models else "absent", shown)


def _data(root: Path) -> Iterator[Check]:
    try:
        extra = raw_root()
    except DataError as error:
        yield Check("data", "MMKG_RAW", "problem", f"{error.file}: no such folder", str(error.cure))
        return
    yield Check("data", "MMKG_RAW", "absent" if extra is None else "ok", "not set" if extra is None else str(extra))
    for name, kind in DATASETS.items():
        there = kind.raw_there(root)
        missing = [file for file, path in there.items() if path is None]
        with_urls = all(file in kind.remotes for file in missing)
        if not missing:
            where = ", ".join(sorted({str(path.parent) for path in there.values() if path is not None}))
            yield Check("data", name, "ok", f"{where}; {_beside(root, kind)}")
        elif with_urls:
            target = root / kind.folder / "raw"
            cure = (
                f"fetched at first use from {kind.remotes[missing[0]].url.rsplit('/', 1)[0]}, or put it into {target}"
            )
            yield Check("data", name, "absent", f"missing: {', '.join(missing)}", cure)
        else:
            yield Check("data", name, "problem", f"missing: {', '.join(missing)}", "install mmkg again")


def _beside(root: Path, kind: type[MultimodalKG]) -> str:
    """Texts, pictures and features of a dataset, as far as file names tell."""
    homes = places(root, kind.folder)
    told = ["texts"] if any((h / "entity2text.tsv").is_file() for h in homes) else []
    told += ["pictures"] if any((h / "images").is_dir() for h in homes) else []
    files = {
        p.name for h in homes for f in ("features", "processed/features") for p in (h / f).glob("*") if p.is_file()
    }
    told += sorted(name for name in files if name.endswith((".npy", ".safetensors", ".h5")))
    return "beside it " + ", ".join(told) if told else "nothing beside it"


def _megabytes(folder: Path) -> str:
    return f"{sum(p.stat().st_size for p in folder.rglob('*') if p.is_file()) / 1e6:,.1f} MB"
