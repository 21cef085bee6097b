"""The examples in the docs do what they say."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "unseen.md"


def test_apple_with_two_texts_goes_two_ways():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    names = {}
    exec(compile(code, str(PAGE), "exec"), names)
    assert names["meant"] == ["Apple (fruit)", "Apple (company)"]
    assert names["scores"].shape == (2, 4)
