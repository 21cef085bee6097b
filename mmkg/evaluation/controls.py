"""What needs no model: answers by chance, by the relation alone, and by the nearest text; to measure gains against."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkg.evaluation.twins import twins
from mmkg.graph import Facts
from mmkg.types import Batch, Side

COLUMNS_AT_ONCE = 2048


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
        scores = self._answers(Batch(head_index, rel_type, head_index), "tail")
        return scores if candidates is None else scores[:, candidates]

    def score_heads(self, rel_type: Tensor, tail_index: Tensor, candidates: Tensor | None = None) -> Tensor:
        """Scores of candidate heads, ``[B, N]``; of the ids ``[K]`` if given, ``[B, K]``."""
        scores = self._answers(Batch(tail_index, rel_type, tail_index), "head")
        return scores if candidates is None else scores[:, candidates]

    def _answers(self, batch: Batch, side: Side) -> Tensor:
        # facts are no part of a module's state and do not follow it to a GPU
        self.facts = self.facts.to(batch.relation.device)
        return self.answers(batch, side)


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
    about among them, :math:`s(c) = \max_{t \in A(e^*, r)} x_c^\top x_t`. Known answers of :math:`e^*` score 1, and so
    does whoever has the vector of one.

    Questions that share :math:`e^*` and relation are answered once, all of a call from one matrix of cosines.

    Args:
        facts: What may be looked up.
        vectors: Vectors of all entities, shape ``[N, D]``; zero where an entity has none.
        memory_mb: The cosines of all pairs of entities are kept from call to call where they take no more than this
            many MiB; else each call makes those that it needs.
    """

    def __init__(self, facts: Facts, vectors: Tensor, memory_mb: float = 2048.0) -> None:
        super().__init__(facts)
        # a cosine is wrong by 1e-7 in float32, which costs half of what float64 does
        self.register_buffer("vectors", _unit(facts, vectors).float(), persistent=False)
        copies, firsts = twins(self.vectors)  # [D], [D]
        first = torch.arange(facts.num_nodes, device=self.vectors.device)
        self.register_buffer("first", first.index_copy(0, copies, firsts), persistent=False)  # [N]
        kept = self.vectors @ self.vectors.T if facts.num_nodes**2 * 4 <= memory_mb * 2**20 else None
        self.register_buffer("cosines", kept, persistent=False)  # [N, N]

    def answers(self, batch: Batch, side: Side) -> Tensor:
        """Cosines ``[B, N]``; all zero where the relation is in no fact."""
        anchor, relation = batch.anchor(side), batch.relation
        nearest = self._nearest(anchor, relation, side)  # [B], -1 where the relation has no answers for anyone
        ask = nearest >= 0
        pair, place = torch.unique(nearest[ask] * self.facts.num_relations + relation[ask], return_inverse=True)
        of, r = pair // self.facts.num_relations, pair % self.facts.num_relations  # [P], [P]
        row, answer = self.facts.known(Batch(of, r, of), side)  # [M], [M], rows in order
        best = self._most_alike(row, answer, len(pair))  # [P, N]
        scores = best.new_zeros(len(batch), self.facts.num_nodes)
        scores[ask] = best[place]
        return scores

    def _nearest(self, anchor: Tensor, relation: Tensor, side: Side) -> Tensor:
        """Who of those with known answers is most like each entity asked about ``[B]``; the first of equal ones."""
        found = torch.full_like(anchor, -1)
        for r in torch.unique(relation).tolist():
            rows = (relation == r).nonzero().flatten()  # [b]
            known = self.facts.seen(relation[rows[:1]], "head" if side == "tail" else "tail")[1]  # [m]
            if not len(known):
                continue
            if self.cosines is None:  # equal vectors once, that they come out equal
                distinct, place = torch.unique(self.first[known], return_inverse=True)  # [m'], [m]
                like = (self.vectors[anchor[rows]] @ self.vectors[distinct].T)[:, place]  # [b, m]
            else:
                like = self.cosines[anchor[rows]][:, self.first[known]]  # [b, m]
            like[anchor[rows, None] == known] = 2.0  # itself, even without a vector
            found[rows] = known[like.argmax(1)]
        return found

    def _most_alike(self, row: Tensor, answer: Tensor, count: int) -> Tensor:
        """Largest cosine ``[P, N]`` of all entities to the answers ``[M]`` of each row ``[M]``; every row has some."""
        best = self.vectors.new_empty(count, self.facts.num_nodes)  # [P, N]
        ids, place = torch.unique(self.first[answer], return_inverse=True)  # [U], [M]
        sizes = torch.bincount(row, minlength=count).tolist()
        for part in torch.arange(self.facts.num_nodes, device=row.device).split(COLUMNS_AT_ONCE):
            columns = slice(int(part[0]), int(part[-1]) + 1)
            if self.cosines is None:
                block, at = self.vectors[ids] @ self.vectors[columns].T, place  # [U, C], [M]
            else:
                block, at = self.cosines[:, columns], ids[place]  # [N, C], no copy; [M]
            for p, mine in enumerate(at.split(sizes)):
                best[p, columns] = block[mine].amax(0)  # [A, C] -> [C]
        best.clamp_(max=1.0)  # rounding may have added to it
        there = self.vectors[answer].any(1)  # [M], who has no vector is like nobody
        best[row[there], self.first[answer[there]]] = 1.0
        best = best[:, self.first]  # equal vectors, equal scores
        best[row, answer] = 1.0
        return best


def _unit(facts: Facts, vectors: Tensor) -> Tensor:
    """Vectors ``[N, D]`` of unit length, zero ones as they are."""
    if vectors.dim() != 2 or len(vectors) != facts.num_nodes:
        raise ValueError(f"vectors {tuple(vectors.shape)} of {facts.num_nodes} entities: give [N, D]")
    if not torch.isfinite(vectors).all():
        raise ValueError("NaN or infinity among the vectors")
    return F.normalize(vectors.double(), dim=1)
