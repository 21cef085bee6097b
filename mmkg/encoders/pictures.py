"""Picture files of any kind as plain RGB, or a reason why not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps

from mmkg.errors import MMKGError

MAX_PIXELS = 89_478_485  # Pillow's own threshold of suspicion: a quarter of a gigabyte of RGB
MAX_BYTES = 256 * 2**20
# Only formats that Pillow decodes itself: EPS would start Ghostscript on a file from the web.
FORMATS = ("PNG", "JPEG", "MPO", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000", "AVIF", "PPM", "ICO", "TGA")


class UnreadableError(MMKGError):
    """A picture that cannot be used; its message is the reason, for a list that a person reads."""


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Make Pillow refuse truncated files, and keep its warnings about odd ones off the screen, within a block."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # libraries switch it on, and then half a picture is grey
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused below, by name
            warnings.filterwarnings("ignore", module=r"PIL\.")
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def read_bytes(path: Path) -> bytes:
    """A picture file's content.

    Args:
        path: The file.

    Returns:
        Its bytes, at least one.

    Raises:
        UnreadableError: It is missing, empty, too large, no regular file, or not ours to read.
    """
    try:
        if not path.exists():
            raise UnreadableError("no such file")
        if not path.is_file():  # a named pipe would block for ever
            raise UnreadableError("not a regular file")
        size = path.stat().st_size
        if size == 0:
            raise UnreadableError("empty file")
        if size > MAX_BYTES:
            raise UnreadableError(f"{size / 2**20:.0f} MB, more than {MAX_BYTES // 2**20}")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise UnreadableError(f"cannot be read: {error}") from error


def decode_picture(data: bytes) -> Image.Image:
    """A picture as a person would see it: upright, first frame, on white, in RGB.

    Args:
        data: Content of a picture file.

    Returns:
        The picture, mode RGB.

    Raises:
        UnreadableError: It is no picture, truncated, damaged, or so large that it may be a decompression bomb.
    """
    try:
        with Image.open(BytesIO(data), formats=_known_formats()) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise UnreadableError(f"decompression bomb? {width} x {height} pixels, more than {MAX_PIXELS}")
            picture.load()  # of an animation, the first frame
            return _to_rgb(_upright(picture))
    except UnreadableError:
        raise
    except Image.DecompressionBombError as error:
        raise UnreadableError(f"decompression bomb? {error}") from error
    except Image.UnidentifiedImageError as error:
        raise UnreadableError(f"not a picture in a known format ({', '.join(FORMATS)})") from error
    except Exception as error:  # a malformed file raises anything: struct.error, SyntaxError, IndexError, zlib.error
        raise UnreadableError(f"damaged: {type(error).__name__}: {error}") from error


@cache
def _known_formats() -> list[str]:
    """Those of :data:`FORMATS` that this build of Pillow knows."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _upright(picture: Image.Image) -> Image.Image:
    """The picture turned as its camera says; damaged EXIF is no reason to lose the picture."""
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # malformed EXIF raises anything, like malformed pictures
        return picture


def _to_rgb(picture: Image.Image) -> Image.Image:
    """Any mode to RGB: transparency on white, deep greys scaled to 8 bits."""
    if picture.mode.startswith("I") or picture.mode == "F":
        return _deep_grey(picture)
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return picture.convert("RGB")


def _deep_grey(picture: Image.Image) -> Image.Image:
    """16-bit grey scaled by its range; deeper or floating-point grey by the values that it has."""
    grey = np.asarray(picture).astype(np.float64)  # [h, w]
    if not np.isfinite(grey).all():
        raise UnreadableError("NaN or infinity among the pixels")
    low, high = grey.min(), grey.max()
    if picture.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif picture.mode == "F" and low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    elif picture.mode != "F" and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    scaled = (grey - low) / max(high - low, np.finfo(np.float64).tiny) * 255
    return Image.fromarray(scaled.round().astype(np.uint8)).convert("RGB")  # [h, w] -> [h, w, 3]
