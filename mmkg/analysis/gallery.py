"""A gallery of hard negatives: one page of a single file, to be looked at in any browser."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import torch

from mmkg.analysis import pages
from mmkg.analysis.cards import Question, Texts, draw_attention, make_questions, picture_paths, summary
from mmkg.analysis.comparison import MODALITIES, SPLITS, Lens, choose_questions, compare_negatives
from mmkg.analysis.thumbnails import Thumbnail, Thumbnails, thumbnails
from mmkg.errors import DataError
from mmkg.graph import relation_categories
from mmkg.graph.names import find_relation
from mmkg.samplers import MMRNS, UniformSampler
from mmkg.types import SIDES, Side

MOST_QUESTIONS = 300
LEAST_MB = 0.25
TITLES = {"mmrns": "MMRNS", "uniform": "Uniform"}


@dataclass
class Gallery:
    """What :func:`gallery` made.

    Args:
        path: The page; None if it was not written.
        table: The negatives shown, as :func:`mmkg.analysis.comparison.compare_negatives` gives them.
        html: The page.
        notes: What the page says about itself: what is missing, and why.
    """

    path: Path | None
    table: pd.DataFrame
    html: str = field(repr=False)
    notes: list[str] = field(default_factory=list)


def gallery(
    run,
    path: str | Path | None = None,
    *,
    other=None,
    questions: int = 40,
    k: int = 5,
    sides: Sequence[Side] = ("tail",),
    split: str = "val",
    relations: Sequence[str | int] | None = None,
    candidates: int = 20_000,
    max_mb: float = 10.0,
    seed: int = 0,
    progress: bool = False,
) -> Gallery:
    """Write a page that shows a run's hardest negatives beside those of another sampler.

    A question a row: the true answer beside the negatives under both samplers, with pictures, texts, similarities,
    KCA's attention, and a flag on "negatives" that are in truth facts. Held-out facts serve for the flags alone.

    Args:
        run: A run with its sampler, ``Run.load(folder, sampler=True)``.
        path: HTML file to write; ``gallery.html`` in the run's folder if None.
        other: A second run of the same graph to compare with; uniform negatives for the first run's model if None.
        questions: How many, of all relations in turn, 1 to 300.
        k: Negatives a question under each sampler.
        sides: Which sides to ask for.
        split: Where questions come from, "val" or "train"; test is for the final evaluation.
        relations: Names of relations to ask about; all if None.
        candidates: Entities that MMRNS looks at; where the graph has more, some chosen by chance.
        max_mb: Largest size of the page in millions of bytes. Pictures become smaller until they fit, then questions
            are left out; the page says so.
        seed: Of all chance.
        progress: Whether to show a bar.

    Returns:
        The page, the table it shows and what it says about itself.

    Raises:
        DataError: If there is nothing to show, or an argument is out of range.
        UnknownNameError: If a relation is not in the graph.

    Example:
        >>> from mmkg.run import Run
        >>> gallery(Run.load("runs/worldmoji/latest", sampler=True)).path  # doctest: +SKIP
        PosixPath('runs/worldmoji/latest/gallery.html')
    """
    _check(questions, sides, split, max_mb)
    lenses, notes = lenses_of(run, other)
    triples = _triples(run, split, relations)
    image = next((f for lens in lenses if (f := _features(lens, "image")) is not None), None)
    chosen = choose_questions(triples, questions, None if image is None else image.present)
    options = {"sides": sides, "k": k, "candidates": candidates, "seed": seed, "progress": progress}
    table = compare_negatives(lenses, run.data, chosen, **options)
    if table.empty:
        raise DataError("no sampler found a negative for any question", cure="ask about other relations")
    shuffled = image is not None and "shuffled" in image.provenance
    notes += _notes(run, lenses, image, shuffled, candidates)
    train = run.data.train_mask
    number = int(run.data.num_relations)
    category = relation_categories(run.data.edge_index[:, train], run.data.edge_type[train], number).category.tolist()
    shown = make_questions(table, lenses, Texts(run.dataset), category)
    drawn = image is not None and image.boxes is not None and not shuffled
    most = draw_attention(shown, image.boxes) if drawn else 1.0
    html, kept = _fitted(run, lenses, shown, table, notes, int(max_mb * 1e6), split=split, most=most)
    table = table[table.question.isin([q.number for q in kept])].reset_index(drop=True)
    return Gallery(pages.write(html, path or Path(run.folder) / "gallery.html"), table, html, notes)


def lenses_of(run, other=None) -> tuple[list[Lens], list[str]]:
    """What a gallery compares, the run's own sampler first, and what is to be said about it.

    Args:
        run: The run.
        other: A second run, or None for uniform negatives.

    Raises:
        DataError: If the runs are not of one graph with the same splits.
    """
    notes = []
    device = next(run.model.parameters()).device
    draws = run.config.sampler.negatives
    uniform = UniformSampler(int(run.data.num_nodes), draws).to(device)
    own = [] if run.sampler is None else [Lens(_title(run), run.sampler, run.model, run.best_step)]
    if run.sampler is None:
        notes.append("This run was trained without drawn negatives: uniform ones are shown.")
    if other is not None:
        if not _same_graph(run.data, other.data):
            raise DataError("the two runs are of different graphs or splits", cure="compare runs of one dataset")
        sampler = other.sampler or UniformSampler(int(other.data.num_nodes), draws).to(device)
        own.append(Lens(_title(other), sampler, other.model.to(device), other.best_step))
        if own[0].title == own[-1].title and len(own) > 1:
            own = [Lens(f"{lens.title} ({Path(r.folder).name})", lens.sampler, lens.model, lens.step)
                   for lens, r in zip(own, (run, other), strict=True)]  # fmt: skip
    if len(own) < 2 and not any(isinstance(lens.sampler, UniformSampler) for lens in own):
        own.append(Lens(TITLES["uniform"], uniform, run.model, run.best_step))
    if len(own) < 2:
        notes.append("One sampler is shown: give a second run to compare with.")
    return own, notes


def _title(run) -> str:
    name = "uniform" if run.sampler is None else run.config.sampler.name
    return TITLES.get(name, name)


def _same_graph(one, other) -> bool:
    names = all(list(one[n]) == list(other[n]) for n in ("entity_names", "relation_names"))
    masks = [f"{split}_mask" for split in SPLITS]
    return names and all(torch.equal(one[n], other[n]) for n in ("edge_index", "edge_type", *masks))


def _check(questions: int, sides: Sequence[Side], split: str, max_mb: float) -> None:
    if not 1 <= questions <= MOST_QUESTIONS:
        raise DataError(f"{questions} questions", cure=f"ask for 1 to {MOST_QUESTIONS}; nobody looks at more")
    if unknown := [side for side in sides if side not in SIDES]:
        raise DataError(f"side {unknown[0]!r}", cure="choose head or tail")
    if split not in ("val", "train"):
        raise DataError(f"questions from {split!r}", cure="choose val or train; test is for the final evaluation")
    if not max_mb >= LEAST_MB:
        raise DataError(f"max_mb is {max_mb}", cure=f"give at least {LEAST_MB}")


def _triples(run, split: str, relations: Sequence[str | int] | None) -> torch.Tensor:
    triples = run.triples(split)
    if not len(triples):
        raise DataError(f"the graph has no {split} triples", cure="take questions from train, or hold some triples out")
    if relations:
        wanted = torch.tensor([find_relation(run.data, name) for name in relations])
        triples = triples[torch.isin(triples[:, 1], wanted)]
        if not len(triples):
            told = ", ".join(map(str, relations))
            raise DataError(f"no {split} triple is of {told}", cure="choose another relation, or questions from train")
    return triples


def _features(lens: Lens, modality: str):
    return lens.sampler.views.features.get(modality) if isinstance(lens.sampler, MMRNS) else None


def _notes(run, lenses: Sequence[Lens], image, shuffled: bool, candidates: int) -> list[str]:
    """What the page has to say about what it cannot show."""
    looks = [lens for lens in lenses if isinstance(lens.sampler, MMRNS)]
    if not looks:
        return ["No MMRNS sampler is among them, so there are neither similarities nor attention to show."]
    notes = []
    for modality, plural in (("image", "pictures"), ("text", "texts")):
        if all(_features(lens, modality) is None for lens in looks):
            notes.append(f"MMRNS does not look at {plural} in this run.")
    if shuffled:
        notes.append("A control: MMRNS saw pictures dealt out at random, so no attention is drawn onto them.")
    elif image is not None and image.boxes is None:
        notes.append("Regions of these image features are no places on a picture, so no attention is drawn onto it.")
    size = int(run.data.num_nodes)
    if candidates < size:
        notes.append(f"MMRNS looked at {candidates:,} of {size:,} entities, chosen by chance.")
    return notes


def _fitted(
    run, lenses, questions: list[Question], table: pd.DataFrame, notes: list[str], limit: int, **told
) -> tuple[str, list[Question]]:
    """The page within the limit, and the questions that it shows; adds to the notes what had to give way."""
    asked = len(questions)
    paths, why_none = picture_paths(questions, run.dataset)
    notes += [why_none] if why_none else []

    def page(shown: list[Question], pictures: Thumbnails, more: list[str]) -> str:
        part = table[table.question.isin([q.number for q in shown])]
        return _page(run, lenses, shown, part, pictures, [*notes, *more], limit, **told)

    while True:
        outlines = Thumbnails(999, {entity: Thumbnail("", 999, 999) for entity in paths})
        bare = pages.size(page(questions, outlines, [])) + 2_000  # and the notes that are to come
        room = limit - bare
        # texts may take all there is; but half a page of pictures is worth more than a row without any
        if room >= min(limit // 3, 700 * len(paths)) or len(questions) == 1:
            break
        questions = questions[::2] if len(questions) > 2 else questions[:1]
        paths = {e: p for e, p in paths.items() if e in {c.entity for q in questions for c in q.cards}}
    pictures = thumbnails(paths, max(0, room))
    more = []
    if len(questions) < asked:
        more.append(f"{asked - len(questions)} of {asked} questions are left out to stay within {limit / 1e6:g} MB.")
    if pictures.left_out:
        more.append(f"{len(pictures.left_out)} pictures are left out to stay within {limit / 1e6:g} MB.")
    if pictures.unreadable:
        name, reason = next(iter(pictures.unreadable.items()))
        count = len(pictures.unreadable)
        more.append(f"{count} picture{'s' * (count != 1)} cannot be read, such as {name.name}: {reason}.")
    html = page(questions, pictures, more)
    if pages.size(html) > limit:
        cure = "allow more with max_mb, or ask for fewer negatives"
        raise DataError(f"one question takes {pages.size(html) / 1e6:.1f} MB of {limit / 1e6:g}", cure=cure)
    notes += more
    return html, questions


def _page(
    run, lenses, questions, table, pictures: Thumbnails, notes: list[str], limit: int, *, split: str, most: float
) -> str:
    relations = sorted({q.relation for q in questions}, key=str.casefold)
    categories = [c for c in ("1-1", "1-N", "N-1", "N-N", "none") if any(q.category == c for q in questions)]
    cards = [card for q in questions for card in q.cards]
    sentences = [s for card in cards for s in card.sentences]
    return pages.render(
        "gallery.html",
        styles=("page.css", "gallery.css"),
        scripts=("page.js", "gallery.js"),
        title=f"Hard negatives of {_name(run)}",
        dataset=_name(run),
        scorer=run.config.scorer,
        step=run.best_step,
        entities=int(run.data.num_nodes),
        split={"val": "validation"}.get(split, split),
        lenses=[(lens.title, _how(lens), isinstance(lens.sampler, MMRNS)) for lens in lenses],
        questions=questions,
        relations=relations,
        categories=categories,
        through=[m for m in MODALITIES if any(m in q.through for q in questions)],
        known=sum(q.known > 0 for q in questions),
        modalities=[m for m in MODALITIES if table[m].notna().any()],
        halves=[h for h in ("free", "guided") if any(getattr(x, h) is not None for x in (*cards, *sentences))],
        over_pictures=any(c.free for c in cards),
        most=most,
        columns=min(6, max(len(cards) for q in questions for cards in q.negatives)),
        summary=summary(table, lenses),
        pictures=pictures,
        notes=notes,
        limit=f"{limit / 1e6:g}",
        attribution=getattr(run.dataset, "attribution", ""),
        date=datetime.date.today().isoformat(),
    )


def _name(run) -> str:
    """What the dataset calls itself, or the name of a folder of one's own."""
    own, known = Path(run.config.dataset).name, type(run.dataset).__name__
    return known if known.casefold() == own.casefold() else own


def _how(lens: Lens) -> str:
    """How a lens's negatives came to be chosen, in words."""
    if isinstance(lens.sampler, MMRNS):
        return "the most probable, hardest first"
    return f"of {lens.sampler.num_negatives} draws, those that the model finds most plausible"
