"""Linking by what encoders say alone: the control for whatever looks at relations."""

from __future__ import annotations

import torch
from torch import Tensor

from mmkg.linking.mentions import Mentions, unit_means
from mmkg.types import Features


class PlainLinker:
    r"""Ranks a graph's entities for mentions by the cosine of their mean vectors.

    .. math:: s(m, e) = \frac{1}{|A|} \sum_{a \in A} \cos(\overline{x}^a_m, \overline{x}^a_e)

    over the modalities :math:`A` that mention and entity both have; entities that share none score -1.

    Args:
        features: Features of the graph's entities by modality.

    Raises:
        ValueError: If there are none.
    """

    def __init__(self, features: dict[str, Features]) -> None:
        if not features:
            raise ValueError("no features to link by: give those of texts or pictures")
        self.vectors = {name: unit_means(f) for name, f in features.items()}

    def scores(self, mentions: Mentions) -> Tensor:
        """Scores ``[n, N]`` of all entities for each mention, from -1 to 1.

        Raises:
            ValueError: If mentions have a modality that the graph lacks, or of another width.
        """
        found = {}
        for name, features in mentions.features.items():
            if name not in self.vectors:
                raise ValueError(f"mentions have {name} features, the graph has {', '.join(self.vectors)}")
            table, there = self.vectors[name]
            vectors, has = unit_means(features)
            if vectors.shape[1] != table.shape[1]:
                raise ValueError(f"{name} features {vectors.shape[1]} wide, the graph's are {table.shape[1]}")
            found[name] = vectors @ table.T, has[:, None] & there  # [n, N], [n, N]
        return shared_mean(found)


def shared_mean(found: dict[str, tuple[Tensor, Tensor]]) -> Tensor:
    """Mean ``[n, N]`` of similarities over the modalities that both sides have; -1 where they share none."""
    total = sum(torch.where(both, score, 0.0) for score, both in found.values())  # [n, N]
    count = sum(both.to(total) for _, both in found.values())  # [n, N]
    return torch.where(count > 0, total / count.clamp(min=1), -1.0)
