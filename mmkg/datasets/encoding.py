"""Encode a dataset's texts and pictures once, and keep the result beside the graph."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mmkg import __version__
from mmkg.datasets.feature_files import FeatureFiles
from mmkg.errors import DataError
from mmkg.types import Features

BUNDLED = f"bundled with mmkg {__version__}"


def encode_text(files: FeatureFiles, encoder, max_sentences: int, batch_size: int) -> Features:
    """Features ``[M, max_sentences, D]`` of labels and descriptions, see :meth:`MultimodalKG.encode_text`."""
    from mmkg.encoders import bundled_sentence_encoder, encode_texts

    settings = {"setting": f"max_sentences={max_sentences}"}
    done = files.existing("text", made_with=_identity(encoder), **settings)
    if done is not None:
        return done
    chosen = bundled_sentence_encoder() if encoder is None else encoder
    graph = files.graph
    texts = [sentences_of(*text) for text in zip(graph.entity_labels, graph.descriptions, strict=True)]
    features = encode_texts(
        texts,
        chosen,
        max_sentences=max_sentences,
        cache=files.folder / "cache",
        batch_size=batch_size,
        progress=files.progress,
    )
    return _keep(files, "text", chosen, encoder, features, settings)


def encode_images(
    files: FeatureFiles, paths: Sequence[Path | None], encoder, regions: tuple[int, int], batch_size: int
) -> Features:
    """Features ``[M, rows * columns, D]`` of pictures, see :meth:`MultimodalKG.encode_images`."""
    from mmkg.encoders import EfficientNetLite0Encoder
    from mmkg.encoders import encode_images as encode

    # a picture that was exchanged for another has another size or age: reading all of them would take too long
    about = [None if path is None else path.stat() for path in paths]
    shown = "|".join(
        "" if a is None else f"{path.name} {a.st_size} {a.st_mtime_ns}" for path, a in zip(paths, about, strict=True)
    )
    settings = {"setting": f"regions={regions[0]}x{regions[1]}", "pictures": files.digest([shown])}
    done = files.existing("image", made_with=_identity(encoder), **settings)
    if done is not None:
        return done
    chosen = EfficientNetLite0Encoder() if encoder is None else encoder
    features = encode(
        list(paths),
        chosen,
        regions=(regions[0], regions[1]),
        cache=files.folder / "cache",
        batch_size=batch_size,
        progress=files.progress,
    )
    return _keep(files, "image", chosen, encoder, features, settings)


def sentences_of(label: str, description: str) -> list[str]:
    """The sentences that stand for an entity: its label, if it has one, and those of its description."""
    from mmkg.encoders import split_sentences

    return ([label] if label else []) + split_sentences(description)


def encoded_sentences(features: Features | None, label: str, description: str) -> list[str] | None:
    """The sentences of an entity that :func:`encode_text` made rows of; None where others made the features."""
    match = re.fullmatch(r"max_sentences=(\d+)", "" if features is None else features.provenance.get("setting", ""))
    if not match:
        return None
    return [text for sentence in sentences_of(label, description) if (text := sentence.strip())][: int(match[1])]


def _identity(encoder) -> str:
    """What tells encoders apart. The bundled one is named by version: its weights need not be loaded to look it up."""
    if encoder is None:
        return BUNDLED
    if missing := [name for name in ("name", "dim", "fingerprint", "encode") if not hasattr(encoder, name)]:
        told = repr(encoder) if isinstance(encoder, str) else f"a {type(encoder).__name__}"
        cure = "give an object that has them; for a model of the Hugging Face hub, VisionEncoder or SentenceEncoder"
        raise DataError(f"the encoder is {told}, which has no {', '.join(missing)}", cure=f"{cure} of mmkg.encoders")
    return encoder.fingerprint


def _keep(files: FeatureFiles, modality: str, chosen, asked, features: Features, settings: dict) -> Features:
    features.provenance = {**features.provenance, **settings, "encoder": chosen.name, "made_with": _identity(asked)}
    return files.put(modality, chosen.name, features)
