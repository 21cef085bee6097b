"""What the rooms of the house hand each other: batches, negatives, features and ranks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mmkg.transfer import transfer

Side = Literal["head", "tail"]
"""The side of a triple that is asked for or replaced."""

SIDES: tuple[Side, Side] = ("head", "tail")


@dataclass
class Batch:
    """Positive triples of one step.

    Args:
        head: Entity ids, shape ``[B]``.
        relation: Relation ids, shape ``[B]``.
        tail: Entity ids, shape ``[B]``.
        weight: Positive weight of each triple, shape ``[B]``; None means all ones.
    """

    head: Tensor
    relation: Tensor
    tail: Tensor
    weight: Tensor | None = None

    def __len__(self) -> int:
        return self.head.numel()

    def anchor(self, side: Side) -> Tensor:
        """The given entity ``[B]`` of the question in which ``side`` is missing."""
        return self.head if side == "tail" else self.tail

    def answer(self, side: Side) -> Tensor:
        """The true entity ``[B]`` at ``side``."""
        return self.tail if side == "tail" else self.head

    def select(self, keep: Tensor) -> Batch:
        """The triples for which the boolean mask ``[B]`` is True, with their weights."""
        weight = None if self.weight is None else self.weight[keep]
        return Batch(self.head[keep], self.relation[keep], self.tail[keep], weight)

    def rows(self, where: slice) -> Batch:
        """Some triples one after the other, with their weights."""
        columns = (self.head, self.relation, self.tail, self.weight)
        return Batch(*(None if column is None else column[where] for column in columns))

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device; a GPU gets it without the host's waiting."""
        columns = (self.head, self.relation, self.tail, self.weight)
        return Batch(*(None if column is None else transfer(column, device) for column in columns))


@dataclass
class Negatives:
    """What a sampler drew for a batch.

    Args:
        ids: Global entity ids, shape ``[B, K]``.
        valid: False where the pool was too small to draw from, shape ``[B, K]``; such ids mean nothing.
        embeddings: Straight-through entity embeddings with a gradient into the sampler, shape ``[B, K, d]``, or None.
        log_prob: Conditional log-probability of the k-th draw given those before it, shape ``[B, K]``, or None.
        cache: Whatever the sampler wants back in its ``loss`` and ``update``; opaque to everyone else.
        shared: The ids ``[K]`` where all rows have the same, so that they are scored as one table; else None.
    """

    ids: Tensor
    valid: Tensor
    embeddings: Tensor | None = None
    log_prob: Tensor | None = None
    cache: Any = None
    shared: Tensor | None = None

    @property
    def candidates(self) -> Tensor:
        """What a scorer is to score: the embeddings where there are any, else ids, ``[K]`` where these are shared."""
        if self.embeddings is not None:
            return self.embeddings
        return self.ids if self.shared is None else self.shared

    def rows(self, where: slice) -> Negatives:
        """Those of some rows of the batch; only for negatives without a cache, which nobody else can divide."""
        if self.cache is not None:
            raise ValueError("negatives with a cache cannot be divided")
        embeddings, log_prob = (None if x is None else x[where] for x in (self.embeddings, self.log_prob))
        return Negatives(self.ids[where], self.valid[where], embeddings, log_prob, shared=self.shared)


@dataclass
class Features:
    """Features of one modality, stored for the entities that have it and for no other.

    Args:
        values: Rows, shape ``[M, R, D]``; a tensor or a memory-mapped array, float16 or float32. What
            stands in padding does not matter.
        mask: True where a row's region or sentence is real and not padding, shape ``[M, R]``.
        row: Row in ``values`` of each entity, -1 where the entity lacks the modality, shape ``[N]``.
        boxes: Place of each region on the picture as (left, top, right, bottom) in [0, 1], shape ``[R, 4]``; None
            where regions are not places (runs of tokens, sentences).
        provenance: Where the values come from (encoder, files, counts of what was missing or unreadable).
    """

    values: np.ndarray | Tensor
    mask: Tensor
    row: Tensor
    boxes: Tensor | None = None
    provenance: dict = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(M, R, D)``."""
        return tuple(self.values.shape)

    @property
    def present(self) -> Tensor:
        """True for each entity that has the modality, shape ``[N]``."""
        return self.row >= 0

    def to(self, device: torch.device | str) -> Features:
        """The same features with all their values on a device; memory-mapped ones are read whole."""
        values = self.values if isinstance(self.values, Tensor) else torch.from_numpy(np.array(self.values))
        boxes = None if self.boxes is None else self.boxes.to(device)
        return replace(self, values=values.to(device), mask=self.mask.to(device), row=self.row.to(device), boxes=boxes)

    def gather(self, ids: Tensor, device: torch.device | str | None = None) -> tuple[Tensor, Tensor]:
        """Rows of some entities.

        Args:
            ids: Entity ids, shape ``[n]``.
            device: Where the result is wanted; that of ``ids`` if None.

        Returns:
            Values ``[n, R, D]`` in float32 (zero where absent or padded) and mask ``[n, R]`` (all False where absent).
        """
        device = ids.device if device is None else device
        mask, safe = self.row_mask(ids), self.row[ids.to(self.row.device)].clamp(min=0)  # [n, R], [n]
        if self.shape[0] == 0:
            return torch.zeros((*mask.shape, self.shape[2]), device=device), mask.to(device)
        if isinstance(self.values, Tensor):
            values = self.values.index_select(0, safe.to(self.values.device)).to(
                device, torch.float32
            )  # [n, R, D], a copy
        else:  # memory-mapped: only the rows asked for are read; torch widens float16 many times faster than numpy
            values = torch.from_numpy(np.asarray(self.values[safe.cpu().numpy()])).to(device, torch.float32)
        mask = mask.to(device)
        if torch.compiler.is_compiling() or mask.device.type != "cpu":
            return values.masked_fill_(~mask[..., None], 0.0), mask
        # most batches need no zeros: spare a pass over memory, where asking costs nothing
        if not bool(mask.all()):
            values.mul_(mask[..., None])  # on a CPU in a third of the time that filling takes
            if not bool(torch.isfinite(values.sum())):  # NaN or infinity in padding
                values.masked_fill_(~mask[..., None], 0.0)
        return values, mask

    def row_mask(self, ids: Tensor) -> Tensor:
        """True where a row of some entities ``[n]`` is real, all False where an entity has none, ``[n, R]``."""
        rows = self.row[ids.to(self.row.device)]  # [n]
        if self.shape[0] == 0:
            return torch.zeros(rows.numel(), self.shape[1], dtype=torch.bool, device=self.mask.device)
        present = (rows >= 0).to(self.mask.device)  # [n]
        return self.mask[rows.clamp(min=0).to(self.mask.device)] & present[:, None]  # [n, R]


@dataclass
class Ranks:
    """Ranks (1-based) of true answers among all candidates that are not known to be true.

    Args:
        optimistic: 1 + how many candidates score higher, shape ``[Q]``.
        pessimistic: 1 + how many candidates score at least as high, shape ``[Q]``.
        candidates: How many candidates were ranked, the true one included, shape ``[Q]``.
        side: The side asked for, 0 = head and 1 = tail, shape ``[Q]``.
        triple: Row of the question in the evaluated triples, shape ``[Q]``.
    """

    optimistic: Tensor
    pessimistic: Tensor
    candidates: Tensor
    side: Tensor
    triple: Tensor

    @property
    def realistic(self) -> Tensor:
        """Mean of optimistic and pessimistic rank, ``[Q]``: the expected rank when ties are broken by chance."""
        return (self.optimistic + self.pessimistic).double() / 2

    def under(self, rule: str) -> Tensor:
        """Ranks ``[Q]`` in float64 under the tie rule ``"realistic"``, ``"optimistic"`` or ``"pessimistic"``."""
        if rule not in ("realistic", "optimistic", "pessimistic"):
            raise ValueError(f"tie rule {rule!r}: choose realistic, optimistic or pessimistic")
        return getattr(self, rule).double()

    def select(self, keep: Tensor) -> Ranks:
        """The ranks for which the boolean mask ``[Q]`` is True."""
        columns = (self.optimistic, self.pessimistic, self.candidates, self.side, self.triple)
        return Ranks(*(x[keep] for x in columns))

    def __len__(self) -> int:
        return self.optimistic.numel()
