"""Similarities to a pool that several processes divide among them, each by a range of its entities."""

from __future__ import annotations

import torch
from torch import Tensor

from mmkg.samplers.mmrns.plan import Plan
from mmkg.samplers.mmrns.views import Views
from mmkg.samplers.share import Share


def similarities_by_ranges(
    share: Share, views: Views, plan: Plan, model: torch.nn.Module, entity: Tensor, chunk_size: int | None = None
) -> dict[str, Tensor]:
    r"""Cosines of this process's rows and every candidate, of which it looks at a range alone.

    A pool is ascending, so that its positions :math:`C_p` of process p are a range of entities. Process p computes

    .. math:: S_{bj}, \quad b ∈ R, \; j ∈ C_p

    for the rows R of all processes, and gets :math:`S_{bj}` of its own rows and all j for it.

    Args:
        share: Who takes what.
        views: The views by which entities are compared.
        plan: Which entities, for the whole batch.
        model: Scorer of the embeddings.
        entity: Embeddings of the candidates, shape ``[P, d]``.
        chunk_size: Candidates computed at once; all of the range if None.

    Returns:
        For each modality in use ``[B', P]``, with the ``B'`` rows of this process.
    """
    ranges = share.ranges(plan.pool.numel())
    own = ranges[share.number]
    asked = plan.rows(share.wanted(plan.pool.device), answers=1)  # R rows
    relation = model.relation(asked.relations, asked.side).to(views.dtype)  # [U, d_r]
    of_answers = model.entity(asked.entities).to(views.dtype)  # [n, d]
    pairs = views.pairs(asked.entities, of_answers, relation, asked.pair_entity, asked.pair_relation)
    positive = {name: view.index_select(0, asked.pair_at[:, 0]) for name, view in pairs.items()}  # [R, a] or [R, d]
    found = views.similarities(plan.pool[own], entity[own], relation, positive, asked.grouping, chunk_size)
    columns = torch.stack([found[name] for name in views.names])  # [m, R, c]
    rows = share.trade(columns, [r.stop - r.start for r in share.rows], [r.stop - r.start for r in ranges])
    return dict(zip(views.names, rows.unbind(0), strict=True))  # each [B', P]
