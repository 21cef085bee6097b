"""Splits that hold entities out whole: what a model can say of an entity that it has never seen."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from mmkg.datasets.graph_data import KGData
from mmkg.errors import DataError
from mmkg.graph import Facts
from mmkg.types import Features

PARTS = ("val", "test")


@dataclass
class InductiveSplit:
    """A graph without some entities, and what is known of those.

    Known entities are ``0 .. K-1`` in their old order, unseen ones ``K .. N-1``: those of validation first.

    Args:
        known: The graph between known entities, with its own train, validation and test masks; nothing in it tells of
            an unseen entity.
        order: Old id of each entity, shape ``[N]``.
        part: 0 of known entities, 1 of unseen ones for validation, 2 for test, shape ``[N]``.
        support: Triples (h, r, t) that may be shown, most of an entity's first, shape ``[S, 3]``.
        shot: Place of each of them among its unseen entity's, from 0, shape ``[S]``.
        queries: Triples to be ranked, each of one unseen and one known entity, shape ``[Q, 3]``.
        set_aside: How many true triples of unseen entities are neither: those between two unseen ones, and those of
            the dataset's validation and test split.
        filter: All true triples of the dataset in the new ids, shape ``[X, 3]``.
    """

    known: KGData
    order: Tensor
    part: Tensor
    support: Tensor
    shot: Tensor
    queries: Tensor
    set_aside: int
    filter: Tensor

    @property
    def num_known(self) -> int:
        """Number of known entities ``K``."""
        return int(self.known.num_nodes)

    @property
    def num_nodes(self) -> int:
        """Number of known and unseen entities ``N``."""
        return len(self.order)

    def unseen(self, part: str | None = None) -> Tensor:
        """Ids of unseen entities, all or those of ``"val"`` or ``"test"``, shape ``[U]``."""
        chosen = self.part > 0 if part is None else self.part == _number(part)
        return chosen.nonzero().flatten()

    def supports(self, shots: int, part: str | None = None) -> Tensor:
        """The first triples of each unseen entity, ``shots`` or fewer, shape ``[S', 3]``."""
        return self.support[(self.shot < shots) & self._of(self.support, part)]

    def questions(self, part: str) -> Tensor:
        """Triples of the unseen entities of ``"val"`` or ``"test"`` that are to be ranked, shape ``[Q', 3]``."""
        return self.queries[self._of(self.queries, part)]

    def facts(self) -> Facts:
        """All true triples: the filter of a ranking among known and unseen entities."""
        return Facts(*self.filter.unbind(1), self.num_nodes, int(self.known.num_relations))

    def train_facts(self) -> Facts:
        """What may be learned from: the train triples between known entities, in a graph of all ``N``."""
        keep = self.known.train_mask
        head, tail = self.known.edge_index[:, keep]
        return Facts(head, self.known.edge_type[keep], tail, self.num_nodes, int(self.known.num_relations))

    def features(self, features: Features, known_only: bool = False) -> Features:
        """Features of the dataset in the order of the new ids: of all entities, or of the known ones alone."""
        row = features.row[self.order.to(features.row.device)]  # [N]
        return replace(features, row=row[: self.num_known] if known_only else row)

    def _of(self, triples: Tensor, part: str | None) -> Tensor:
        """Whether each triple ``[S, 3]`` is of an unseen entity of that part."""
        number = torch.maximum(self.part[triples[:, 0]], self.part[triples[:, 2]])  # [S], known ones have 0
        return number > 0 if part is None else number == _number(part)


def hold_out(
    data: KGData,
    fraction: float = 0.1,
    seed: int = 0,
    *,
    max_support: int = 5,
    validation: float = 0.3,
) -> InductiveSplit:
    """Hold entities out of a graph, whole.

    Each unseen entity keeps at least one triple to ask for beside its ``max_support`` triples to be shown, so that the
    same questions are asked with 0, 1 or 5 shots. All are train triples of the dataset: its validation and test triples
    stay out of the game but for the filter. The choice depends on the seed and the set of triples alone.

    Args:
        data: The whole graph, with ``train_mask``, ``val_mask`` and ``test_mask``.
        fraction: Share of the entities to hold out, in (0, 1); fewer where more would leave a known entity or a
            relation without a train triple.
        seed: Any integer.
        max_support: Triples set apart to be shown for each unseen entity, at least 0.
        validation: Share of the unseen entities on which settings are chosen, in [0, 1).

    Returns:
        The graph of the others, and what is shown and asked of the unseen ones.

    Raises:
        DataError: If a number is out of range, the fraction is of no entity, or none has triples enough.
    """
    if not 0 < fraction < 1 or not 0 <= validation < 1 or max_support < 0:
        problem = f"fraction {fraction}, validation {validation}, max_support {max_support}"
        raise DataError(problem, cure="give shares between 0 and 1, and at least 0 triples")
    triples = torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], 1)  # [E, 3]
    train = np.unique(triples[data.train_mask].numpy(), axis=0)  # [E', 3], by value: the order of rows does not matter
    number = int(data.num_nodes)
    if not (wanted := round(fraction * number)):
        raise DataError(f"fraction {fraction} of {number} entities is none", cure="give a larger fraction")
    chosen = _choose(train, number, int(data.num_relations), wanted, seed, max_support + 1)
    if not len(chosen):
        problem = f"no entity has {max_support + 1} train triples that could be missed"
        raise DataError(problem, cure="set max_support lower")
    for_test = chosen[round(validation * len(chosen)) :]
    part = torch.zeros(number, dtype=torch.long)
    part[chosen] = 1
    part[for_test] = 2
    order = torch.argsort(part, stable=True)  # [N], known ones first
    new = torch.empty_like(order)
    new[order] = torch.arange(number)
    part = part[order]
    known = data.subgraph(order[part == 0])

    def renamed(old: Tensor) -> Tensor:
        return torch.stack([new[old[:, 0]], old[:, 1], new[old[:, 2]]], 1)

    extra = data.extra_filter.t() if getattr(data, "extra_filter", None) is not None else triples[:0]
    ours = renamed(torch.from_numpy(train))
    strangers = (part[ours[:, [0, 2]]] > 0).sum(1)  # [E'], self-loops count twice
    mine = ours[strangers == 1]  # [M, 3]
    mine = mine[torch.from_numpy(np.argsort(_hashes(_old(mine, order), seed, "triple"), kind="stable"))]
    at_head = part[mine[:, 0]] > 0
    shot = _place(torch.where(at_head, mine[:, 0], mine[:, 2]))  # [M]
    shown = shot < max_support
    true = torch.unique(torch.cat([renamed(triples), renamed(extra)]), dim=0)  # [X, 3]
    lost = int((part[true[:, [0, 2]]] > 0).any(1).sum()) - len(mine)
    return InductiveSplit(known, order, part, mine[shown], shot[shown], mine[~shown], lost, true)


def _choose(train: np.ndarray, nodes: int, relations: int, wanted: int, seed: int, least: int) -> np.ndarray:
    """Entities to hold out, in a random order; each keeps ``least`` triples with known ones, known ones keep one."""
    per_relation = np.bincount(train[:, 1], minlength=relations)
    touching: list[list[int]] = [[] for _ in range(nodes)]
    for row, (h, _, t) in enumerate(train.tolist()):
        touching[h].append(row)
        if t != h:
            touching[t].append(row)
    with_known = np.array([sum(train[row, 0] != train[row, 2] for row in rows) for rows in touching])
    alive, out = np.ones(len(train), dtype=bool), np.zeros(nodes, dtype=bool)
    left = np.array([len(rows) for rows in touching])  # train triples that each entity keeps
    chosen: list[int] = []
    for e in np.argsort(_hashes(np.arange(nodes)[:, None], seed, "entity"), kind="stable").tolist():
        if len(chosen) == wanted:
            break
        gone = [row for row in touching[e] if alive[row]]
        others = [int(train[row, 0] + train[row, 2] - e) for row in touching[e]]
        fewer_shown = {o: others.count(o) for o in others if out[o]}
        fewer = {}
        for row in gone:
            other = int(train[row, 0] + train[row, 2] - e)
            if other != e:
                fewer[other] = fewer.get(other, 0) + 1
        relation_loss = np.bincount(train[gone, 1], minlength=relations)
        if (
            with_known[e] < least
            or any(with_known[o] - n < least for o, n in fewer_shown.items())
            or any(left[o] - n < 1 for o, n in fewer.items())
            or (per_relation - relation_loss < 1)[relation_loss > 0].any()
        ):
            continue
        chosen.append(e)
        out[e] = True
        alive[gone] = False
        per_relation -= relation_loss
        for o, n in fewer.items():
            left[o] -= n
        for o in others:
            if o != e:
                with_known[o] -= 1
    return np.array(chosen, dtype=np.int64)


def _old(triples: Tensor, order: Tensor) -> np.ndarray:
    """Triples by the dataset's own ids, ``[M, 3]``."""
    return torch.stack([order[triples[:, 0]], triples[:, 1], order[triples[:, 2]]], 1).numpy()


def _place(owner: Tensor) -> Tensor:
    """How many earlier entries have the same owner, ``[M]``."""
    by_owner = torch.argsort(owner, stable=True)
    ordered = owner[by_owner]
    start = torch.searchsorted(ordered, ordered)  # [M], where each owner's run begins
    place = torch.empty_like(owner)
    place[by_owner] = torch.arange(len(owner)) - start
    return place


def _hashes(rows: np.ndarray, seed: int, what: str) -> np.ndarray:
    """A 64-bit hash of the seed and each row ``[n, c]``: no generator that a library may change."""
    rows = np.ascontiguousarray(rows, dtype="<i8")
    start = hashlib.blake2b(f"mmkg inductive {what} {int(seed)}:".encode(), digest_size=8)
    digests = bytearray()
    for row in rows:
        one = start.copy()
        one.update(row.tobytes())
        digests += one.digest()
    return np.frombuffer(bytes(digests), dtype="<u8")


def _number(part: str) -> int:
    if part not in PARTS:
        raise DataError(f"part {part!r}", cure=f"choose one of {', '.join(PARTS)}")
    return 1 + PARTS.index(part)
