"""RESCAL: a full bilinear form for each relation."""

from torch import Tensor

from mmkg.scorers.bilinear import BilinearScorer
from mmkg.types import Side


class RESCAL(BilinearScorer):
    r"""`A Three-Way Model for Collective Learning on Multi-Relational Data
    <https://icml.cc/Conferences/2011/papers/438_icmlpaper.pdf>`_ (Nickel et al., ICML 2011).

    .. math:: s(h, r, t) = h^\top W_r t

    Relations hold :math:`W_r` row by row, so they are ``hidden_channels ** 2`` wide.

    Args:
        num_nodes: Number of entities.
        num_relations: Number of relations.
        hidden_channels: Embedding size of entities.
        initial_std: See :class:`BilinearScorer`.
        chunk_mb: Unused here; one matrix product needs no blocks.
        reciprocal: See :class:`Scorer`.
    """

    def widths(self) -> tuple[int, int]:
        """A matrix for each relation."""
        return self.hidden_channels, self.hidden_channels**2

    def query(self, anchor: Tensor, relation: Tensor, side: Side) -> Tensor:
        """``h W`` for tails, ``t Wᵀ`` for heads, ``[..., d]``."""
        form = relation.unflatten(-1, (self.hidden_channels, -1))  # [..., d²] -> [..., d, d]
        if side == "head":
            form = form.transpose(-1, -2)
        return (anchor.unsqueeze(-2) @ form).squeeze(-2)  # [..., 1, d] @ [..., d, d] -> [..., d]
