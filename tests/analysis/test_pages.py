"""What every page keeps to: nothing from elsewhere, one script with its hash, whole or not at all."""

import base64
import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkg.analysis import pages


@given(st.text(max_size=200), st.integers(4, 60))
def test_clipped_is_short_and_a_beginning(text, length):
    found, whole = pages.clipped(text, length), " ".join(text.split())
    assert len(found) <= length
    assert found == whole or (found.endswith("…") and whole.startswith(found[:-1]))


def test_no_script_of_the_package_could_end_its_element():
    for name in ("page.js", "gallery.js"):
        assert "</script" not in pages._asset(name)


def test_a_missing_value_is_an_error():
    jinja2 = pytest.importorskip("jinja2")
    with pytest.raises(jinja2.UndefinedError):
        pages.render("gallery.html", styles=(), scripts=())


def test_the_policy_knows_the_script(little, tmp_path):
    from mmkg.analysis import gallery

    html = gallery(little, tmp_path / "g.html", questions=2).html
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', html)[1].replace("&#39;", "'")
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_half_a_surrogate_pair_is_written_all_the_same(tmp_path):
    path = pages.write("<p>\ud800</p>", tmp_path / "sub" / "p.html")
    assert path.read_text(encoding="utf-8") == "<p>?</p>"
    assert pages.size("ü") == 2
