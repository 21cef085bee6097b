"""Texts of entities to features: one vector per sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from mmkg.encoders.half import to_half
from mmkg.encoders.protocols import TextEncoder
from mmkg.encoders.shards import ShardCache, fill
from mmkg.encoders.text_encoders import SentenceEncoder
from mmkg.errors import DataError
from mmkg.types import Features


def encode_texts(
    texts: Sequence[Sequence[str]],
    encoder: TextEncoder | None = None,
    *,
    max_sentences: int = 4,
    cache: Path | None = None,
    batch_size: int = 64,
    progress: bool = True,
) -> Features:
    """Encode the sentences of each entity.

    Args:
        texts: For each entity its sentences; an empty list, or blank sentences only, means that it has no text.
        encoder: Encoder of sentences; all-MiniLM-L6-v2 through sentence-transformers if None.
        max_sentences: Sentences kept of each entity, the first ones, R >= 1.
        cache: Folder that remembers encoded sentences, so that a stopped run goes on where it was; None for none.
        batch_size: Sentences encoded at a time, >= 1.
        progress: Whether to show a progress bar.

    Returns:
        Features with values ``[M, R, D]`` in float16 for the M entities that have text, zero where a row is padded.

    Raises:
        DataError: An entity's text is no list of strings, a number is out of range, or the encoder gave another shape
            than it says.
        NumericsError: The encoder gave a value that float16 cannot hold.
    """
    if max_sentences < 1 or batch_size < 1:
        raise DataError(f"max_sentences {max_sentences}, batch_size {batch_size}: both must be at least 1")
    kept, dropped = _clean(texts, max_sentences)
    encoder = SentenceEncoder() if encoder is None else encoder
    present = [i for i, sentences in enumerate(kept) if sentences]
    row = torch.full((len(kept),), -1, dtype=torch.int64)  # [N]
    row[present] = torch.arange(len(present))
    mask = torch.zeros(len(present), max_sentences, dtype=torch.bool)  # [M, R]
    out = np.zeros((len(present), max_sentences, encoder.dim), np.float16)  # [M, R, D]

    shards = ShardCache(cache, encoder.name, f"text-1 {encoder.fingerprint}", (encoder.dim,))
    rows_of: dict[bytes, list[int]] = {}
    sentence_of: dict[bytes, str] = {}
    for m, i in enumerate(present):
        mask[m, : len(kept[i])] = True
        for s, sentence in enumerate(kept[i]):
            key = shards.key(sentence.encode("utf-8", "surrogatepass"))
            rows_of.setdefault(key, []).append(m * max_sentences + s)
            sentence_of[key] = sentence

    def produce(missing: list[bytes]) -> Iterator[tuple[int, list[bytes], np.ndarray]]:
        missing = sorted(missing, key=lambda key: len(sentence_of[key]), reverse=True)  # like lengths: little padding
        for start in range(0, len(missing), batch_size):
            keys = missing[start : start + batch_size]
            sentences = [sentence_of[key] for key in keys]
            vectors = torch.as_tensor(encoder.encode(sentences))  # [b, D]
            if tuple(vectors.shape) != (len(keys), encoder.dim):
                raise DataError(f"{encoder.name} gave {tuple(vectors.shape)} for {len(keys)} sentences")
            halves = to_half(vectors, lambda r, s=sentences: f"the sentence {s[r]!r}")  # type: ignore[misc]
            yield len(keys), keys, halves

    flat = out.reshape(-1, encoder.dim)  # [M, R, D] -> [M * R, D], the same memory
    label, device = f"sentences ({encoder.name})", getattr(encoder, "device", None)
    encoded = fill(flat, rows_of, produce, shards, label=label, progress=progress, device=device)
    provenance = {
        "modality": "text",
        "encoder": encoder.name,
        "fingerprint": encoder.fingerprint,
        "max_sentences": max_sentences,
        "entities": len(kept),
        "present": len(present),
        "absent": len(kept) - len(present),
        "sentences": int(mask.sum()),
        "sentences_dropped": dropped,
        "distinct": len(rows_of),
        "encoded": encoded,
    }
    return Features(torch.from_numpy(out), mask, row, None, provenance)


def _clean(texts: Sequence[Sequence[str]], max_sentences: int) -> tuple[list[list[str]], int]:
    """Non-blank sentences of each entity, at most ``max_sentences``, and how many were dropped beyond that."""
    kept, dropped = [], 0
    for i, sentences in enumerate(texts):
        if isinstance(sentences, str) or not all(isinstance(s, str) for s in sentences or ()):
            raise DataError(
                f"text of entity {i} is {sentences!r:.60}, expected a list of sentences",
                cure="split it with mmkg.encoders.split_sentences",
            )
        real = [stripped for sentence in sentences or () if (stripped := sentence.strip())]
        dropped += max(len(real) - max_sentences, 0)
        kept.append(real[:max_sentences])
    return kept, dropped
