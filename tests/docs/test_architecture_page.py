"""The picture in ARCHITECTURE.md is that of the rule book."""

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
# mermaid takes no node called "graph": there it is graph_
ARROWS = [tuple(n.rstrip("_") for n in pair) for pair in re.findall(r"^\s*(\w+) --> (\w+)$", PAGE, re.M)]


def rules():
    about = importlib.util.spec_from_file_location("architecture", ROOT / "tests" / "test_architecture.py")
    module = importlib.util.module_from_spec(about)
    about.loader.exec_module(module)
    return module.MAY_IMPORT


def reached(start):
    """Rooms from which arrows lead to one, directly or through others."""
    found, todo = set(), [start]
    while todo:
        here = todo.pop()
        new = {source for source, target in ARROWS if target == here} - found
        found |= new
        todo += new
    return found


def test_the_rooms_are_those_of_the_rule_book():
    assert {room for arrow in ARROWS for room in arrow} == set(rules())


def test_each_arrow_is_allowed_and_each_permission_is_drawn():
    may = rules()
    for source, target in ARROWS:
        assert source in may[target], f"{target} may not import {source}"
    for room, allowed in may.items():
        assert allowed <= reached(room), f"the picture lacks what {room} may import: {allowed - reached(room)}"


def test_no_arrow_says_what_others_say_already():
    for arrow in ARROWS:
        others = [a for a in ARROWS if a != arrow]
        through = {s for s, t in others if t == arrow[1]}
        assert not any(arrow[0] in reached(room) for room in through), arrow


def test_the_table_describes_every_room():
    table = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `"))
    assert set(rules()) <= set(re.findall(r"`(\w+)`", table))
