"""How structure and the modalities of an entity become one embedding."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Linear, ModuleDict, Parameter


class LinearFusion(torch.nn.Module):
    r"""The sum of structure and a linear map of each modality that is there,

    .. math:: e = s + \sum_{m \text{ present}} W_m x_m

    which is one linear map of all features side by side. For a bilinear scorer this scores every pair of a head's part
    with a tail's part, as IKRL does (Xie et al., IJCAI 2017).

    Args:
        widths: Width of each modality's vectors.
        channels: Width ``d`` of the embedding.
    """

    def __init__(self, widths: dict[str, int], channels: int) -> None:
        super().__init__()
        self.maps = ModuleDict({name: Linear(width, channels, bias=False) for name, width in widths.items()})
        for layer in self.maps.values():  # so that training starts from structure, and modalities come in as they help
            torch.nn.init.zeros_(layer.weight)

    def forward(self, structure: Tensor, vectors: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
        """Fused embeddings ``[n, d]``.

        Args:
            structure: Structural embeddings, shape ``[n, d]``.
            vectors: Vectors of each modality, shape ``[n, D_m]``.
            present: Whether each entity has the modality, shape ``[n]``.
        """
        for name, layer in self.maps.items():
            structure = structure + layer(vectors[name]) * present[name][:, None]
        return structure


class GatedFusion(torch.nn.Module):
    r"""A weighted mean whose weights depend on what the parts say,

    .. math:: e = \sum_m \omega_m e_m, \qquad \omega = \mathrm{softmax}_m(v^\top \tanh e_m)

    over structure and the mapped modalities :math:`e_m = W_m x_m + b_m` that are there, as the adaptive fusion of
    `AdaMF <https://arxiv.org/abs/2402.15444>`_ (Zhang et al., COLING 2024), without its temperature by relation, which
    would give an entity another embedding in every question.

    Args:
        widths: Width of each modality's vectors.
        channels: Width ``d`` of the embedding.
    """

    def __init__(self, widths: dict[str, int], channels: int) -> None:
        super().__init__()
        self.maps = ModuleDict({name: Linear(width, channels) for name, width in widths.items()})
        self.gate = Parameter(torch.empty(channels).uniform_(-1, 1) / channels**0.5)

    def forward(self, structure: Tensor, vectors: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
        """Fused embeddings ``[n, d]``; see :meth:`LinearFusion.forward`."""
        parts = torch.stack([structure, *(layer(vectors[name]) for name, layer in self.maps.items())], 1)  # [n, M, d]
        there = torch.stack([torch.ones_like(next(iter(present.values()))), *(present[m] for m in self.maps)], 1)
        weight = torch.softmax((parts.tanh() @ self.gate).masked_fill(~there, -torch.inf), 1)  # [n, M]
        return (weight[..., None] * parts).sum(1)  # [n, M, d] -> [n, d]


class BackFillFusion(LinearFusion):
    r"""Linear fusion in which a modality that is missing is filled in from structure by a map of its own,

    .. math:: e = s + \sum_m \begin{cases} W_m x_m & m \text{ present} \\ F_m s + b_m & \text{otherwise} \end{cases}

    so that entities with and without a picture may come to lie in one region of the space.

    Args:
        widths: Width of each modality's vectors.
        channels: Width ``d`` of the embedding.
    """

    def __init__(self, widths: dict[str, int], channels: int) -> None:
        super().__init__(widths, channels)
        self.fill = ModuleDict({name: Linear(channels, channels) for name in widths})
        for parameter in self.fill.parameters():
            torch.nn.init.zeros_(parameter)

    def forward(self, structure: Tensor, vectors: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
        """Fused embeddings ``[n, d]``; see :meth:`LinearFusion.forward`."""
        filled = [layer(structure) * ~present[name][:, None] for name, layer in self.fill.items()]  # each [n, d]
        return super().forward(structure, vectors, present) + sum(filled)


FUSIONS: dict[str, type[torch.nn.Module]] = {"linear": LinearFusion, "gated": GatedFusion, "back_fill": BackFillFusion}
"""Fusions by name."""
