"""Who is near whom in the graph of the known triples, whatever the relation and its direction."""

from __future__ import annotations

import torch
from torch import Tensor

from mmkg.graph.facts import Facts

COLUMNS = 256  # anchors whose neighbourhoods are found together


class Neighbourhoods:
    """Neighbours of each entity, neighbourhoods of k hops, and random walks.

    Args:
        facts: Known triples; each joins its head and tail, loops aside.
        hops: Hops (or steps of a walk) ``k``, at least 1.
        keep_mb: Whether to keep neighbourhoods once found: if all of them, a byte for a pair of entities, take at most
            so many MiB.
    """

    def __init__(self, facts: Facts, hops: int, keep_mb: float = 0.0) -> None:
        head, _, tail = facts.triples()
        n = self.num_nodes = facts.num_nodes
        key = torch.cat([head * n + tail, tail * n + head])[(head != tail).repeat(2)].unique()  # [A], in order
        self.hops, self.source, self.target = hops, key // n, key % n  # [A], [A]
        degree = torch.bincount(self.source, minlength=n)  # [N]
        self.degree, self.first = degree, degree.cumsum(0) - degree  # [N], [N]
        self.kept = self.found = None
        if n * n <= keep_mb * 2**20:
            self.kept = torch.zeros(n, n, dtype=torch.bool, device=head.device)  # [N, N]
            self.found = torch.zeros(n, dtype=torch.bool, device=head.device)  # [N]

    def within(self, anchors: Tensor) -> Tensor:
        """Entities at a distance of 1 to k of each anchor ``[U]``, as a mask ``[U, N]``."""
        if self.kept is None:
            return self._within(anchors)
        new = anchors[~self.found[anchors]]  # [U']
        if new.numel():
            self.kept[new], self.found[new] = self._within(new), True
        return self.kept[anchors]  # [U, N]

    def _within(self, anchors: Tensor) -> Tensor:
        places = torch.stack([self.source, self.target])  # [2, A]
        ones = torch.ones(self.source.numel(), device=anchors.device)
        size = (self.num_nodes, self.num_nodes)
        # in order and each once by construction: nothing to check
        matrix = torch.sparse_coo_tensor(places, ones, size, is_coalesced=True, check_invariants=False)  # [N, N]
        parts = []
        for some in anchors.split(COLUMNS):
            column = torch.arange(some.numel(), device=some.device)
            reached = torch.zeros(self.num_nodes, some.numel(), dtype=torch.bool, device=some.device)  # [N, u]
            reached[some, column] = True
            for _ in range(self.hops):
                reached |= torch.sparse.mm(matrix, reached.float()) > 0
            reached[some, column] = False
            parts.append(reached.T)
        return torch.cat(parts) if parts else torch.zeros(0, self.num_nodes, dtype=torch.bool, device=anchors.device)

    def walked(self, anchors: Tensor, walks: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Entities met by random walks of k steps, each to a neighbour chosen uniformly.

        Args:
            anchors: Where walks begin, shape ``[U]``.
            walks: Walks of each anchor.
            generator: Source of randomness on the device of the facts.

        Returns:
            Pairs (anchor's place ``[M]``, entity ``[M]``) in order and without repetition, the anchors themselves left
            out.
        """
        place = torch.arange(anchors.numel(), device=anchors.device)[:, None].expand(-1, walks)  # [U, W]
        at, met = anchors[:, None].expand(-1, walks), []  # [U, W]
        for _ in range(self.hops if self.target.numel() else 0):
            degree = self.degree[at]  # [U, W]
            chance = torch.rand(at.shape, generator=generator, device=at.device, dtype=torch.float64)
            step = (chance * degree).long().minimum(degree - 1)  # [U, W], -1 where there is no neighbour
            moved = self.target[(self.first[at] + step).clamp(0, self.target.numel() - 1)]
            at = torch.where(degree > 0, moved, at)  # [U, W]
            met.append((place * self.num_nodes + at)[at != anchors[:, None]])
        key = torch.cat(met).unique() if met else place.new_zeros(0)  # [M]
        return key // self.num_nodes, key % self.num_nodes
