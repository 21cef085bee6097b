"""PyG's own KGE models, asked for all candidates at once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.nn import kge

from mmkg.scorers import ComplEx, DistMult, RotatE, Scorer, TransE
from mmkg.scorers.pairs import Parts

TRIPLES = 2**13  # scored at once, so that their embeddings stay near a core's cache


class ByTriples(torch.nn.Module):
    """Scores all candidates of any KGE model triple by triple, some thousands at once.

    Args:
        model: A model whose ``forward(head_index, rel_type, tail_index)`` gives scores ``[B]``.
    """

    def __init__(self, model: kge.KGEModel) -> None:
        super().__init__()
        self.model = model

    def score_tails(self, head_index: Tensor, rel_type: Tensor, candidates: Tensor | None = None) -> Tensor:
        """Scores ``[B, N]`` of all tails, or ``[B, K]`` of ids ``[K]`` or ``[B, K]``."""
        ids = self._ids(candidates, len(head_index))  # [B, K]
        return self._score(head_index[:, None].expand_as(ids), rel_type[:, None].expand_as(ids), ids)

    def score_heads(self, rel_type: Tensor, tail_index: Tensor, candidates: Tensor | None = None) -> Tensor:
        """Scores of heads; see :meth:`score_tails`."""
        ids = self._ids(candidates, len(tail_index))  # [B, K]
        return self._score(ids, rel_type[:, None].expand_as(ids), tail_index[:, None].expand_as(ids))

    def _ids(self, candidates: Tensor | None, rows: int) -> Tensor:
        if candidates is None:
            candidates = torch.arange(self.model.num_nodes, device=self.model.node_emb.weight.device)
        return candidates.expand(rows, -1)

    def _score(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        triples = zip(*(x.reshape(-1).split(TRIPLES) for x in (head, relation, tail)), strict=True)
        return torch.cat([self.model(*part) for part in triples]).reshape(head.shape)  # [B, K]


def adapted(model: kge.KGEModel) -> torch.nn.Module:
    """What scores all candidates as a PyG model scores triples.

    PyG's TransE, DistMult, ComplEx and RotatE become the scorers of ours that give the same scores, and so are as fast
    as they; any other model is asked triple by triple.

    Args:
        model: Any ``torch_geometric.nn.kge.KGEModel``. Embeddings are read as they are now.
    """
    with torch.random.fork_rng(devices=[]):  # a look at a model must not change what is drawn after it
        found = _as_ours(model)
    return ByTriples(model) if found is None else found.eval()


@torch.no_grad()
def _as_ours(model: kge.KGEModel) -> Scorer | None:
    found: Scorer | None = None
    sizes = (model.num_nodes, model.num_relations, model.hidden_channels)
    entity, relation = model.node_emb.weight, model.rel_emb.weight
    if type(model) is kge.DistMult:
        found = DistMult(*sizes)
    elif type(model) is kge.ComplEx:
        found = ComplEx(*sizes)
        entity = torch.cat([entity, model.node_emb_im.weight], 1)
        relation = torch.cat([relation, model.rel_emb_im.weight], 1)
    elif type(model) is kge.RotatE:
        found = _EuclideanRotatE(*sizes, margin=model.margin)
        entity = torch.cat([entity, model.node_emb_im.weight], 1)
    elif type(model) is kge.TransE and model.p_norm in (1, 2):
        found = TransE(*sizes, margin=0.0, p_norm=model.p_norm)
        entity = F.normalize(entity, p=model.p_norm, dim=-1)
    if found is not None:
        found.to(entity)
        found.node_emb.weight.copy_(entity)
        found.rel_emb.weight.copy_(relation)
    return found


class _EuclideanRotatE(RotatE):
    """RotatE as in PyG: phases in radians, and one Euclidean norm over all numbers instead of a sum of moduli."""

    def phase(self, relation: Tensor) -> Tensor:
        return relation

    def query_parts(self, query: Tensor) -> Parts:
        return (query,)

    def place(self, candidates: Tensor) -> Parts:
        return (candidates,)

    @staticmethod
    def distance(query: Parts, placed: Parts, relation: Parts) -> Tensor:
        return torch.linalg.vector_norm(query[0] - placed[0], dim=-1)
