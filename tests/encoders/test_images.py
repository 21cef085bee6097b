"""Pictures to features: regions, order, resuming, and pictures that cannot be read."""

import warnings

import numpy as np
import pytest
import torch
from fake_encoders import FakePictureEncoder
from PIL import Image

from mmkg.encoders import encode_images, pool_patches, region_boxes
from mmkg.encoders.pictures import decode_picture
from mmkg.errors import DataError, NumericsError


def expected(path) -> torch.Tensor:
    return pool_patches(FakePictureEncoder().encode([decode_picture(path.read_bytes())]), (4, 6))[0].half()


def test_every_picture_is_in_its_place(make_pictures):
    pictures = make_pictures(40)
    paths = [None, *pictures[::-1], None, str(pictures[7])]
    features = encode_images(paths, FakePictureEncoder(), batch_size=16, progress=False)
    assert features.shape == (41, 24, 3)
    assert features.values.dtype == torch.float16
    assert features.mask.all()
    torch.testing.assert_close(features.boxes, region_boxes((14, 14), (4, 6)))
    assert features.present.tolist() == [p is not None for p in paths]
    for i, path in enumerate(paths):
        if path is not None:
            assert torch.equal(features.values[features.row[i]], expected(pictures[int(str(path)[-7:-4])]))
    about = features.provenance
    assert (about["entities"], about["present"], about["absent"], about["unreadable"]) == (43, 41, 2, [])
    assert (about["distinct"], about["encoded"], about["grid"]) == (40, 40, [14, 14])


def test_regions_are_row_major_and_where_the_boxes_say(tmp_path):
    picture = Image.new("RGB", (60, 40), "white")
    picture.paste((0, 0, 0), (50, 0, 60, 10))  # the corner at the top right
    picture.save(tmp_path / "corner.png")
    features = encode_images([tmp_path / "corner.png"], FakePictureEncoder(), progress=False)
    dark = features.values[0, :, 0].argmin().item()
    assert dark == 5
    assert features.boxes[dark, 2] == 1
    assert features.boxes[dark, 1] == 0


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_batch_size_changes_nothing(make_pictures, batch_size):
    paths = make_pictures(20)
    one = encode_images(paths, FakePictureEncoder(), progress=False)
    other = encode_images(paths, FakePictureEncoder(), batch_size=batch_size, progress=False)
    assert torch.equal(one.values, other.values)
    assert torch.equal(one.row, other.row)


def test_a_stopped_run_goes_on_where_it_was(make_pictures, tmp_path):
    paths = make_pictures(40)
    stopped, rest, again = FakePictureEncoder(stop_at=2), FakePictureEncoder(), FakePictureEncoder()
    with pytest.raises(KeyboardInterrupt):
        encode_images(paths, stopped, cache=tmp_path / "cache", progress=False)
    assert stopped.seen == 16
    features = encode_images(paths, rest, cache=tmp_path / "cache", progress=False)
    assert rest.seen == 24
    whole = encode_images(paths, again, cache=tmp_path / "cache", progress=False)
    assert again.calls == 0
    for other in (whole, encode_images(paths, FakePictureEncoder(), progress=False)):
        assert torch.equal(features.values, other.values)
        assert torch.equal(features.boxes, other.boxes)


def test_a_changed_picture_is_encoded_anew_and_no_other(make_pictures, tmp_path):
    paths = make_pictures(20)
    encode_images(paths, FakePictureEncoder(), cache=tmp_path / "cache", progress=False)
    Image.new("RGB", (9, 9), "red").save(paths[3])
    paths[5].rename(paths[5].with_name("renamed.png"))
    paths[5] = paths[5].with_name("renamed.png")
    encoder = FakePictureEncoder()
    features = encode_images(paths, encoder, cache=tmp_path / "cache", progress=False)
    assert encoder.seen == 1
    assert torch.equal(features.values[3, 0], torch.tensor([1.0, 0, 0]).half())


def test_other_regions_or_encoder_share_nothing(make_pictures, tmp_path):
    paths = make_pictures(5)
    for regions, fingerprint in (((4, 6), "a"), ((6, 4), "a"), ((4, 6), "b")):
        encoder = FakePictureEncoder()
        encoder.fingerprint = fingerprint
        encode_images(paths, encoder, regions=regions, cache=tmp_path / "cache", progress=False)
        assert encoder.seen == 5


def spoil(paths, tmp_path):
    """Make five of the pictures unreadable, each in its way; returns the reasons that are to be given."""
    paths[2].write_bytes(b"")
    paths[9].write_bytes(paths[9].read_bytes()[:300])
    paths[17].write_text("no picture")
    paths[21].unlink()
    paths[39].write_bytes(b"")
    return {2: "empty", 9: "damaged", 17: "not a picture", 21: "no such file", 39: "empty"}


def test_unreadable_pictures_are_absent_listed_and_warned_of_once(make_pictures, tmp_path):
    paths = make_pictures(40)
    reasons = spoil(paths, tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        features = encode_images(
            [*paths, paths[9], None], FakePictureEncoder(), cache=tmp_path / "cache", progress=False
        )
    assert len(caught) == 1
    assert "5 pictures" in str(caught[0].message)
    assert "6 of 42 entities" in str(caught[0].message)
    listed = dict(features.provenance["unreadable"])
    assert set(listed) == {str(paths[i]) for i in reasons}
    assert all(reason in listed[str(paths[i])] for i, reason in reasons.items())
    assert features.shape == (35, 24, 3)
    for i, path in enumerate(paths):
        if i in reasons:
            assert features.row[i] == -1
        else:
            assert torch.equal(features.values[features.row[i]], expected(path))
    assert features.row[40:].tolist() == [-1, -1]
    assert features.row[features.present].tolist() == list(range(35))


@pytest.mark.parametrize("paths", [[], [None, None]])
def test_no_picture_at_all(paths):
    features = encode_images(paths, FakePictureEncoder(), progress=False)
    assert features.shape == (0, 24, 3)
    assert features.boxes is None
    assert not features.present.any()


def test_nothing_but_unreadable_pictures(tmp_path):
    (tmp_path / "bad.png").write_text("no")
    with pytest.warns(UserWarning, match="1 of 1"):
        features = encode_images([tmp_path / "bad.png"], FakePictureEncoder(), progress=False)
    assert features.shape == (0, 24, 3)


def test_a_picture_that_changes_meanwhile_is_not_cached_under_its_old_content(make_pictures, monkeypatch, tmp_path):
    (path,) = make_pictures(1)
    reads = iter([path.read_bytes(), path.read_bytes() + b"more"])
    monkeypatch.setattr("mmkg.encoders.images.read_bytes", lambda _: next(reads))
    with pytest.warns(UserWarning, match="changed while"):
        features = encode_images([path], FakePictureEncoder(), cache=tmp_path / "cache", progress=False)
    assert not features.present.any()


def test_overflow_names_the_picture_and_keeps_what_was_done(make_pictures, tmp_path):
    paths = make_pictures(20)
    Image.new("RGB", (9, 9), (255, 0, 0)).save(paths[18])
    encoder = FakePictureEncoder()
    whole = encoder.encode
    encoder.encode = lambda pictures: torch.where(whole(pictures) == 1, 1e6, 0.0)  # only pure colour is 1
    with pytest.raises(NumericsError, match=r"65504.*018\.png"):
        encode_images(paths, encoder, cache=tmp_path / "cache", progress=False)
    paths[18].unlink()
    rest = FakePictureEncoder()
    with pytest.warns(UserWarning, match="no such file"):
        encode_images(paths, rest, cache=tmp_path / "cache", progress=False)
    assert rest.seen == 3


def test_an_encoder_whose_grid_changes_is_refused(make_pictures):
    encoder = FakePictureEncoder()
    encoder.encode = lambda pictures: torch.zeros(len(pictures), len(pictures), 4, 3)
    with pytest.raises(DataError, match="boxes would differ"):
        encode_images(make_pictures(20), encoder, progress=False)


@pytest.mark.parametrize(
    ("paths", "options"),
    [("a.png", {}), ([3], {}), ([], {"regions": (0, 6)}), ([], {"regions": (4,)}), ([], {"batch_size": 0})],
)
def test_arguments_out_of_range(paths, options):
    with pytest.raises(DataError):
        encode_images(paths, FakePictureEncoder(), progress=False, **options)


def test_gathered_values_are_zero_where_there_is_no_picture(make_pictures):
    features = encode_images([None, *make_pictures(3)], FakePictureEncoder(), progress=False)
    values, mask = features.gather(torch.tensor([0, 3, 0]))
    assert mask[:, 0].tolist() == [False, True, False]
    assert (values[[0, 2]] == 0).all()
    assert np.isfinite(values.numpy()).all()
