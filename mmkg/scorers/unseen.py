"""Embeddings of entities that a fused scorer has never seen, everything that it has learned left as it is."""

from __future__ import annotations

import torch
from torch import Tensor

from mmkg.errors import DataError
from mmkg.scorers.adaptation import adapt
from mmkg.scorers.base import Scorer
from mmkg.scorers.multimodal import FusedEntities
from mmkg.scorers.projection import fit_projection


class UnseenEntities:
    """Gives new entities embeddings, from pictures and texts and, if there are any, a few triples.

    The structural part is what the known entities' features say of theirs, by :func:`fit_projection`; triples then move
    it by some steps of Adam, each entity for itself, on the cross-entropy of both questions that a triple asks.

    Args:
        scorer: A scorer whose entities are fused with pictures or texts; it is read and never changed.
        seen: Entities to learn the projection from, ids ``[n]``; all if None. Those that no train triple touches have
            structural embeddings that mean nothing: leave them out.

    Raises:
        DataError: If the scorer's entities have no modalities.
    """

    def __init__(self, scorer: Scorer, seen: Tensor | None = None) -> None:
        if not isinstance(scorer.node_emb, FusedEntities):
            raise DataError(
                f"this {type(scorer).__name__} knows entities by their triples alone and can say nothing of a new one",
                cure="train with pictures or texts: fuse(scorer, features) in Python, mmkg train --fusion linear",
            )
        self.scorer, self.fused = scorer, scorer.node_emb
        with torch.no_grad():
            ids = torch.arange(scorer.num_nodes, device=self.fused.weight.device) if seen is None else seen
            found = {name: pool(ids) for name, pool in self.fused.pooling.items()}
            present = {name: has for name, (_, has) in found.items()}
            some = torch.stack(list(present.values())).any(0)  # [n]
            vectors = {name: x[some] for name, (x, _) in found.items()}
            present = {name: has[some] for name, has in present.items()}
            self.projection = fit_projection(vectors, present, self.fused.weight[ids[some]])
            self.table = scorer.entity_table().detach()  # [N, d]

    def embed(
        self,
        features: dict[str, tuple[Tensor, Tensor]],
        support: Tensor | None = None,
        *,
        structure: str = "projection",
        steps: int = 40,
        rate: float = 0.2,
        pull: float = 0.0,
    ) -> Tensor:
        """Embeddings ``[n, d]`` of ``n`` new entities, to be handed to :class:`mmkg.scorers.Extended`.

        Args:
            features: By modality, values ``[n, R, D]`` and mask ``[n, R]`` of the new entities.
            support: Triples (h, r, t) of a known entity and a new one, whose ids are ``N .. N+n-1``, shape ``[S, 3]``.
            structure: Where the structural part begins: "projection", or "mean" of the known entities as a control.
            steps: Steps on the triples, at least 0.
            rate: Length of a step, in units of the structural embeddings' standard deviation, above 0.
            pull: How strongly the start holds on, at least 0; see :func:`mmkg.scorers.adaptation.adapt`.

        Raises:
            ValueError: If an option is out of range, or a triple has not one new entity.
        """
        if structure not in ("projection", "mean") or steps < 0 or not rate > 0 or not pull >= 0:
            raise ValueError(f"structure {structure!r}, steps {steps}, rate {rate}, pull {pull}: see embed's Args")
        with torch.no_grad():
            vectors, present = self.fused.pooled(features)
            count = len(next(iter(present.values())))
            mean = self.fused.weight.mean(0).expand(count, -1)  # [n, d]
            start = mean if structure == "mean" else self.projection(vectors, present).to(mean)
        if support is not None and len(support) and steps:
            was_training, spread = self.scorer.training, float(self.fused.weight.detach().std())
            self.scorer.eval()
            start = adapt(
                self.scorer,
                self.table,
                start,
                lambda inner: self.fused.fusion(inner, vectors, present),
                support.to(start.device),
                spread,
                steps,
                rate,
                pull,
            )
            self.scorer.train(was_training)
        with torch.no_grad():
            return self.fused.fusion(start, vectors, present)
