"""A few steps of gradient descent on the few triples that are known of new entities."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkg.scorers.base import Scorer
from mmkg.types import SIDES

LOGITS_AT_ONCE = 2**24


def adapt(
    scorer: Scorer,
    table: Tensor,
    start: Tensor,
    embed: Callable[[Tensor], Tensor],
    support: Tensor,
    spread: float,
    steps: int = 40,
    rate: float = 0.2,
    pull: float = 0.0,
) -> Tensor:
    r"""Structural embeddings that fit some triples, by Adam from a start; nothing else moves.

    Each triple of a new entity :math:`u` asks two questions, and the loss is the cross-entropy of both,

    .. math:: L = -\sum_{(u, r, e)} \Big[ \log \frac{\exp s(u, r, e)}{\sum_{c} \exp s(u, r, c)}
        + \log \frac{\exp s(e, r, u)}{\exp s(e, r, u) + \sum_{c} \exp s(e, r, c)} \Big]

    with :math:`c` over all known entities and :math:`s(e, r, u)` short for the score asked from :math:`e`'s side, plus
    :math:`\frac{\lambda}{2} \lVert x - x_0 \rVert^2 / \sigma^2`: the start :math:`x_0` is the centre of a normal prior
    as wide as the known entities' spread :math:`\sigma`. It is a sum, and Adam goes by single numbers, so that what an
    entity gets does not depend on who is embedded with it.

    Args:
        scorer: The scorer.
        table: Its known entities' embeddings, shape ``[N, d]``.
        start: Structural embeddings to start from, shape ``[n, d_s]``.
        embed: Makes embeddings ``[n, d]`` of structural ones.
        support: Triples (h, r, t), new entities numbered from ``N``, shape ``[S, 3]``.
        spread: Standard deviation :math:`\sigma` of the known entities' structural embeddings, above 0.
        steps: How many steps.
        rate: Adam's rate, in units of the spread.
        pull: Weight :math:`\lambda` of the prior.

    Raises:
        ValueError: If a triple has not one known and one new entity.
    """
    known, new = len(table), support[:, [0, 2]] - len(table)  # [S, 2], negative where known
    if not ((new >= 0).sum(1) == 1).all() or (new >= len(start)).any() or (support < 0).any():
        raise ValueError(
            f"each supporting triple has one known entity, below {known}, and one of {len(start)} new ones"
        )
    inner = start.detach().clone().requires_grad_()  # [n, d_s]
    optimizer = torch.optim.Adam([inner], lr=rate * spread)
    for _ in range(steps):
        inner.grad = pull * (inner.detach() - start) / spread**2
        for part in support.split(max(1, LOGITS_AT_ONCE // known)):
            inner.grad += torch.autograd.grad(_loss(scorer, table, embed(inner), part), inner)[0]
        optimizer.step()
    return inner.detach()


def _loss(scorer: Scorer, table: Tensor, new: Tensor, support: Tensor) -> Tensor:
    """Cross-entropies of both questions of triples ``[S, 3]``, summed, given embeddings of new entities ``[n, d]``."""
    total = new.new_zeros(())
    for place, side in ((2, SIDES[1]), (0, SIDES[0])):  # where the answer stands, and the side asked for
        anchor, answer = support[:, 2 - place], support[:, place]  # [S], [S]
        for strange in (True, False):  # is it the new entity that is asked about?
            rows = ((anchor >= len(table)) == strange).nonzero().flatten()  # [s]
            if not len(rows):
                continue
            relation, way = scorer.relation(support[rows, 1], side), scorer.way(side)  # [s, d_r]
            # not brackets: several threads add up their gradient in any order
            given = (
                new.index_select(0, anchor[rows] - len(table)) if strange else table.index_select(0, anchor[rows])
            )  # [s, d]
            query = scorer.query(given, relation, way)  # [s, d]
            logits = scorer.match_shared(query, table, relation, way)  # [s, N]
            target = answer[rows]
            if not strange:
                own = scorer.match(query, new.index_select(0, target - len(table)), relation, way)  # [s]
                logits, target = torch.cat([logits, own[:, None]], 1), torch.full_like(target, len(table))  # [s, N + 1]
            total = total + F.cross_entropy(logits, target, reduction="sum")
    return total
