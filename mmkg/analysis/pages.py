"""Pages of a single file: everything inside, nothing fetched, all text escaped."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from mmkg.files import atomic_write

CIRCLES = (("9", "22", "15803d"), ("23", "22", "1d4ed8"), ("16", "9", "c2410c"))
ICON = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E"
ICON += "".join(f"%3Ccircle cx='{x}' cy='{y}' r='6' fill='%23{colour}'/%3E" for x, y, colour in CIRCLES) + "%3C/svg%3E"


def render(template: str, *, styles: tuple[str, ...], scripts: tuple[str, ...], **values) -> str:
    """A page from a template.

    Whatever stands in the values is text and no markup. The page carries a policy under which a browser loads nothing
    from elsewhere and runs no script but the page's own.

    Args:
        template: Name of a file in ``templates/``, which extends ``base.html``.
        styles: Names of style sheets there, which are put inside.
        scripts: Names of scripts there, which are put inside.
        **values: What the template shows.

    Returns:
        HTML.

    Raises:
        jinja2.UndefinedError: If the template asks for a value that is not given.
    """
    from markupsafe import Markup

    style, script = ("\n".join(_asset(name) for name in names) for names in (styles, scripts))
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {_hash(script)}"
    own = {"style": Markup(style), "script": Markup(script), "policy": policy, "icon": ICON}
    return _templates().get_template(template).render(**own, **values)


def size(page: str) -> int:
    """Bytes of a page as it is written."""
    return len(_encoded(page))


def write(page: str, path: str | Path) -> Path:
    """Write a page, whole or not at all; gives its path."""
    with atomic_write(Path(path)) as file:
        file.write(_encoded(page))
    return Path(path)


def clipped(text: str, length: int) -> str:
    """A text of at most ``length`` characters, cut between words where there are any.

    Example:
        >>> clipped("a long story", 8), clipped("short", 8)
        ('a long…', 'short')
    """
    text = " ".join(text.split())
    if len(text) <= length:
        return text
    cut = text[: length - 1]
    return (cut.rsplit(" ", 1)[0] if text[length - 1] != " " and " " in cut else cut).rstrip(" ,;:.") + "…"


def _encoded(page: str) -> bytes:
    return page.encode("utf-8", "replace")  # half of a surrogate pair is no text that a file could hold


def _hash(script: str) -> str:
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return (files("mmkg.analysis") / "templates" / name).read_text(encoding="utf-8").strip()


@cache
def _templates():
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_asset), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"clipped": clipped}
    return environment
