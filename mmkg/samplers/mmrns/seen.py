"""What a step of MMRNS has seen: the similarities of a batch to a pool."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class Seen:
    """What a step computed and its loss needs: similarities of a batch to a pool.

    Args:
        pool: Candidates, shape ``[P]``.
        known: True where a candidate is a known answer, shape ``[B, P]``.
        allowed: True where a candidate may be drawn: one of the row's own and no known answer, shape ``[B, P]``.
        log_p: Log-probability of each candidate, known answers included, shape ``[B, P]``.
        similarities: Cosine of positive and candidate in each modality, each ``[B, P]``.
        shared: True where both have the modality, each ``[B, P]``.
        answer_similarities: Cosine of the true answer and the known ones, each ``[B, 1 + J]``.
        answer_shared: True where both have the modality and the place is filled, each ``[B, 1 + J]``.
        embeddings: Embeddings of the candidates, shape ``[P, d]``.
        positions: Positions in the pool of what was drawn, shape ``[B, K]``; None before a draw.
    """

    pool: Tensor
    known: Tensor
    allowed: Tensor
    log_p: Tensor
    similarities: dict[str, Tensor]
    shared: dict[str, Tensor]
    answer_similarities: dict[str, Tensor]
    answer_shared: dict[str, Tensor]
    embeddings: Tensor
    positions: Tensor | None = None
