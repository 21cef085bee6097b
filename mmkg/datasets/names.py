"""A label made from a raw name."""

from __future__ import annotations

from urllib.parse import unquote


def readable(name: str) -> str:
    """A label made from a raw name, for want of a better one.

    Example:
        >>> readable("<http://dbpedia.org/resource/Driving_Miss_Daisy>")
        'Driving Miss Daisy'
        >>> readable("/m/027rn")
        '/m/027rn'
    """
    bare = name.strip("<>‹›")
    if not bare.startswith(("http://", "https://")):
        return name
    if "/resource/" in bare:  # a page's name may itself hold slashes: AC/DC
        last = bare.split("/resource/", 1)[1]
    else:
        last = bare.rstrip("/#").replace("#", "/").rsplit("/", 1)[-1]
    return unquote(last).replace("_", " ") or name
