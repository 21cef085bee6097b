"""Hidden names: no word of a name is left in a text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkg.linking import hide_name

WORDS = st.lists(
    st.sampled_from(["Paso", "El", "river", "Apple", "of", "Zürich", "C++", "AC/DC"]), min_size=1, max_size=6
)


@given(WORDS, WORDS)
def test_no_word_of_the_name_is_left(text, name):
    hidden = hide_name(" ".join(text), " ".join(name))
    for word in name:
        if len(word) > 2 and word.isalpha():
            assert not re.search(rf"(?<!\w){word}(?!\w)", hidden, re.IGNORECASE)


@pytest.mark.parametrize(
    ("text", "name", "hidden"),
    [
        ("Apple is a company.", "Apple (company)", "it is a it."),
        ("APPLE grows on trees, pineapple does not.", "apple", "it grows on trees, pineapple does not."),
        ("The Queen of Spain.", "Queen of Spain", "The it."),
        ("Rome", "Rome", ""),
        ("A city.", "", "A city."),
        ("It has (odd) [marks].", "(odd)", "It has it [marks]."),
    ],
)
def test_examples(text, name, hidden):
    assert hide_name(text, name) == hidden
