"""The structural view of an entity: its embedding, gated by the relation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


class StructureGate(torch.nn.Module):
    r"""Gates an entity's embedding by the relation: :math:`e_s = t ⊙ σ(\mathrm{gate}([t; r]))`.

    One linear layer is the equation of MMRNS (Xu et al., ACM MM 2022); two with a LeakyReLU (slope 0.1) between are its
    published code. The first layer is split, :math:`W[t; r] = W_t t + W_r r`, so that a pool of entities and some
    relations share it.

    Args:
        entity_dim: Width ``d`` of an entity.
        relation_dim: Width ``d_r`` of a relation.
        hidden_dim: Width of the middle where there are two layers.
        layers: 1 or 2.

    Raises:
        ValueError: If ``layers`` is neither.
    """

    def __init__(self, entity_dim: int, relation_dim: int, hidden_dim: int = 100, layers: int = 1) -> None:
        super().__init__()
        if layers not in (1, 2):
            raise ValueError(f"gate_layers is {layers}, choose 1 (the equation) or 2 (the published code)")
        self.entity_dim = entity_dim
        self.first = torch.nn.Linear(entity_dim + relation_dim, entity_dim if layers == 1 else hidden_dim)
        self.second = torch.nn.Linear(hidden_dim, entity_dim) if layers == 2 else None

    def pool(self, entity: Tensor, relation: Tensor) -> Tensor:
        """Every entity ``[P, d]`` under every relation ``[U, d_r]``: ``[P, U, d]``."""
        of_entity, of_relation = self.parts(entity, relation)  # [P, h], [U, h]
        return entity[:, None] * self._gate(of_entity[:, None] + of_relation)  # [P, U, d]

    def pairs(self, entity: Tensor, relation: Tensor) -> Tensor:
        """Entities ``[m, d]``, each under its own relation ``[m, d_r]``: ``[m, d]``."""
        of_entity, of_relation = self.parts(entity, relation)  # [m, h], [m, h]
        return entity * self._gate(of_entity + of_relation)  # [m, d]

    def parts(self, entity: Tensor, relation: Tensor) -> tuple[Tensor, Tensor]:
        """The first layer's share of entities ``[..., h]`` and of relations (with the bias) ``[..., h]``."""
        weight = self.first.weight
        of_entity = F.linear(entity, weight[:, : self.entity_dim])  # [..., h]
        return of_entity, F.linear(relation, weight[:, self.entity_dim :], self.first.bias)  # [..., h]

    def _gate(self, hidden: Tensor) -> Tensor:
        """From the first layer's sum to the gate in (0, 1), ``[..., d]``."""
        if self.second is not None:
            hidden = self.second(F.leaky_relu(hidden, 0.1))  # [..., d]
        return torch.sigmoid(hidden)
