"""Running text to sentences, without a model and without downloads."""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


# Full stops after these never end a sentence.
_NEVER = _words(
    """mr mrs ms messrs mme mlle dr prof rev fr gen col lt capt cmdr sgt maj adm gov sen rep hon pres supt
    e.g i.e cf viz vs al ca c approx b d r fl lit trans née aka a.k.a mt"""
)
# After these a number belongs to what precedes it: "No. 5", "pp. 3", "Jan. 5".
_BEFORE_NUMBER = _words(
    "no nos vol vols p pp fig figs ch sec art op nr rte jan feb mar apr jun jul aug sep sept oct nov dec"
)
# After these (and after initials and dotted capitals such as U.S.) only a usual opening word starts a new sentence.
_MAYBE = _words(
    """st ste inc ltd co corp bros dept univ assn ave blvd rd sq hwy jr sr esq etc est ph.d ed eds ft
    vol vols p pp fig figs ch op nr jan feb apr jun jul aug sep sept oct nov dec"""
)
_OPENERS = _words(
    """the a an it its he his she her they their we our you your this that these those there here i in on at as by
    for from with after before during since while when where although though however if but and or both each all some
    many most other another one two several because despite under over between today now then also according"""
)

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n")
_END = re.compile(
    r"[。！？｡۔।॥]+[」』”’）】》〉\"')\]]*"  # these end a sentence with or without a space behind them
    r"|(?:\.(?:\s?\.)+|[.?!…؟‽])[.?!…]*[”’»\"')\]]*(?=\s|$)"
)
_FREESTANDING = frozenset("。！？｡۔।॥")
_WORD = re.compile(r"[^\s(\[{\"'“‘«,;:/—–-]*$")
_DOTTED = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")
_NEXT = re.compile(r"[\s\"'“‘«(\[「『¿¡]*(\w*)(\S?)")


def split_sentences(text: str) -> list[str]:
    """Split running text into sentences.

    Knows abbreviations, initials, decimals, ellipses, quotes after the full stop and Chinese, Japanese and Hindi
    stops. White space becomes single spaces; an empty line always ends a sentence. Where in doubt it does not split:
    two sentences in one vector lose less than half a sentence in each of two.

    Args:
        text: Any text.

    Returns:
        The sentences in order, none of them empty; together they hold every character of the text but white space.

    Example:
        >>> split_sentences("Dr. J. Smith left the U.S. in 1990. He paid $3.50… Why?")
        ['Dr. J. Smith left the U.S. in 1990.', 'He paid $3.50…', 'Why?']
    """
    sentences = []
    for paragraph in _PARAGRAPH.split(text):
        paragraph = " ".join(paragraph.split())
        start = 0
        for match in _END.finditer(paragraph):
            if _ends_sentence(paragraph, start, match):
                sentences.append(paragraph[start : match.end()].strip())
                start = match.end()
        sentences.append(paragraph[start:].strip())
    return [sentence for sentence in sentences if sentence]


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether a stop ends the sentence that began at ``start``."""
    stop = match.group()
    if stop[0] in _FREESTANDING:
        return True
    following = _NEXT.match(text, match.end())
    word, symbol = following.group(1), following.group(2)
    if not word and not symbol:
        return True  # the end of the text
    if word[:1].islower() or (not word and symbol in ",;:)]}-–—&"):
        return False  # it goes on: "Yahoo! is", "(sic.), and"
    if stop[0] != "." or stop.startswith((". .", "..")):
        return True
    before = _WORD.search(text, max(start, match.start() - 40), match.start()).group()
    token = before.lower().lstrip(".")
    if token.isdigit() and len(token) <= 3 and text[start : match.start()].strip() == before:
        return False  # "1. The first item of a list"
    initial = len(before) == 1 and (before.isupper() or before.islower())  # "J. Bell", "Schalke 04 e. V."
    if token in _NEVER and not (initial and before.isupper()):  # "b. 1950", but "vitamin B. The"
        return False
    if word[:1].isdigit() and token in _BEFORE_NUMBER:
        return False
    if initial or token in _MAYBE or _DOTTED.fullmatch(before):
        return word.lower() in _OPENERS and word[:1].isupper() and not (initial and word == "A")
    return True
