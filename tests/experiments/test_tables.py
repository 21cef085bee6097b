"""The README's numbers are those of the committed results."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_readme_and_results_agree():
    done = subprocess.run(
        [sys.executable, str(ROOT / "experiments" / "tables.py"), "--check"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


def test_a_changed_number_is_noticed(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    import tables

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    start = text.index("<!-- table: worldmoji -->")
    digit = next(i for i in range(start, len(text)) if text[i : i + 3] == "0.2")
    changed = text[: digit + 2] + "9" + text[digit + 3 :]
    assert tables.render(changed) == text
