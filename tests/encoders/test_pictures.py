"""Pictures of every mode and format become RGB as a person would see them; bad ones are refused with a reason."""

import os
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageFile

from mmkg.encoders.pictures import UnreadableError, decode_picture, read_bytes, strict_pillow

RED, WHITE = (255, 0, 0), (255, 255, 255)


def saved(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def pixel(data: bytes, at=(1, 1)) -> tuple[int, ...]:
    picture = decode_picture(data)
    assert picture.mode == "RGB"
    return picture.getpixel(at)


def test_transparent_pixels_become_white():
    rgba = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert pixel(saved(rgba)) == WHITE
    assert pixel(saved(Image.new("RGBA", (8, 8), (255, 0, 0, 128)))) == (255, 127, 127)
    assert pixel(saved(Image.new("LA", (8, 8), (0, 0)))) == WHITE


def test_palettes_with_and_without_transparency():
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 255, 255, 0, 0])
    assert pixel(saved(palette)) == RED
    assert pixel(saved(palette, transparency=1)) == WHITE
    assert pixel(saved(palette, "GIF", transparency=1)) == WHITE


def test_colour_key_of_an_rgb_png():
    assert pixel(saved(Image.new("RGB", (8, 8), RED), transparency=RED)) == WHITE


def test_cmyk_jpeg():
    red = pixel(saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"))
    assert red[0] > 230
    assert max(red[1:]) < 60


def test_bilevel_and_grey():
    assert pixel(saved(Image.new("1", (8, 8), 1))) == WHITE
    assert pixel(saved(Image.new("L", (8, 8), 77))) == (77, 77, 77)


def test_sixteen_bits_are_scaled_and_not_clipped():
    grey = Image.fromarray(np.full((8, 8), 32768, np.uint16))
    assert pixel(saved(grey)) == (128, 128, 128)
    assert pixel(saved(grey, "TIFF")) == (128, 128, 128)


@pytest.mark.parametrize(("value", "expected"), [(0.5, 128), (128.0, 128)])
def test_floating_point_tiff(value, expected):
    assert pixel(saved(Image.fromarray(np.full((8, 8), value, np.float32)), "TIFF")) == (expected,) * 3


def test_floating_point_tiff_with_nan_is_refused():
    with pytest.raises(UnreadableError, match="NaN"):
        decode_picture(saved(Image.fromarray(np.full((8, 8), np.nan, np.float32)), "TIFF"))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_first_frame_of_an_animation(kind):
    frames = [Image.new("RGB", (16, 16), c) for c in (RED, (0, 255, 0), (0, 0, 255))]
    colour = pixel(saved(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert colour[0] > 240
    assert max(colour[1:]) < 15


def test_exif_orientation():
    picture = Image.new("RGB", (30, 20), WHITE)
    picture.paste(RED, (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees clockwise
    upright = decode_picture(saved(picture, "JPEG", exif=exif, quality=95))
    assert upright.size == (20, 30)
    assert upright.getpixel((17, 2))[1] < 60  # the red corner is top right now
    assert upright.getpixel((2, 2))[1] > 200


def test_damaged_exif_does_not_lose_the_picture(monkeypatch):
    plain = saved(Image.new("RGB", (16, 16), RED), "JPEG", quality=95)
    broken = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12\0\x05\xff\xff\xff\xff\xff\xff\xff\xff"
    data = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(broken) + 2) + broken + plain[2:]
    with strict_pillow():
        assert pixel(data)[0] > 230

    def fail(_):
        raise ZeroDivisionError

    monkeypatch.setattr("mmkg.encoders.pictures.ImageOps.exif_transpose", fail)
    assert pixel(plain)[0] > 230


def png(width: int, height: int, depth: int, rows: bytes) -> bytes:
    """A PNG in colour, written by hand."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_sixteen_bits_of_each_colour():
    row = b"\0" + struct.pack(">HHH", 65535, 32768, 0) * 4
    assert pixel(png(4, 4, 16, row * 4)) == (255, 128, 0)


def bomb(width: int, height: int) -> bytes:
    """A PNG that announces many pixels and holds none."""
    return png(width, height, 8, b"")


@pytest.mark.parametrize("size", [(10_000, 10_000), (60_000, 60_000)])  # Pillow warns of one and refuses the other
@pytest.mark.parametrize("unlimited", [False, True])
def test_decompression_bombs_are_refused(size, unlimited, monkeypatch):
    if unlimited:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with strict_pillow(), pytest.raises(UnreadableError, match="bomb"):
        decode_picture(bomb(*size))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_truncated_pictures_are_refused_even_if_a_library_wants_them(kind, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), kind)
    with strict_pillow(), pytest.raises(UnreadableError):
        decode_picture(data[: len(data) * 2 // 3])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@pytest.mark.parametrize("data", [b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_other_files_are_refused(data):
    with pytest.raises(UnreadableError, match="not a picture"):
        decode_picture(data)


def test_damaged_header():
    data = bytearray(saved(Image.new("RGB", (8, 8))))
    data[20] ^= 0xFF  # inside IHDR: its checksum fails
    with pytest.raises(UnreadableError):
        decode_picture(bytes(data))


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "empty.png").touch()
    for path, reason in [
        (tmp_path / "gone.png", "no such file"),
        (tmp_path, "not a regular file"),
        (tmp_path / "empty.png", "empty file"),
    ]:
        with pytest.raises(UnreadableError, match=reason):
            read_bytes(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UnreadableError, match="regular"):
        read_bytes(tmp_path / "pipe.png")


def test_huge_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("mmkg.encoders.pictures.MAX_BYTES", 10)
    (tmp_path / "big.png").write_bytes(b"x" * 11)
    with pytest.raises(UnreadableError, match="MB"):
        read_bytes(tmp_path / "big.png")
