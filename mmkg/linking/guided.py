"""Linking seen through a relation: by the representations that MMRNS's attention has learned."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkg.linking.mentions import Mentions, has_rows
from mmkg.linking.plain import shared_mean
from mmkg.samplers.mmrns.stored import Stored
from mmkg.samplers.mmrns.views import Views
from mmkg.scorers import Scorer
from mmkg.types import Features, Side


class GuidedLinker:
    r"""Ranks a graph's entities for mentions that are known to take part in a relation.

    .. math:: s(m, e \mid r) = \frac{1}{|A|} \sum_{a \in A} \cos(z^a_m(r), z^a_e(r))

    with :math:`z^a(r)` KCA's view of a picture or text under the relation (MMRNS, Xu et al., ACM MM 2022), over the
    modalities that both have; entities that share none score -1.

    Args:
        views: The views of a trained :class:`mmkg.samplers.MMRNS` (``sampler.views``), over the graph's features.
        model: The scorer whose embeddings of relations it was trained with.
        chunk_size: Entities seen at once.

    Raises:
        ValueError: If the sampler looks at neither pictures nor texts.
    """

    def __init__(self, views: Views, model: Scorer, chunk_size: int = 1024) -> None:
        if views.kca is None:
            raise ValueError("the sampler looks at structure alone: train it with pictures or texts to link by them")
        self.views, self.model, self.chunk_size = views, model, chunk_size

    @torch.no_grad()
    def scores(self, mentions: Mentions, relation: Tensor, side: Side = "tail") -> Tensor:
        """Scores ``[n, N]`` of all entities for each mention, from -1 to 1.

        Args:
            mentions: ``n`` mentions.
            relation: Id of a relation that each takes part in, shape ``[n]``.
            side: The side of the relation that the mentioned entity is at; of relations that have an embedding for each
                side, that one is taken.

        Returns:
            Scores, shape ``[n, N]``; -1 where mention and entity share no modality.

        Raises:
            ValueError: If there is not one relation a mention, or a mention has what the sampler does not look at.
        """
        if relation.shape != (len(mentions),):
            raise ValueError(f"relations {tuple(relation.shape)} of {len(mentions)} mentions: give one each")
        if unknown := set(mentions.features) - set(self.views.features):
            raise ValueError(
                f"mentions have {unknown.pop()} features, the sampler looks at {', '.join(self.views.features)}"
            )
        distinct, place = torch.unique(relation, return_inverse=True)  # [U], [n]
        guide = self.model.relation(distinct, side)  # [U, d_r]
        kca, ids = self.views.kca, torch.arange(len(mentions), device=relation.device)
        own = kca.pairs(kca.encode(*(self._stored(mentions, m) for m in ("image", "text"))), guide, ids, place)
        own = {m: F.normalize(z, dim=1) for m, z in own.items()}  # [n, a]
        columns = []
        for part in torch.arange(self.model.num_nodes, device=relation.device).split(self.chunk_size):
            rows = kca.encode(self.views.stored("image", part), self.views.stored("text", part))
            found = {}
            for name, seen in kca.pool(rows, guide).items():  # [C, U, a] or [C, 1, a]
                if name not in mentions.features:
                    continue
                table = F.normalize(seen, dim=2).expand(-1, len(distinct), -1)  # [C, U, a]
                score = own[name].new_empty(len(mentions), len(part))
                for u in range(len(distinct)):
                    mine = place == u
                    score[mine] = own[name][mine] @ table[:, u].T  # [n', C]
                both = has_rows(mentions.features[name]).to(score.device)[:, None] & self.views.present(name, part)
                found[name] = score, both  # [n, C], [n, C]
            columns.append(shared_mean(found))
        return torch.cat(columns, 1)

    def _stored(self, mentions: Mentions, name: str) -> Stored | None:
        """Features of all mentions; without any, where the graph has the modality and no mention does."""
        if name not in self.views.features:
            return None
        features, count = mentions.features.get(name), len(mentions)
        device = next(self.views.parameters()).device
        if features is None:
            _, rows, width = self.views.features[name].shape
            nobody = torch.full((count,), -1)
            features = Features(torch.zeros(0, rows, width), torch.zeros(0, rows, dtype=torch.bool), nobody)
        elif features.shape[1:] != self.views.features[name].shape[1:]:
            told = f"{features.shape[1:]} of a mention, {self.views.features[name].shape[1:]} of an entity"
            raise ValueError(f"{name} features of another shape: {told}")
        return Stored(features.to(device), torch.arange(count, device=device))


@torch.no_grad()
def neighbour_evidence(model: Scorer, relation: Tensor, neighbour: Tensor, side: Side) -> Tensor:
    """Log-probability ``[n, N]`` of each entity at ``side`` of a triple with a relation and a known neighbour.

    Args:
        model: A trained scorer.
        relation: Ids, shape ``[n]``.
        neighbour: Ids of the known entity at the other side, shape ``[n]``.
        side: The side of the mentioned entity.

    Returns:
        Log-probabilities, shape ``[n, N]``, which sum to 1 over each row.
    """
    if side == "tail":
        return model.score_tails(neighbour, relation).log_softmax(1)
    return model.score_heads(relation, neighbour).log_softmax(1)


def with_evidence(scores: Tensor, evidence: Tensor, temperature: float = 0.05, weight: float = 1.0) -> Tensor:
    r"""Similarities and a neighbour's evidence, :math:`\log \mathrm{softmax}(s / \tau) + w \log p`, ``[n, N]``.

    Args:
        scores: Similarities, shape ``[n, N]``.
        evidence: What :func:`neighbour_evidence` says, shape ``[n, N]``.
        temperature: Of the similarities, above 0.
        weight: Of the evidence.

    Returns:
        Scores, shape ``[n, N]``, for :func:`mmkg.linking.link_ranks`.

    Raises:
        ValueError: If the temperature is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, must be above 0")
    return (scores / temperature).log_softmax(1) + weight * evidence
