"""Pictures small enough for a page, and what becomes of those that are no good or have no room."""

from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from mmkg.analysis.thumbnails import thumbnails


@pytest.fixture
def paths(tmp_path):
    noise = np.random.default_rng(0)
    found = {}
    for n, (width, height) in enumerate([(300, 200), (20, 30), (500, 500)]):
        found[n] = tmp_path / f"{n}.png"
        Image.fromarray(noise.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(found[n])
    return found


def opened(uri):
    return Image.open(BytesIO(b64decode(uri.split(",", 1)[1])))


def test_shape_is_kept_and_nothing_is_enlarged(paths):
    found = thumbnails(paths, 10**6)
    assert found.size == 192
    assert [(p.width, p.height) for p in found.pictures.values()] == [(192, 128), (20, 30), (192, 192)]
    for picture in found.pictures.values():
        assert opened(picture.uri).size == (picture.width, picture.height)


def test_smaller_until_they_fit(paths):
    large = len(thumbnails(paths, 10**6))
    some = thumbnails(paths, large // 2)
    assert some.size < 192
    assert len(some) <= large // 2
    assert len(some.pictures) == 3
    assert not some.left_out


def test_those_that_matter_less_have_no_room(paths):
    room = len(thumbnails(paths, 10**6, sizes=[40])) - 1
    few = thumbnails(paths, room)
    assert few.size == 40
    assert list(few.pictures) == [0, 1]
    assert few.left_out == [2]
    assert len(few) <= room
    assert thumbnails(paths, 0).left_out == [0, 1, 2]


def test_unreadable_ones_are_told(paths, tmp_path):
    paths[3], paths[4] = tmp_path / "gone.png", tmp_path / "bad.png"
    paths[4].write_bytes(b"no picture")
    found = thumbnails(paths, 10**6)
    assert len(found.pictures) == 3
    assert found.unreadable[paths[3]] == "no such file"
    assert "not a picture" in found.unreadable[paths[4]]


def test_a_camera_s_turn_and_transparency(tmp_path):
    turned = Image.new("RGB", (60, 20), "red")
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "t.jpg", exif=exif)
    Image.new("RGBA", (9, 9), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    found = thumbnails({0: tmp_path / "t.jpg", 1: tmp_path / "clear.png"}, 10**5).pictures
    assert (found[0].width, found[0].height) == (20, 60)
    assert opened(found[1].uri).convert("RGB").getpixel((4, 4)) == (255, 255, 255)
