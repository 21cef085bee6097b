"""What needs no model: answers by chance, by the relation alone, and by the nearest text; to measure gains against."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkg.graph import Facts
from mmkg.types import Batch, Side


class Control(torch.nn.Module):
    """Scores all entities for a question, in the form that :func:`mmkg.evaluation.rank` asks for.

    Args:
        facts: What may be looked up: train triples.
    """

    def __init__(self, facts: Facts) -> None:
        super().__init__()
        self.facts = facts

    def answers(self, batch: Batch, side: Side) -> Tensor:
        """Scores ``[B, N]`` of all entities at ``side``; the entities there are not read."""
        raise NotImplementedError(f"{type(self).__name__}.answers")

    def score_tails(self, head_index: Tensor, rel_type: Tensor, candidates: Tensor | None = None) -> Tensor:
        """Scores of candidate tails, ``[B, N]``; of the ids ``[K]`` if given, ``[B, K]``."""
        scores = self.answers(Batch(head_index, rel_type, head_index), "tail")
        return scores if candidates is None else scores[:, candidates]

    def score_heads(self, rel_type: Tensor, tail_index: Tensor, candidates: Tensor | None = None) -> Tensor:
        """Scores of candidate heads, ``[B, N]``; of the ids ``[K]`` if given, ``[B, K]``."""
        scores = self.answers(Batch(tail_index, rel_type, tail_index), "head")
        return scores if candidates is None else scores[:, candidates]


class Chance(Control):
    """A random score for each candidate of each question.

    Args:
        facts: Known facts; only their number of entities counts.
        seed: Any integer.
    """

    def __init__(self, facts: Facts, seed: int = 0) -> None:
        super().__init__(facts)
        self.generator = torch.Generator().manual_seed(seed)

    def answers(self, batch: Batch, side: Side) -> Tensor:
        """Uniform numbers ``[B, N]``."""
        shape = len(batch), self.facts.num_nodes
        return torch.rand(shape, generator=self.generator, dtype=torch.float64).to(batch.relation.device)


class RelationFrequency(Control):
    """How often the relation has each entity at that side; who is asked about does not matter."""

    def answers(self, batch: Batch, side: Side) -> Tensor:
        """Counts ``[B, N]``."""
        head, relation, tail = self.facts.triples()
        entity = tail if side == "tail" else head
        distinct, place = torch.unique(batch.relation, return_inverse=True)  # [U], [B]
        rows = [torch.bincount(entity[relation == r], minlength=self.facts.num_nodes) for r in distinct.tolist()]
        return torch.stack(rows)[place].double()  # [U, N] -> [B, N]


class RelationMean(Control):
    r"""Cosine to the mean of the relation's known answers, :math:`s(c) = x_c^\top \overline{x}_{r}`.

    Who is asked about does not matter: this is what the relation alone says of what its answers are like.

    Args:
        facts: What may be looked up.
        vectors: Vectors of all entities, say of their texts, shape ``[N, D]``; zero where an entity has none.
    """

    def __init__(self, facts: Facts, vectors: Tensor) -> None:
        super().__init__(facts)
        self.register_buffer("vectors", _unit(facts, vectors), persistent=False)

    def answers(self, batch: Batch, side: Side) -> Tensor:
        """Cosines ``[B, N]``, up to the length of the mean."""
        distinct, place = torch.unique(batch.relation, return_inverse=True)  # [U], [B]
        at, entity = self.facts.seen(distinct, side)  # [M], [M]
        total = self.vectors.new_zeros(len(distinct), self.vectors.shape[1])
        total.index_add_(0, at, self.vectors[entity])  # [U, D]
        count = torch.bincount(at, minlength=len(distinct)).clamp(min=1)  # [U]
        return ((total / count[:, None]) @ self.vectors.T)[place]  # [U, N] -> [B, N]


class NearestNeighbour(Control):
    r"""What the most similar entity is an example of: its answers, and what is like them.

    With :math:`e^* = \arg\max_e x_e^\top x_a` over the entities that the relation has known answers for, the one asked
    about among them, :math:`s(c) = \max_{t \in A(e^*, r)} x_c^\top x_t`. Known answers of :math:`e^*` score 1.

    Args:
        facts: What may be looked up.
        vectors: Vectors of all entities, shape ``[N, D]``; zero where an entity has none.
    """

    def __init__(self, facts: Facts, vectors: Tensor) -> None:
        super().__init__(facts)
        self.register_buffer("vectors", _unit(facts, vectors), persistent=False)

    def answers(self, batch: Batch, side: Side) -> Tensor:
        """Cosines ``[B, N]``; all zero where the relation is in no fact."""
        anchor, scores = batch.anchor(side), self.vectors.new_zeros(len(batch), self.facts.num_nodes)
        for relation in torch.unique(batch.relation).tolist():
            rows = (batch.relation == relation).nonzero().flatten()  # [b]
            asked = torch.tensor([relation], device=anchor.device)
            known = self.facts.seen(asked, "head" if side == "tail" else "tail")[1]  # [m], who has answers
            if not len(known):
                continue
            like = self.vectors[anchor[rows]] @ self.vectors[known].T  # [b, m]
            like[anchor[rows, None] == known] = 2.0  # itself, even without a vector
            for row, nearest in zip(rows.tolist(), known[like.argmax(1)].tolist(), strict=True):
                one = torch.tensor([nearest], device=anchor.device)
                answers = self.facts.known(Batch(one, asked, one), side)[1]  # [A]
                scores[row] = (self.vectors @ self.vectors[answers].T).amax(1)  # [N, A] -> [N]
                scores[row, answers] = 1.0
        return scores


def _unit(facts: Facts, vectors: Tensor) -> Tensor:
    """Vectors ``[N, D]`` of unit length, zero ones as they are."""
    if vectors.dim() != 2 or len(vectors) != facts.num_nodes:
        raise ValueError(f"vectors {tuple(vectors.shape)} of {facts.num_nodes} entities: give [N, D]")
    if not torch.isfinite(vectors).all():
        raise ValueError("NaN or infinity among the vectors")
    return F.normalize(vectors.double(), dim=1)
