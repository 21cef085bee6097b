"""What bilinear scorers share: one matrix product scores all candidates."""

import torch
from torch import Tensor

from mmkg.scorers.base import Scorer
from mmkg.types import Side


class BilinearScorer(Scorer):
    r"""A scorer of the form :math:`s = \langle q(h, r), e_t \rangle`."""

    def match(self, query: Tensor, candidates: Tensor, relation: Tensor, side: Side) -> Tensor:
        """Dot products ``[...]``."""
        return (query * candidates).sum(-1)

    def match_shared(self, query: Tensor, table: Tensor, relation: Tensor, side: Side) -> Tensor:
        """All dot products ``[B, n]`` by one matrix product."""
        return query @ table.T

    def reset_parameters(self) -> None:
        """Xavier-uniform, as in PyG."""
        torch.nn.init.xavier_uniform_(self.node_emb.weight)
        torch.nn.init.xavier_uniform_(self.rel_emb.weight)
