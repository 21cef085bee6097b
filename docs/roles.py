"""Docstrings are written with Sphinx's roles; the site's pages are Markdown. This turns the one into the other."""

import re
import textwrap

try:
    import griffe
except ImportError:  # the conversion itself needs nothing
    griffe = None

ROLE = re.compile(r":(?:py:)?(?:class|meth|func|mod|attr|data|obj):`([^`]+)`")
LINK = re.compile(r"`([^`<]+?)\s*<(https?://[^>]+)>`_+")
MATH = re.compile(r":math:`([^`]+)`")
BLOCK = re.compile(r"^([ ]*)\.\. math::[ ]*(.*)\n((?:(?:\1[ ]+\S.*)?\n)*)", re.M)
EXAMPLE = re.compile(r"^([ ]*)Example:$", re.M)  # the plural is a section of code to griffe
LITERAL = re.compile(r"::\n\n(?=[ ]{4})")


def to_markdown(text: str) -> str:
    """A docstring with Sphinx's roles, links and equations as Markdown."""
    text = EXAMPLE.sub(r"\1Examples:", text)
    text = BLOCK.sub(_block, text + "\n")
    text = ROLE.sub(lambda m: f"`{_shown(m[1])}`", text)
    text = MATH.sub(r"$\1$", text)
    text = LINK.sub(lambda m: f"[{' '.join(m[1].split())}]({m[2]})", text)
    return LITERAL.sub(":\n\n", text).replace("``", "`").rstrip("\n")


def _shown(target: str) -> str:
    """What a role shows: its title, or with a tilde the last part of the name."""
    titled = re.fullmatch(r"(.+?)\s*<.+>", target)
    if titled:
        return titled[1]
    return target[1:].rsplit(".", 1)[-1] if target.startswith("~") else target


def _block(match: re.Match) -> str:
    indent, first, rest = match.groups()
    body = " ".join(line for line in [first, *textwrap.dedent(rest).split("\n")] if line.strip())
    body = body.strip()
    if "&" in body:  # several lines, aligned
        body = rf"\begin{{aligned}} {body} \end{{aligned}}"
    return f"{indent}\n{indent}$$ {body} $$\n\n"


if griffe is not None:

    class Roles(griffe.Extension):
        """Converts every docstring that the site shows."""

        def on_instance(self, *, obj, **_) -> None:
            """When an object has been read."""
            if obj.docstring is not None:
                obj.docstring.value = to_markdown(obj.docstring.value)
