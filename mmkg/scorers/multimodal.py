"""Any scorer over entities that carry pictures and texts: a table of entities that fuses them with structure."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Embedding, ModuleDict

from mmkg.scorers.attention_pooling import AttentionPooling
from mmkg.scorers.base import Scorer
from mmkg.scorers.fusion import FUSIONS
from mmkg.scorers.pooling import MeanPooling
from mmkg.types import Features


class FusedEntities(Embedding):
    """A table of entities whose look-up gives structure and modalities fused.

    ``weight [N, d]`` is the structural part. Features are held but not saved with the model: they are on disk already.

    Args:
        table: Structural embeddings to take over, ``[N, d]``.
        features: Features of each modality, by name, over the same ``N`` entities.
        fusion: "linear", "gated" or "back_fill"; see :mod:`mmkg.scorers.fusion`.
        attention: Whether regions and sentences are pooled by learned attention instead of their mean.
        scale: Scale of the means, "channels" or "length"; see :class:`MeanPooling`.

    Raises:
        ValueError: If there are no features, they are of another graph, or an option is unknown.
    """

    def __init__(
        self,
        table: Embedding,
        features: dict[str, Features],
        *,
        fusion: str = "linear",
        attention: bool = False,
        scale: str | None = None,
    ) -> None:
        if not features:
            raise ValueError("no features to fuse: give those of one modality or more")
        if fusion not in FUSIONS:
            raise ValueError(f"fusion {fusion!r}: choose one of {', '.join(FUSIONS)}")
        if attention and scale is not None:
            raise ValueError(f"scale {scale!r} is for means; attention reads features as they are")
        for name, one in features.items():
            if not isinstance(one, Features):
                raise TypeError(f"{name} features are a {type(one).__name__}: give dataset.features({name!r}), if any")
            if len(one.row) != table.num_embeddings:
                raise ValueError(f"{name} features of {len(one.row)} entities, expected {table.num_embeddings}")
        super().__init__(table.num_embeddings, table.embedding_dim, _weight=table.weight.detach())
        pools = {m: AttentionPooling(f) if attention else MeanPooling(f, scale=scale) for m, f in features.items()}
        self.pooling = ModuleDict(pools)
        self.fusion = FUSIONS[fusion]({m: f.shape[2] for m, f in features.items()}, table.embedding_dim)
        self.to(table.weight)

    def forward(self, ids: Tensor) -> Tensor:
        """Fused embeddings ``[..., d]`` of entities ``[...]``; each entity is fused once, however often it occurs."""
        distinct, place = torch.unique(ids, return_inverse=True)  # [n], [...]
        found = {name: pool(distinct) for name, pool in self.pooling.items()}
        vectors, present = ({m: both[i] for m, both in found.items()} for i in (0, 1))
        return self.fusion(super().forward(distinct), vectors, present)[place]

    def pooled(self, features: dict[str, tuple[Tensor, Tensor]]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Vectors ``[n, D_m]`` of each modality and who has it ``[n]``, of new entities; see :meth:`encode`."""
        if not features or set(features) - set(self.pooling):
            raise ValueError(f"modalities {sorted(features)}: this model knows {', '.join(self.pooling)}")
        count, found = len(next(iter(features.values()))[0]), {}
        for name, layer in self.fusion.maps.items():
            none = self.weight.new_zeros(count, 1, layer.in_features), torch.zeros(count, 1, dtype=torch.bool)
            found[name] = self.pooling[name].encode(*features.get(name, none))
        return {m: x[0] for m, x in found.items()}, {m: x[1] for m, x in found.items()}

    def encode(self, features: dict[str, tuple[Tensor, Tensor]], structure: Tensor | None = None) -> Tensor:
        """Embeddings ``[n, d]`` of entities that the graph does not hold, in the sense of :meth:`Scorer.entity`.

        Args:
            features: By modality, values ``[n, R, D]`` and mask ``[n, R]`` (True = real) of the new entities; they lack
                the modalities left out.
            structure: Structural embeddings ``[n, d]``, as :class:`mmkg.scorers.UnseenEntities` finds them; the mean of
                all entities' if None.

        Raises:
            ValueError: If there is no modality, or one that the model does not know.
        """
        vectors, present = self.pooled(features)
        count = len(next(iter(present.values())))
        return self.fusion(self.weight.mean(0).expand(count, -1) if structure is None else structure, vectors, present)


def fuse(scorer: Scorer, features: dict[str, Features], **options) -> Scorer:
    """Give a scorer's entities pictures and texts: ``fuse(ComplEx(N, R, 200), {"text": texts, "image": pictures})``.

    Everyone else goes on as before and reads :meth:`Scorer.entity`. Fuse before an optimiser is made and before a saved
    state is loaded. ``options`` are those of :class:`FusedEntities`. Gives the same scorer back.
    """
    scorer.node_emb = FusedEntities(scorer.node_emb, features, **options)
    return scorer
