"""What the tests of this room share."""

from pathlib import Path

import pytest
from small_db15k import write_db15k


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A root folder that holds the small DB15K, with no other place to look in."""
    monkeypatch.delenv("MMKG_RAW", raising=False)
    return write_db15k(tmp_path / "root")
