"""A file is there in full or not at all."""

import pytest

from mmkg.encoders.files import atomic_write


def test_a_complete_file_appears_and_an_incomplete_one_does_not(tmp_path):
    path = tmp_path / "new" / "file"
    with atomic_write(path) as file:
        file.write(b"one")
        assert not path.exists()
    assert path.read_bytes() == b"one"

    def stopped() -> None:
        with atomic_write(path) as file:
            file.write(b"two")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert path.read_bytes() == b"one"
    assert list(path.parent.iterdir()) == [path]
