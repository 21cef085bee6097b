"""Texts without the names of what they are about: else linking by text would be looking up names."""

from __future__ import annotations

import re

HIDDEN = "it"
_SMALL = frozenset(
    {"the", "and", "for", "with", "from", "into", "der", "die", "das", "les", "des", "del", "van", "von"}
)


def hide_name(text: str, name: str) -> str:
    """A text in which an entity's name, and each word of the name, is replaced by "it".

    Words of fewer than three letters and articles stay, unless the whole name is there. What stands in brackets at the
    end of a name ("Apple (fruit)") tells namesakes apart and counts as part of it. Case does not matter.

    Args:
        text: A description.
        name: The name of what it describes; may be empty.

    Returns:
        The text; blank where nothing but the name was there.

    Example:
        >>> hide_name("El Paso is a city; Paso Robles is not. The El Paso Times is printed there.", "El Paso")
        'it is a city; it Robles is not. The it Times is printed there.'
    """
    if not name.strip():
        return text
    words = [w for w in re.findall(r"\w+", name) if len(w) > 2 and w.casefold() not in _SMALL]
    bare = re.sub(r"\s*\([^)]*\)\s*$", "", name).strip()
    wanted = sorted({name.strip(), bare or name.strip(), *words}, key=lambda w: (-len(w), w))  # the whole name first
    pattern = "|".join(rf"(?<!\w){re.escape(w)}(?!\w)" for w in wanted)
    hidden = re.sub(pattern, HIDDEN, text, flags=re.IGNORECASE)
    hidden = re.sub(rf"\b{HIDDEN}(?:[\s,.'’-]+{HIDDEN}\b)+", HIDDEN, hidden)  # a name of several words once
    return "" if not hidden.replace(HIDDEN, "").strip(" .,;") else hidden
