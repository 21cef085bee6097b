"""The sentence splitter against hand-made cases and against its two invariants."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkg.encoders import split_sentences

# "|" marks where a sentence ends
CASES = [
    "Anarchism is a political philosophy.| It advocates stateless societies.",
    "He left the U.S. in 1990.| She stayed.",
    "English ancestry made up 9.0% of the total U.S. population.| It is large.",
    "They moved to the U.S.| The move was hard.",
    "The U.S. Congress met in Washington, D.C. on Monday.",
    "Washington, D.C.| It is the capital.",
    "Dr. Smith and Mrs. Jones met Prof. A. B. Miller.| They talked.",
    "J. R. R. Tolkien wrote it.| C. S. Lewis read it.",
    "Fruit, e.g. Apples, is good, i.e. Healthy.| Eat it.",
    "St. Louis is a city.| St. Petersburg is another.",
    "He lives on Main St.| The house is old.",
    "Pi is 3.14159 and e is 2.71828.| Both are irrational.",
    "It costs $3.50.| That is cheap.",
    "Wait…| What?| No!",
    "Well... maybe not.| Or so.",
    "He paused. . . and went on.| She left.",
    "She asked: “Why?”| He said: “Because.”| They left.",
    'He said "Stop!" and left.',
    "Yahoo! is a firm.| It is large.",
    "The band Panic! at the Disco played.",
    "See vol. 3, no. 5, pp. 10-12 and Fig. 4.| The rest is old.",
    "Born on Jan. 5, 1960 in Rome.| He died on Dec. 1, 2001.",
    "Apple Inc. is a firm.| Google Inc.| The firms compete.",
    "Martin Luther King Jr. Day is in January.",
    "It begins at 5 p.m. Eastern time.| It ends at 7 p.m.| The doors open early.",
    "It was built c. 1200.| It fell in 1453.",
    "Eggs, milk, etc. are food.| Eggs, milk, etc.| The list is long.",
    "Vitamin C. The body needs it.".replace(". The", ".| The"),
    "1. The first point stands.| 2. The second falls.",
    "今日は。|元気ですか？|はい！|「そうです。」|終わり。",
    "यह एक वाक्य है।| यह दूसरा है।",
    "Это первое предложение.| Это второе.",
    "Qué es esto?| ¿Una pregunta?| ¡Sí!",
    "The site example.com uses Node.js.| It is fast.",
    "He won (see p. 5).| She lost.",
    "It is big (very big).| It is old.",
    "that which is perceived; draw air into; having the means",
    "Quest for Fire is adapted from the novel by J.-H. Rosny.| It is old.",
    "FC Augsburg 1907 e. V. is a German club.| It plays in Augsburg.",
    'Paved with good intentions"-Dr. Johnson',
    "We travelled North on Rte. 508.| Then we stopped.",
    "А. С. Пушкин писал стихи.| Он жил в Москве.",
    "No final stop",
]


@pytest.mark.parametrize("marked", CASES)
def test_cases(marked):
    expected = [part.strip() for part in marked.split("|")]
    assert split_sentences(marked.replace("|", "")) == expected


def test_white_space_and_paragraphs():
    assert split_sentences("  One\t two.\n Three  four. ") == ["One two.", "Three four."]
    assert split_sentences("A heading\n\nA text") == ["A heading", "A text"]
    assert split_sentences("a line\nbroken") == ["a line broken"]


@pytest.mark.parametrize("nothing", ["", " ", "\n\n\t", "\u00a0\u2003"])
def test_nothing_gives_no_sentence(nothing):
    assert split_sentences(nothing) == []


STOPS = ["Dr.", "U.S.", "e.g.", "A.", "3.14", "…", "...", ". .", "!", "?", "。", "。」", "1.", "Jan.", "b."]
OTHERS = ["The", "it", "」", '"', ")", "(", " ", "\n", "\n\n", "\u00a0", "ß", "É", "١", "\u200b", "\u0301"]
PIECES = st.sampled_from(STOPS + OTHERS)


@given(st.one_of(st.text(), st.lists(PIECES).map("".join), st.lists(PIECES).map(" ".join)))
def test_no_empty_sentence_and_no_character_lost(text):
    sentences = split_sentences(text)
    assert all(s and s == " ".join(s.split()) for s in sentences)
    assert "".join("".join(sentences).split()) == "".join(text.split())


@given(st.lists(PIECES).map(" ".join))
def test_splitting_a_sentence_again_is_harmless(text):
    for sentence in split_sentences(text):
        assert "".join("".join(split_sentences(sentence)).split()) == "".join(sentence.split())


@pytest.mark.parametrize("unit", ["a. ", ". ", "Mr. X ", "(", "U.S.", "。", '"', "A.b"])
def test_long_odd_texts_take_no_quadratic_time(unit):
    start = time.process_time()
    split_sentences(unit * (100_000 // len(unit)))
    assert time.process_time() - start < 3
