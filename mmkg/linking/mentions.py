"""Mentions: texts and pictures of who knows whom, to be linked to the entities of a graph."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkg.types import Features

AT_ONCE = 4096


@dataclass
class Mentions:
    """Features of some mentions, encoded as the graph's entities are.

    Args:
        features: By modality, features of the same ``n`` mentions; a mention may lack a modality.

    Raises:
        ValueError: If there are none, they are of different numbers of mentions, or a mention has nothing.
    """

    features: dict[str, Features]

    def __post_init__(self) -> None:
        counts = {name: len(f.row) for name, f in self.features.items()}
        if len(set(counts.values())) != 1:
            raise ValueError(f"features of mentions: {counts}; give those of the same mentions, one modality or more")
        nothing = ~torch.stack([has_rows(f) for f in self.features.values()]).any(0)  # [n]
        if nothing.any():
            at = int(nothing.nonzero()[0])
            raise ValueError(f"mention {at} has no {' and no '.join(self.features)}: there is nothing to link it by")

    def __len__(self) -> int:
        return len(next(iter(self.features.values())).row)


def has_rows(features: Features) -> Tensor:
    """Whether each entity has at least one real row, ``[N]``, on the device of the features' rows."""
    ids = torch.arange(len(features.row), device=features.row.device)
    return torch.cat([features.row_mask(part).any(1) for part in ids.split(AT_ONCE)])


def unit_means(features: Features) -> tuple[Tensor, Tensor]:
    """Means over real rows at unit length ``[N, D]``, zero where there is none, and whether there is one ``[N]``.

    Both lie on the device of the features' rows.
    """
    vectors, has = [], []
    for ids in torch.arange(len(features.row), device=features.row.device).split(AT_ONCE):
        values, mask = features.gather(ids)  # [n, R, D], [n, R]
        vectors.append(F.normalize(values.sum(1), dim=1))  # [n, D], a sum for a mean: the length is lost anyway
        has.append(mask.any(1))
    return torch.cat(vectors), torch.cat(has)
