"""What of a step follows from ids alone, worked out before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from mmkg.graph.facts import Facts
from mmkg.samplers.mmrns.pool import known_answers, known_in_pool, members, random_pool, typed_pool
from mmkg.samplers.mmrns.similarity import Grouping
from mmkg.transfer import transfer
from mmkg.types import Batch, Side


@dataclass
class Plan:
    """Which candidates, answers and (relation, answer) pairs a step looks at.

    How many relations and pairs are different depends on the ids, so that a GPU would have to tell the host before the
    host could go on. A plan made where the batch lies on the host, and then moved, spares the step that wait.

    Args:
        side: The side to replace.
        pool: Candidates without repetition, shape ``[P]``.
        own: True where a candidate is one of the row's own, shape ``[B, P]``; None where all are.
        known: True where a candidate is a known answer or the row's own, shape ``[B, P]``.
        answers: The true answer of each row and other known ones, shape ``[B, 1 + J]``.
        filled: False where there are fewer, shape ``[B, 1 + J]``.
        relations: ``U`` relations, shape ``[U]``.
        entities: ``n`` different answers, shape ``[n]``.
        pair_entity: Position among these of each of ``m`` different (relation, answer) pairs, shape ``[m]``.
        pair_relation: Position among the relations of each pair, shape ``[m]``.
        pair_at: Position among the pairs of each answer, shape ``[B, 1 + J]``.
        grouping: The rows by relation.
        padded: See :func:`make_plan`.
    """

    side: Side
    pool: Tensor
    own: Tensor | None
    known: Tensor
    answers: Tensor
    filled: Tensor
    relations: Tensor
    entities: Tensor
    pair_entity: Tensor
    pair_relation: Tensor
    pair_at: Tensor
    grouping: Grouping
    padded: bool = False

    def to(self, device: torch.device | str) -> Plan:
        """The same plan on another device."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values = {name: transfer(v, device) if isinstance(v, Tensor) else v for name, v in values.items()}
        return Plan(**values | {"grouping": self.grouping.to(device)})

    def rows(self, where: slice | Tensor, answers: int | None = None) -> Plan:
        """The plan of some rows of the batch: the same candidates and answers, and of relations and pairs theirs.

        Args:
            where: The rows, or their numbers, shape ``[B']``.
            answers: How many of each row's answers, the true one first; all if None.
        """
        relation = self.relations[self.grouping.relation_at[where]]  # [B']
        relations, relation_at = relation.unique(return_inverse=True)  # [U'], [B']
        own = None if self.own is None else self.own[where]
        rows = (own, self.known[where], self.answers[where, :answers], self.filled[where, :answers])
        count = int(self.entities.amax()) + 1
        return _arranged(self.side, self.pool, *rows, relations, relation_at, count, self.padded)

    @property
    def allowed(self) -> Tensor:
        """True where a candidate may be drawn, ``[B, P]``."""
        return ~self.known if self.own is None else self.own & ~self.known  # [B, P]


def make_plan(
    batch: Batch,
    side: Side,
    facts: Facts,
    pool: Tensor | None,
    generator: torch.Generator | None = None,
    *,
    kind: str = "random",
    size: int,
    at_least: int,
    others: int,
    padded: bool = False,
) -> Plan:
    """Plan a step.

    Args:
        batch: ``B`` triples.
        side: The side to replace.
        facts: Known triples on the device of the batch; in training those of the train split only.
        pool: Candidates without repetition, shape ``[P]``; chosen here if None.
        generator: Source of randomness on the device of the batch.
        kind: ``"random"`` or ``"typed"``, see :class:`~mmkg.samplers.MMRNS`.
        size: Candidates wanted; of each relation if they are typed.
        at_least: Candidates needed.
        others: Known answers wanted beside the true one, ``J``.
        padded: Repeat entries until every length that depends on the ids is one of few, see :func:`padded_size`.

    Returns:
        The plan, on the device of the batch.
    """
    device, num_nodes = batch.relation.device, facts.num_nodes
    relations, relation_at = batch.relation.unique(return_inverse=True)  # [U], [B]
    member = None
    if kind == "typed" and pool is not None:
        member = members(relations, side, facts, pool)  # [U, P]
    elif kind == "typed":
        pool, member = typed_pool(relations, side, facts, size, at_least, generator, padded_size if padded else None)
    elif pool is None:
        pool = random_pool(num_nodes, size, device, generator)  # [P]
    # the answers get a source of their own: runs with and without them draw alike under one seed
    answers, filled = known_answers(batch, side, facts, others, _another(generator, device))  # [B, 1 + J]
    own = None if member is None else member[relation_at]  # [B, P]
    known = known_in_pool(batch, side, facts, pool)  # [B, P]
    return _arranged(side, pool, own, known, answers, filled, relations, relation_at, num_nodes, padded)


def _arranged(
    side: Side,
    pool: Tensor,
    own: Tensor | None,
    known: Tensor,
    answers: Tensor,
    filled: Tensor,
    relations: Tensor,
    relation_at: Tensor,
    num_nodes: int,
    padded: bool,
) -> Plan:
    """The plan of rows whose candidates and answers are known; ``relation_at [B]`` is each row's among the relations.

    ``num_nodes`` is above every answer.
    """
    # pairs (relation, answer) repeat within a batch: each is computed once
    keys, pair_at = (relation_at[:, None] * num_nodes + answers).unique(return_inverse=True)  # [m], [B, 1 + J]
    keys = _padded(keys) if padded else keys
    entities, pair_entity = (keys % num_nodes).unique(return_inverse=True)  # [n], [m]
    return Plan(
        side=side,
        pool=pool,
        own=own,
        known=known,
        answers=answers,
        filled=filled,
        relations=_padded(relations) if padded else relations,
        entities=_padded(entities) if padded else entities,
        pair_entity=pair_entity,
        pair_relation=keys // num_nodes,
        pair_at=pair_at,
        grouping=Grouping(relation_at, relations.numel(), padded_size if padded else None),
        padded=padded,
    )


def padded_size(count: int) -> int:
    """The next of 1, 2, 3, 4, 6, 8, 12, 16, 24, …: few sizes, at most half as much again.

    Example:
        >>> [padded_size(n) for n in (1, 3, 5, 7, 80, 100)]
        [1, 3, 6, 8, 96, 128]
    """
    power = 1 << max(0, count - 1).bit_length()
    return 3 * power // 4 if power >= 4 and 4 * count <= 3 * power else power


def _padded(values: Tensor) -> Tensor:
    """Values ``[n]``, at least one, with the last of them repeated up to a :func:`padded_size`."""
    return torch.cat([values, values[-1:].expand(padded_size(values.numel()) - values.numel())])


def _another(generator: torch.Generator | None, device: torch.device) -> torch.Generator:
    """A source of randomness that follows from another one, of which it takes one number."""
    seed = torch.randint(2**31, (1,), generator=generator, device=device)
    return torch.Generator(device).manual_seed(int(seed))
