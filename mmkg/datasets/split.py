"""Splits of a graph that leak nothing: deterministic, inverse pairs on one side, nothing unseen in evaluation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np

Keep = Literal["inverse", "pair", "none"]


def carve(triples: np.ndarray, fraction: float, seed: int, keep_together: Keep = "inverse") -> np.ndarray:
    """Take a share of some triples out of training, for validation.

    Args:
        triples: Ids (h, r, t), shape ``[E, 3]``.
        fraction: Share wanted, in [0, 1). Fewer are taken where more would leave something unseen.
        seed: Any integer; another seed gives another choice.
        keep_together: What may not be parted, see :func:`split`.

    Returns:
        True for each triple taken, shape ``[E]``.

    Raises:
        ValueError: As :func:`split`.
    """
    return split(triples, (1 - fraction, fraction, 0.0), seed, keep_together)[1]


def split(
    triples: np.ndarray, fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0, keep_together: Keep = "inverse"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split triples into train, validation and test.

    Every entity and every relation of the result's validation and test part occurs in its training part as well. Copies
    of a triple stay together. The choice depends on the seed and the *set* of id triples alone, not on the order of
    rows and not on a random generator that a library may change: triples are ordered by a hash.

    Args:
        triples: Ids (h, r, t), shape ``[E, 3]``.
        fractions: Shares of train, validation and test; they add up to 1. Validation and test get at most theirs
            (rounded), and less where more would leave something unseen.
        seed: Any integer.
        keep_together: ``"inverse"`` keeps (h, r, t) with every (t, r', h), so that no answer can be read off its
            reverse; ``"pair"`` also keeps (h, r, t) with every (h, r', t); ``"none"`` only copies.

    Returns:
        Masks of train, validation and test, each ``[E]``; each triple is in one.

    Raises:
        ValueError: If triples are not ``[E, 3]``, shares do not add up to 1, or ``keep_together`` is unknown.

    Example:
        >>> line = np.array([[0, 0, 1], [1, 0, 2], [2, 0, 0], [1, 0, 0]])
        >>> train, val, test = split(line, (0.5, 0.5, 0.0))
        >>> bool(train[0] == train[3])  # one is the other's reverse
        True
    """
    triples = np.ascontiguousarray(triples, dtype="<i8")
    if triples.ndim != 2 or triples.shape[1] != 3:
        raise ValueError(f"triples {triples.shape}: must be [E, 3]")
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"fractions {tuple(fractions)}: give three shares that add up to 1")
    if keep_together not in ("inverse", "pair", "none"):
        raise ValueError(f"keep_together {keep_together!r}: choose inverse, pair or none")
    part = np.zeros(len(triples), dtype=np.int8)  # 0 = train
    if len(triples):
        wanted = {2: round(fractions[2] * len(triples)), 1: round(fractions[1] * len(triples))}
        _fill(part, triples, _groups(triples, keep_together), _hashes(triples, seed), wanted)
    return part == 0, part == 1, part == 2


def _groups(triples: np.ndarray, keep: Keep) -> np.ndarray:
    """Number of the group that each triple may not leave, shape ``[E]``."""
    if keep == "none":
        return np.unique(triples, axis=0, return_inverse=True)[1].reshape(-1)
    low, high = np.minimum(triples[:, 0], triples[:, 2]), np.maximum(triples[:, 0], triples[:, 2])
    _, pair = np.unique(np.stack([low, high], 1), axis=0, return_inverse=True)  # [E]
    pair = pair.reshape(-1)
    if keep == "pair":
        return pair
    # a pair that is linked one way only has no inverse in it: each of its triples may go its own way
    forward = triples[:, 0] <= triples[:, 2]
    backward = triples[:, 0] >= triples[:, 2]  # a self-loop is its own reverse
    size = int(pair.max()) + 1
    both = (np.bincount(pair, forward, size) > 0) & (np.bincount(pair, backward, size) > 0)
    single = np.unique(triples, axis=0, return_inverse=True)[1].reshape(-1)
    return np.where(both[pair], pair, size + single)


def _hashes(triples: np.ndarray, seed: int) -> np.ndarray:
    """A 64-bit hash of seed and triple, uint64 ``[E]``."""
    raw, start = triples.tobytes(), hashlib.blake2b(f"mmkg split {int(seed)}:".encode(), digest_size=8)
    digests = bytearray()
    for at in range(0, len(raw), 24):
        one = start.copy()
        one.update(raw[at : at + 24])
        digests += one.digest()
    return np.frombuffer(bytes(digests), dtype="<u8")


def _fill(part: np.ndarray, triples: np.ndarray, group: np.ndarray, value: np.ndarray, wanted: dict[int, int]) -> None:
    """Write the part of each triple into ``part [E]``: groups in order of their smallest hash, greedily."""
    by_group = np.lexsort((value, group))
    starts = np.flatnonzero(np.diff(group[by_group], prepend=-1))  # first row of each group in by_group
    ends = np.append(starts[1:], len(group))
    entities = np.bincount(triples[:, [0, 2]].ravel()).tolist()
    relations = np.bincount(triples[:, 1]).tolist()
    open_parts = [number for number, size in wanted.items() if size > 0]
    left = dict(wanted)
    for g in np.argsort(value[by_group[starts]], kind="stable").tolist():
        if not open_parts:
            break
        rows = by_group[starts[g] : ends[g]]
        number = next((n for n in open_parts if left[n] >= len(rows)), None)
        if number is None:
            continue
        used = triples[rows].tolist()
        for h, r, t in used:
            entities[h] -= 1
            entities[t] -= 1  # the same again for a self-loop
            relations[r] -= 1
        if all(entities[h] > 0 and entities[t] > 0 and relations[r] > 0 for h, r, t in used):
            part[rows] = number
            left[number] -= len(rows)
            open_parts = [n for n in open_parts if left[n] > 0]
        else:  # something would be seen in evaluation only
            for h, r, t in used:
                entities[h] += 1
                entities[t] += 1
                relations[r] += 1
