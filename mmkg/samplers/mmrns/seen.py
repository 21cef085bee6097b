"""What a step of MMRNS has seen: the similarities of a batch to a pool."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from mmkg.samplers.mmrns.distribution import log_mixture
from mmkg.samplers.mmrns.plan import Plan
from mmkg.samplers.mmrns.ranges import similarities_by_ranges
from mmkg.samplers.mmrns.views import Views
from mmkg.samplers.share import Share


@dataclass
class Masks:
    """What of a batch can be compared with what; it follows from ids alone.

    Args:
        known: True where a candidate is a known answer, shape ``[B, P]``.
        allowed: True where a candidate may be drawn: one of the row's own and no known answer, shape ``[B, P]``.
        shared: True where positive and candidate both have the modality, each ``[B, P]``.
        answer_shared: True where the true and a known answer both have the modality and the place is filled, each
            ``[B, 1 + J]``.
    """

    known: Tensor
    allowed: Tensor
    shared: dict[str, Tensor]
    answer_shared: dict[str, Tensor]


@dataclass
class Seen(Masks):
    """What a step computed and its loss needs: similarities of a batch to a pool.

    Args:
        pool: Candidates, shape ``[P]``.
        log_p: Log-probability of each candidate, known answers included, shape ``[B, P]``.
        similarities: Cosine of positive and candidate in each modality, each ``[B, P]``.
        answer_similarities: Cosine of the true answer and the known ones, each ``[B, 1 + J]``.
        embeddings: Embeddings of the candidates, shape ``[P, d]``.
        whole: Of the whole batch, where these are some of its rows.
        positions: Positions in the pool of what was drawn, shape ``[B, K]``; None before a draw.
    """

    pool: Tensor
    log_p: Tensor
    similarities: dict[str, Tensor]
    answer_similarities: dict[str, Tensor]
    embeddings: Tensor
    whole: Masks | None = None
    positions: Tensor | None = None


def full_precision(device: torch.device) -> AbstractContextManager:
    """A region without autocast on a device, which may know none."""
    # asking would break a compiler's graph before torch 2.12
    known = device.type in ("cpu", "cuda") or torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if known else nullcontext()


def own_rows(rows: slice | Share) -> slice:
    """The rows that are wanted here."""
    return rows.own if isinstance(rows, Share) else rows


def see(
    views: Views,
    plan: Plan,
    model: torch.nn.Module,
    epsilon: float,
    *,
    missing: str = "corrected",
    chunk_size: int | None = None,
    rows: slice | Share | None = None,
) -> Seen:
    """Compare the true answers of a batch with a pool; nothing here waits for the device.

    Args:
        views: The views by which entities are compared.
        plan: Which entities.
        model: Scorer of the embeddings, read through ``entity`` and ``relation``.
        epsilon: Temperature of p.
        missing: See :func:`~mmkg.samplers.mmrns.distribution.log_mixture`.
        chunk_size: Candidates computed at once; all if None.
        rows: Of which rows of the plan, the same as of all; a share's own, each process comparing a range of the pool.

    Raises:
        ValueError: If the model is not as wide as the views were told.
    """
    share, whole = rows if isinstance(rows, Share) and rows.divides(plan.pool.numel()) else None, plan
    plan = plan if rows is None else plan.rows(own_rows(rows))
    pool, at = plan.pool, plan.pair_at
    with full_precision(pool.device):  # half precision would ruin the folded variances
        relation, embeddings = model.relation(plan.relations, plan.side), model.entity(pool)  # [U, d_r], [P, d]
        views.check_widths(embeddings, relation)
        relation = relation.to(views.dtype)
        entity, of_answers = embeddings.to(views.dtype), model.entity(plan.entities).to(views.dtype)  # [P, d], [n, d]
        pairs = views.pairs(plan.entities, of_answers, relation, plan.pair_entity, plan.pair_relation)
        if share is None:
            positive = {name: view.index_select(0, at[:, 0]) for name, view in pairs.items()}  # [B, a] or [B, d]
            similarities = views.similarities(pool, entity, relation, positive, plan.grouping, chunk_size)
        else:
            similarities = similarities_by_ranges(share, views, whole, model, entity, chunk_size)  # each [B, P]
        answer_similarities = views.to_answers(pairs, at)
        masks = _masks(views, plan)
        log_p = log_mixture(similarities, masks.shared, epsilon, missing, plan.own)  # [B, P]
    return Seen(
        known=masks.known,
        allowed=masks.allowed,
        shared=masks.shared,
        answer_shared=masks.answer_shared,
        pool=pool,
        log_p=log_p,
        similarities=similarities,
        answer_similarities=answer_similarities,
        embeddings=embeddings,
        whole=None if rows is None else _masks(views, whole),
    )


def _masks(views: Views, plan: Plan) -> Masks:
    """What of a plan's rows can be compared."""
    shared, answer_shared = {}, {}
    for name in views.names:
        own = views.present(name, plan.answers[:, :1])  # [B, 1]
        shared[name] = views.present(name, plan.pool) & own  # [B, P]
        answer_shared[name] = views.present(name, plan.answers) & own & plan.filled  # [B, 1 + J]
    return Masks(plan.known, plan.allowed, shared, answer_shared)
