"""From the table of negatives to what a page shows: questions, their answers and negatives, each a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mmkg.analysis.comparison import MODALITIES, Lens
from mmkg.analysis.heat import free_heat, guided_heat, times_even
from mmkg.analysis.pages import clipped
from mmkg.errors import MMKGError
from mmkg.graph.names import Names
from mmkg.samplers import MMRNS
from mmkg.samplers.mmrns.attention import Attention, attention
from mmkg.types import Side

SENTENCE, DESCRIPTION = 150, 320
"""Characters shown of a sentence, and of a description."""


@dataclass
class Sentence:
    """A sentence of an entity and how KCA weighs it.

    Args:
        text: The sentence.
        free: Share of attention, from 0 to 1; None where it is not known.
        guided: Guided weight, from -1 to 1 in units of the question's strongest; None where it is not known.
        tint: How far the share is from an even one (0) to all there is (1).
    """

    text: str
    free: float | None = None
    guided: float | None = None
    tint: float = 0.0


@dataclass
class Card:
    """An entity as it is shown.

    Args:
        entity: Its id.
        name: Its name.
        sentences: Its text.
        free: Attention over the picture, as a ``data:`` address; None where there is none to show.
        guided: Guided weights likewise.
        regions: Weights of regions, as they come: "free" and "guided" ``[I]`` or None, and "mask" ``[I]``.
        row: The negative's row in the table; None for the true answer.
    """

    entity: int
    name: str
    sentences: list[Sentence] = field(default_factory=list)
    free: str | None = None
    guided: str | None = None
    regions: dict | None = None
    row: dict | None = None


@dataclass
class Question:
    """A question with its true answer and its negatives.

    Args:
        number: Its number in the table.
        side: The side that is asked for.
        given: Id of the entity that the question gives.
        given_name: Its name.
        relation: The relation's name.
        category: The relation's category.
        answer: The true answer.
        negatives: Cards of each lens, the hardest first.
        through: Modalities through which negatives are hard for the samplers that look at them.
    """

    number: int
    side: Side
    given: int
    given_name: str
    relation: str
    category: str
    answer: Card
    negatives: list[list[Card]]
    through: list[str] = field(default_factory=list)

    @property
    def cards(self) -> list[Card]:
        """The answer and all negatives."""
        return [self.answer, *(card for cards in self.negatives for card in cards)]

    @property
    def known(self) -> int:
        """How many negatives shown are in truth facts."""
        return sum(bool(card.row["known"]) for cards in self.negatives for card in cards)

    @property
    def searched(self) -> str:
        """What the search box looks at, in small letters."""
        return " ".join(dict.fromkeys([self.given_name, self.relation, *(c.name for c in self.cards)])).casefold()


class Texts:
    """What is known of an entity in words.

    Args:
        dataset: A dataset, or a stand-in with ``topology`` and, if it has them, ``sentences(entity)``.
    """

    def __init__(self, dataset) -> None:
        self.data, self.dataset = dataset.topology, dataset
        self.names = Names.of(self.data)
        self.descriptions = getattr(self.data, "descriptions", None)

    def rows(self, entity: int) -> list[str] | None:
        """Sentences that the entity's text features stand for; None where that is not known."""
        ask = getattr(self.dataset, "sentences", None)
        return None if ask is None else ask(entity)

    def of(self, entity: int) -> list[Sentence]:
        """What there is to read."""
        rows = self.rows(entity)
        if rows is not None:
            return [Sentence(clipped(row, SENTENCE)) for row in rows]
        description = self.descriptions[entity] if self.descriptions else ""
        return [Sentence(clipped(description, DESCRIPTION))] if description.strip() else []


def make_questions(
    table: pd.DataFrame, lenses: Sequence[Lens], texts: Texts, categories: Sequence[str]
) -> list[Question]:
    """Cards for every question of :func:`mmkg.analysis.comparison.compare_negatives`.

    Args:
        table: The negatives.
        lenses: What was compared.
        texts: Names and texts of entities.
        categories: Of each relation, length ``R``.
    """
    names, found = texts.names, []
    looking = [i for i, lens in enumerate(lenses) if isinstance(lens.sampler, MMRNS)]
    for number, rows in table.groupby("question", sort=True):
        head, relation, tail, side = rows.iloc[0][["head", "relation", "tail", "side"]]
        given, answer = (head, tail) if side == "tail" else (tail, head)
        true = Card(int(answer), names.entity(answer), texts.of(int(answer)))
        negatives: list[list[Card]] = [[] for _ in lenses]
        for row in rows.to_dict("records"):
            entity = int(row["negative"])
            negatives[row["lens"]].append(Card(entity, names.entity(entity), texts.of(entity), row=row))
        question = Question(
            int(number),
            side,
            int(given),
            names.entity(given),
            names.relation(relation),
            categories[relation],
            true,
            negatives,
            [m for m in MODALITIES if m in {card.row["through"] for i in looking for card in negatives[i]}],
        )
        look(question, int(relation), lenses, texts)
        found.append(question)
    return found


def look(question: Question, relation: int, lenses: Sequence[Lens], texts: Texts) -> None:
    """Give the cards of a question their attention, each by the MMRNS sampler of its lens, or by the first that is one.

    Guided weights are scaled to the sampler's strongest in the question, so that its cards can be compared.
    """
    own = [i for i, lens in enumerate(lenses) if isinstance(lens.sampler, MMRNS)]
    looking = [i for i in own if lenses[i].sampler.views.kca is not None]
    if not looking:
        return
    by: dict[int, list[Card]] = {looking[0]: [question.answer]}
    for i, cards in enumerate(question.negatives):
        by.setdefault(i if i in looking else looking[0], []).extend(cards)
    for i, cards in by.items():
        lens = lenses[i]
        views, device = lens.sampler.views, next(lens.sampler.parameters()).device
        ids = torch.tensor([card.entity for card in cards], device=device)  # [n]
        with torch.no_grad():
            seen = lens.model.relation(torch.full_like(ids, relation), question.side)  # [n, d_r]
        weights = attention(views, ids, seen)
        if "image" in views.features:
            free, guided = weights.over("image", "free"), weights.over("image", "guided")  # [n, I], [n, I]
            scale = 0.0 if guided is None else float(guided.abs().max())
            for n, card in enumerate(cards):
                if weights.image_mask[n].any():
                    card.regions = {"free": None if free is None else free[n], "mask": weights.image_mask[n]}
                    card.regions["guided"] = guided[n] / scale if scale > 0 else None
        _over_sentences(cards, weights, texts)


def draw_attention(questions: Sequence[Question], boxes: torch.Tensor) -> float:
    """Draw the attention of all cards, in colours of one scale for the page.

    Args:
        questions: What is shown.
        boxes: Places of regions on a picture, shape ``[I, 4]``.

    Returns:
        How many times an even share the strongest attention is, at least 1.
    """
    cards = [card for q in questions for card in q.cards if card.regions is not None]
    shares = [(card.regions["free"], card.regions["mask"]) for card in cards if card.regions["free"] is not None]
    most = max((times_even(*share) for share in shares), default=1.0)
    for card in cards:
        free, guided, mask = (card.regions[name] for name in ("free", "guided", "mask"))
        card.free = None if free is None else free_heat(free, mask, boxes, most)
        card.guided = None if guided is None else guided_heat(guided, mask, boxes, 1.0)
    return most


def _over_sentences(cards: list[Card], weights: Attention, texts: Texts) -> None:
    """Weights of each card's sentences, where it is known which sentence is which row."""
    free, guided, mask = weights.over("text", "free"), weights.over("text", "guided"), weights.text_mask
    scale = 0.0 if guided is None else float(guided.abs().max())
    for n, card in enumerate(cards):
        rows = texts.rows(card.entity)
        if rows is None or len(rows) != int(mask[n].sum()):
            continue
        even = 1 / len(rows)
        for s, sentence in enumerate(card.sentences):
            if free is not None:
                sentence.free = float(free[n, s])
                sentence.tint = max(0.0, sentence.free - even) / (1 - even) if even < 1 else 1.0
            sentence.guided = float(guided[n, s]) / scale if scale > 0 else None


def picture_paths(questions: Sequence[Question], dataset) -> tuple[dict[int, Path], str]:
    """Files of the pictures that the questions need, answers first, then the hardest; and why there are none, if so."""
    depth = max((len(cards) for q in questions for cards in q.negatives), default=0)
    wanted = dict.fromkeys(q.answer.entity for q in questions)
    for place in range(depth):
        wanted |= dict.fromkeys(c[place].entity for q in questions for c in q.negatives if place < len(c))
    ask = getattr(dataset, "image_path", None)
    if ask is None:
        return {}, "The graph comes without a dataset, and so without pictures."
    try:
        found = {entity: ask(entity) for entity in wanted}
    except MMKGError as error:  # such as a package of pictures that is not installed
        return {}, f"No pictures: {error}."
    paths = {entity: path for entity, path in found.items() if path is not None}
    return paths, "" if paths else "The dataset has no pictures of these entities."


def summary(table: pd.DataFrame, lenses: Sequence[Lens]) -> list[dict]:
    """How hard and how false the shown negatives are, a row a lens."""
    rows = []
    for i, lens in enumerate(lenses):
        part = table[table.lens == i]
        known = part.known != ""
        row = {"lens": lens.title, "shown": len(part), "known": float(known.mean()) if len(part) else np.nan}
        row["above"] = float((part.score > part.positive_score).mean()) if len(part) else np.nan
        rows.append(row | {m: float(part[m].mean()) for m in MODALITIES})
    return rows
