"""The tour's three puzzles come out as their doctest says, and not for one seed only."""

import doctest
import importlib.util
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture(scope="module")
def puzzles():
    spec = importlib.util.spec_from_file_location("puzzles", EXPERIMENTS / "puzzles.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["puzzles"] = module
    spec.loader.exec_module(module)
    return module


def test_doctest(puzzles):
    result = doctest.testmod(puzzles)
    assert result.attempted >= 8
    assert result.failed == 0


def test_the_cat_is_an_animal_for_other_seeds_too(puzzles):
    facts = puzzles.chains(mammal=["dog", "cow", "mouse"], bird=["sparrow", "owl", "duck"], fish=["trout", "carp"])
    facts += puzzles.chains("plant", tree=["oak", "elm", "pine"], flower=["rose", "tulip", "daisy"])
    facts.append(("cat", "isA", "mammal"))
    found = [puzzles.train(facts, seed).answers("cat", "isA", k=1) for seed in (1, 2)]
    assert found == [["animal"], ["animal"]]
