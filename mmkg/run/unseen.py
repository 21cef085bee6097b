"""Asking a run about an entity that its graph does not hold: by a picture, a text and a few facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from mmkg.datasets import find_entity, find_relation
from mmkg.encoders import (
    EfficientNetLite0Encoder,
    bundled_sentence_encoder,
    encode_images,
    encode_texts,
    split_sentences,
)
from mmkg.encoders.pictures import UnreadableError, decode_picture, read_bytes
from mmkg.errors import DataError
from mmkg.evaluation import Prediction, top_k
from mmkg.graph import Facts
from mmkg.run.answers import answer_table
from mmkg.run.run import Run
from mmkg.scorers import Extended, UnseenEntities
from mmkg.types import Features, Side

NEW = "?"
"""What stands for the new entity in its facts."""


@dataclass(frozen=True)
class NewEntity:
    """What is known of an entity that the graph does not hold; a picture or a text at least.

    Args:
        picture: A picture file of any size and mode, or None.
        text: A text, or None.
        facts: Triples of names (head, relation, tail), :data:`NEW` standing for the entity.
    """

    picture: Path | None = None
    text: str | None = None
    facts: Sequence[tuple[str, str, str]] = ()


def describe(run: Run, new: NewEntity, *, picture_encoder=None, text_encoder=None) -> dict[str, tuple[Tensor, Tensor]]:
    """Features of a new entity, made as those of the run's dataset were.

    Args:
        run: A run trained with fusion.
        new: The entity.
        picture_encoder: What encoded the dataset's pictures; may be left out where it was the bundled encoder.
        text_encoder: What encoded the dataset's texts; likewise.

    Returns:
        By modality, values ``[1, R, D]`` and mask ``[1, R]``.

    Raises:
        DataError: If there is neither picture nor text, the picture cannot be read, the text is empty, the run does not
            look at the modality, or the encoder is not the one of the dataset's features.
    """
    given = {"image": new.picture, "text": new.text}
    if all(what is None for what in given.values()):
        raise DataError("nothing is known of the new entity", cure="give a picture, a text, or both")
    if run.config.fusion is None:
        UnseenEntities(run.model)  # says that it cannot
    for modality, what in given.items():
        if what is not None and modality not in run.config.fuse_with:
            told = " and ".join(run.config.fuse_with)
            raise DataError(f"the run looks at {told} alone, not at a new entity's {modality}", cure=f"give its {told}")
    found = {}
    if new.text is not None:
        sentences = split_sentences(new.text)
        if not sentences:
            raise DataError(f"the text is empty: {new.text!r}", cure="say what the entity is, or leave the text out")
        rows = int(run.dataset.features("text").shape[1])
        encoder = _encoder(run, "text", text_encoder, bundled_sentence_encoder)
        found["text"] = encode_texts([sentences], encoder, max_sentences=rows, progress=False)
    if new.picture is not None:
        try:
            decode_picture(read_bytes(Path(new.picture)))
        except UnreadableError as error:
            raise DataError(f"picture not usable: {error}", file=new.picture, cure="give another file") from None
        regions = run.dataset.features("image").provenance.get("regions", (1, 1))
        encoder = _encoder(run, "image", picture_encoder, EfficientNetLite0Encoder)
        found["image"] = encode_images([Path(new.picture)], encoder, regions=tuple(regions), progress=False)
    return {modality: features.gather(torch.tensor([0])) for modality, features in found.items()}


def with_new(run: Run, new: NewEntity, *, picture_encoder=None, text_encoder=None, **options) -> tuple[Extended, Facts]:
    """The run's model with a new entity of id ``N``, and all that is known with it.

    Args:
        run: A run trained with fusion; it is not changed.
        new: The entity.
        picture_encoder: See :func:`describe`.
        text_encoder: See :func:`describe`.
        **options: Of :meth:`mmkg.scorers.UnseenEntities.embed`.

    Raises:
        DataError: See :func:`describe`; or a fact does not have :data:`NEW` once, or a relation never seen in train.
        UnknownNameError: If a name is not in the graph.
    """
    number, rows = int(run.data.num_nodes), []
    for fact in new.facts:
        if len(fact) != 3 or (fact[0] == NEW) == (fact[2] == NEW):
            raise DataError(f"fact {'|'.join(fact)!r}", cure=f"write head|relation|tail, with {NEW} for the new entity")
        head, tail = (number if name == NEW else find_entity(run.data, name) for name in (fact[0], fact[2]))
        rows.append((head, _seen_relation(run, fact[1]), tail))
    features = describe(run, new, picture_encoder=picture_encoder, text_encoder=text_encoder)
    support = torch.tensor(rows, dtype=torch.long).reshape(-1, 3)  # [S, 3]
    train = run.data.train_mask
    seen = torch.unique(run.data.edge_index[:, train])
    device = next(run.model.parameters()).device
    embedding = UnseenEntities(run.model, seen.to(device)).embed(features, support, **options)  # [1, d]
    every = torch.cat([torch.stack(run.facts().triples(), 1), support])  # [X + S, 3]
    return Extended(run.model, embedding), Facts(*every.unbind(1), number + 1, int(run.data.num_relations))


def predict_new(
    run: Run,
    new: NewEntity,
    relation: str,
    *,
    new_is: str = "head",
    k: int = 10,
    include_known: bool = True,
    **options,
) -> pd.DataFrame:
    """Answer ``(new, r, ?)`` or ``(?, r, new)``.

    Args:
        run: A run trained with fusion; neither it nor its folder is changed.
        new: The entity.
        relation: Name of the relation.
        new_is: "head" or "tail".
        k: How many answers.
        include_known: Whether the facts that were given may be among the answers.
        **options: Of :func:`with_new`.

    Returns:
        One row an answer: ``rank, entity, label, score, known``; known are the facts that were given.

    Raises:
        DataError: See :func:`with_new`.
        UnknownNameError: If the relation is not in the graph; the nearest are named.
    """
    if new_is not in ("head", "tail"):
        raise DataError(f"the new entity is the {new_is!r}", cure="choose head or tail")
    number, asked = int(run.data.num_nodes), _seen_relation(run, relation)
    model, facts = with_new(run, new, **options)
    side: Side = "tail" if new_is == "head" else "head"
    found = top_k(model, number, asked, side, k + 1, facts, include_known=include_known)
    keep = (found.ids != number).nonzero().flatten()[:k]  # not itself
    return answer_table(Prediction(found.ids[keep], found.scores[keep], found.known[keep]), run.data)


def _seen_relation(run: Run, name: str) -> int:
    """Id of a relation that train has triples of."""
    number = find_relation(run.data, name)
    if not (run.data.edge_type[run.data.train_mask] == number).any():
        raise DataError(f"relation {name!r} is in no train triple: nothing was learned of it", cure="ask for another")
    return number


def _encoder(run: Run, modality: str, given, bundled):
    """The encoder that made the dataset's features, by fingerprint."""
    features: Features = run.dataset.features(modality)
    wanted = features.provenance.get("fingerprint")
    name = features.provenance.get("encoder", "a file")
    encoder = given
    if encoder is None and str(features.provenance.get("made_with", "")).startswith("bundled"):
        encoder = bundled()
    if encoder is None or encoder.fingerprint != wanted:
        told = "" if encoder is None else f", not {encoder.name} of these weights"
        raise DataError(
            f"the run's {modality} features were made by {name}{told}",
            cure="in Python, hand its encoder over (picture_encoder=, text_encoder=)",
        )
    return encoder
