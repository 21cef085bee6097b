"""A trained scorer over more entities than it was trained on."""

from __future__ import annotations

import torch
from torch import Tensor

from mmkg.scorers.base import Scorer


class Extended(torch.nn.Module):
    """A scorer whose table goes on with embeddings of entities that it has never seen; the scorer stays as it is.

    It is asked like any model: by :func:`mmkg.evaluation.rank` and :func:`mmkg.evaluation.top_k`. Known entities keep
    their ids ``0 .. N-1``, the new ones are ``N .. N+n-1``. The table is taken once: make it anew after training on.

    Args:
        scorer: A trained scorer over ``N`` entities.
        embeddings: Embeddings of the new ones in the sense of :meth:`Scorer.entity`, shape ``[n, d]``.

    Raises:
        ValueError: If the embeddings are of another width, or not finite.
    """

    def __init__(self, scorer: Scorer, embeddings: Tensor) -> None:
        super().__init__()
        with torch.no_grad():
            table = scorer.entity_table().detach()  # [N, d]
        if embeddings.dim() != 2 or embeddings.shape[1] != table.shape[1]:
            raise ValueError(f"embeddings {tuple(embeddings.shape)}, expected [n, {table.shape[1]}]")
        if not torch.isfinite(embeddings).all():
            raise ValueError("NaN or infinity among the new embeddings")
        self.scorer = scorer
        self.register_buffer("table", torch.cat([table, embeddings.detach().to(table)]), persistent=False)  # [N + n, d]
        self.train(scorer.training)  # so that asking it leaves the scorer in the mode that it is in

    @property
    def num_nodes(self) -> int:
        """How many entities there are, new ones included."""
        return len(self.table)

    def forward(self, head_index: Tensor, rel_type: Tensor, tail_index: Tensor) -> Tensor:
        """Scores ``[B]`` of triples given as ids ``[B]``, asked for their tails."""
        way = self.scorer.way("tail")
        relation = self.scorer.relation(rel_type, "tail")  # [B, d_r]
        query = self.scorer.query(self.table[head_index], relation, way)  # [B, d]
        return self.scorer.match(query, self.table[tail_index], relation, way)

    def score_tails(self, head_index: Tensor, rel_type: Tensor, candidates: Tensor | None = None) -> Tensor:
        """Scores of tails, ``[B, N + n]``; of the ids ``[K]`` if given, ``[B, K]``."""
        scores = self.scorer.score_table(head_index, rel_type, "tail", self.table)
        return scores if candidates is None else scores[:, candidates]

    def score_heads(self, rel_type: Tensor, tail_index: Tensor, candidates: Tensor | None = None) -> Tensor:
        """Scores of heads, ``[B, N + n]``; of the ids ``[K]`` if given, ``[B, K]``."""
        scores = self.scorer.score_table(tail_index, rel_type, "head", self.table)
        return scores if candidates is None else scores[:, candidates]
