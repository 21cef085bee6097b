"""From what a person types to an id: exact id, label, or a hint at what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from urllib.parse import unquote

from mmkg.errors import DataError, UnknownNameError


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


def find_entity(graph, name: str | int) -> int:
    """Id of an entity.

    Args:
        graph: A dataset or ``Data`` with ``entity_names`` and, if there are any, ``entity_labels``; or a list of names.
        name: Its id in the raw files, its label, either without regard to case, or its number.

    Raises:
        UnknownNameError: If there is none; the error names the nearest.
        DataError: If a label fits several entities; the error lists them.
    """
    return _find("entity", *_lists(graph, "entity_names", "entity_labels"), name)


def find_relation(graph, name: str | int) -> int:
    """Id of a relation, as :func:`find_entity` does it with ``relation_names`` and ``relation_labels``."""
    return _find("relation", *_lists(graph, "relation_names", "relation_labels"), name)


def _lists(graph, names: str, labels: str) -> tuple[Sequence[str], Sequence[str]]:
    if isinstance(graph, (list, tuple)):
        return graph, graph
    ids = getattr(graph, names)
    return ids, getattr(graph, labels, None) or ids


def _find(kind: str, ids: Sequence[str], labels: Sequence[str], name: str | int) -> int:
    if not isinstance(name, str):
        name = int(name)  # numpy's and torch's integers as well
        if not 0 <= name < len(ids):
            raise UnknownNameError(kind, str(name), [f"0 to {len(ids) - 1}"] if ids else [])
        return name
    for same in (lambda text: text, str.casefold):
        for texts in (ids, labels):
            wanted = same(name)
            found = [at for at, text in enumerate(texts) if same(text) == wanted]
            if len(found) > 1:
                shown = ", ".join(ids[at] for at in found[:8]) + (", …" if len(found) > 8 else "")
                raise DataError(f"{kind} {name!r} may be one of {len(found)}: {shown}", cure="give the id")
            if found:
                return found[0]
    folded = {
        text.casefold(): text for texts in (ids, labels) for text in texts
    }  # labels win: they are read more easily
    near = difflib.get_close_matches(name.casefold(), folded, n=5, cutoff=0.6)
    raise UnknownNameError(kind, name, [folded[text] for text in near])
