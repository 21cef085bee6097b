"""Relation prediction as an auxiliary task: which relation joins this head and this tail?"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmkg.scorers import BilinearScorer, Scorer
from mmkg.training.objectives.weighting import weighted_mean
from mmkg.types import Batch, Side


def score_relations(model: Scorer, batch: Batch, side: Side, memory_mb: float = 64.0) -> Tensor:
    """Scores ``[B, R]`` of all relations between each triple's head and tail, as when ``side`` is asked for.

    Where a relation comes into the score linearly, one matrix product scores them all (:meth:`BilinearScorer.pair`).
    Else relations are scored some at a time and, where a gradient is wanted, each part is computed anew in the backward
    pass, so that no ``[B, R, d]`` stands in memory.

    Args:
        model: Any scorer.
        batch: ``B`` triples; their relations are not read.
        side: The side whose formula, and whose relations where these are reciprocal, are used.
        memory_mb: Memory for one part's queries, in MiB, > 0.
    """
    anchor, answer = model.entity(batch.anchor(side)), model.entity(batch.answer(side))  # [B, d], [B, d]
    table, way = model.relation(torch.arange(model.num_relations, device=anchor.device), side), model.way(side)
    pair = model.pair(anchor, answer, way) if isinstance(model, BilinearScorer) else None  # [B, d_r]
    if pair is not None:
        return pair @ table.T  # [B, R]
    anchor, answer = anchor[:, None], answer[:, None]  # [B, 1, d]
    rows = max(1, int(memory_mb * 2**20 / (len(anchor) * max(anchor.shape[-1], table.shape[-1]) * 4)))

    def run(anchor: Tensor, relation: Tensor, answer: Tensor) -> Tensor:
        relation = relation[None].expand(len(anchor), -1, -1)  # [B, r, d_r]
        given = anchor.expand(-1, relation.shape[1], -1)  # [B, r, d]
        return model.match(model.query(given, relation, way), answer, relation, way)  # [B, r]

    keep = torch.is_grad_enabled()
    parts = [
        checkpoint(run, anchor, part, answer, use_reentrant=False) if keep else run(anchor, part, answer)
        for part in table.split(rows)
    ]
    return torch.cat(parts, dim=1)  # [B, R]


def relation_loss(model: Scorer, batch: Batch, side: Side, memory_mb: float = 64.0) -> Tensor:
    r"""Cross-entropy of the true relation: :math:`-\frac{1}{\sum \omega} \sum_b \omega_b \log P(r_b | h_b, t_b)`.

    :math:`P(r|h,t) = \mathrm{softmax}_r\, s(h, r, t)` (Chen et al., `Relation Prediction as an Auxiliary Training
    Objective for Improving Multi-Relational Graph Representations <https://arxiv.org/abs/2110.02834>`_, AKBC 2021).

    Args:
        model: Any scorer.
        batch: ``B`` triples.
        side: See :func:`score_relations`.
        memory_mb: See :func:`score_relations`.

    Returns:
        Scalar.
    """
    scores = score_relations(model, batch, side, memory_mb)  # [B, R]
    return weighted_mean(F.cross_entropy(scores.float(), batch.relation, reduction="none"), batch.weight)
