"""Pictures made small enough to live inside a page."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

SIZES = (192, 160, 128, 96, 72, 56, 40)
"""Longest sides to try, in pixels."""


@dataclass
class Thumbnail:
    """A small picture.

    Args:
        uri: As a ``data:`` address.
        width: Pixels.
        height: Pixels.
    """

    uri: str
    width: int
    height: int


@dataclass
class Thumbnails:
    """Small pictures of some entities, all of one longest side.

    Args:
        size: The longest side, in pixels.
        pictures: By entity.
        unreadable: Files that are no good, each with the reason.
        left_out: Entities whose picture had no room.
    """

    size: int
    pictures: dict[int, Thumbnail] = field(default_factory=dict)
    unreadable: dict[Path, str] = field(default_factory=dict)
    left_out: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(len(p.uri) for p in self.pictures.values())


def thumbnails(paths: dict[int, Path], budget: int, sizes: Iterable[int] = SIZES) -> Thumbnails:
    """Pictures of some entities in the largest size at which all of them fit.

    Args:
        paths: File of each entity's picture, those that matter most first.
        budget: Characters that they may take in all.
        sizes: Longest sides to try, the largest first.

    Returns:
        The pictures; where even the smallest size is too large, as many as fit.
    """
    from mmkg.encoders.pictures import UnreadableError, decode_picture, read_bytes

    sizes = list(sizes)
    originals, unreadable = {}, {}
    for entity, path in paths.items():
        try:
            picture = decode_picture(read_bytes(path))
        except UnreadableError as error:
            unreadable[path] = str(error)
            continue
        picture.thumbnail((sizes[0], sizes[0]))  # in place, and never enlarged: all of them fit into memory so
        originals[entity] = picture
    for size in sizes:
        found, taken = Thumbnails(size, unreadable=unreadable), 0
        for entity, picture in originals.items():
            small = picture.copy()
            small.thumbnail((size, size))
            uri = data_uri(small)
            if taken + len(uri) > budget:
                if size != sizes[-1]:
                    break  # the next size is smaller
                found.left_out.append(entity)
                continue
            found.pictures[entity], taken = Thumbnail(uri, *small.size), taken + len(uri)
        if len(found.pictures) + len(found.left_out) == len(originals):
            return found
    raise AssertionError("the smallest size leaves pictures out, and ends the loop")


def data_uri(picture) -> str:
    """A PIL picture as a ``data:`` address: lossless where it has an alpha channel, small otherwise."""
    memory = BytesIO()
    if picture.mode == "RGBA":
        picture.save(memory, "PNG", optimize=True)
        return f"data:image/png;base64,{b64encode(memory.getvalue()).decode()}"
    picture.save(memory, "WEBP", quality=82, method=4)
    return f"data:image/webp;base64,{b64encode(memory.getvalue()).decode()}"
