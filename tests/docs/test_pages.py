"""Every Python block of the pages under docs/ runs, in the order of its page, in a folder of its own."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"(?:<!-- not run: (.+?) -->\n)?^```python\n(.*?)^```", re.M | re.S)


def blocks(page):
    """First line, reason not to run, and code of each Python block of a page."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, m.start(2)) + 1, m[1], m[2]) for m in BLOCK.finditer(text)]


PAGES = sorted(p for p in DOCS.rglob("*.md") if any(reason is None for _, reason, _ in blocks(p)))
ELSEWHERE = {"unseen.md"}  # tests/linking/test_docs.py runs it and looks at more of what it gives


@pytest.mark.parametrize("page", [p for p in PAGES if p.name not in ELSEWHERE], ids=lambda p: str(p.relative_to(DOCS)))
def test_a_page_does_what_it_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    for line, reason, code in blocks(page):
        if reason is None:
            # as many blank lines before the code as there are in the page, so that an error names the page's own line
            exec(compile("\n" * (line - 1) + code, str(page), "exec"), names)


def test_there_are_pages_to_run():
    assert len(PAGES) >= 9


def test_commands_in_the_pages_are_known():
    from mmkg import cli

    known = {command.__name__ for command in cli.COMMANDS}
    for page in DOCS.rglob("*.md"):
        for command in re.findall(r"(?:^|`|&& )mmkg ([a-z]\w*)", page.read_text(encoding="utf-8"), re.M):
            assert command in known, f"{page}: mmkg {command}"


def test_every_page_is_in_the_navigation_and_every_entry_is_a_page():
    told = set(re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    assert told == {str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md")}


def test_roles_of_docstrings_become_markdown():
    about = importlib.util.spec_from_file_location("roles", DOCS / "roles.py")
    roles = importlib.util.module_from_spec(about)
    about.loader.exec_module(roles)
    text = "See :class:`~mmkg.graph.Facts`, :meth:`query` and `a paper\n<https://a.b>`_ with :math:`x_i`.\n\n"
    text += ".. math::\n    a &= b \\\\\n    c &= d\n\nArgs:\n    x: ``[N]``."
    made = roles.to_markdown(text)
    assert "See `Facts`, `query` and [a paper](https://a.b) with $x_i$." in made
    assert "$$ \\begin{aligned} a &= b \\\\ c &= d \\end{aligned} $$" in made.replace("    ", " ").replace(
        "\\\\     ", "\\\\ "
    )
    assert made.endswith("Args:\n    x: `[N]`.")
