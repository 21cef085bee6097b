"""Known facts as CSR: one object for the filter masks of sampler, loss and evaluator."""

from __future__ import annotations

import torch
from torch import Tensor

from mmkg.types import Batch, Side


class Facts:
    r"""Known triples, indexed by question.

    For each question :math:`(h, r, ?)` with key :math:`h \cdot R + r`, and :math:`(?, r, t)` with key
    :math:`r \cdot N + t`, the known answers lie sorted and next to each other (compressed sparse rows over the sorted
    keys). One-to-many relations are therefore filtered by a look-up, never by a loop. Duplicate triples count once.

    Args:
        head: Entity ids, shape ``[E]``.
        relation: Relation ids, shape ``[E]``.
        tail: Entity ids, shape ``[E]``.
        num_nodes: Number of entities ``N``.
        num_relations: Number of relations ``R``.

    Raises:
        ValueError: If the shapes differ, an id is out of range, or ids would not fit a 63-bit key.
    """

    def __init__(self, head: Tensor, relation: Tensor, tail: Tensor, num_nodes: int, num_relations: int) -> None:
        if not head.shape == relation.shape == tail.shape or head.dim() != 1:
            raise ValueError(f"head {head.shape}, relation {relation.shape}, tail {tail.shape}: all must be [E]")
        for name, ids, size in (
            ("head", head, num_nodes),
            ("relation", relation, num_relations),
            ("tail", tail, num_nodes),
        ):
            if ids.numel() and (int(ids.min()) < 0 or int(ids.max()) >= size):
                raise ValueError(f"{name} ids run from {int(ids.min())} to {int(ids.max())}, expected 0 to {size - 1}")
        if num_nodes * max(num_relations, 1) * (num_nodes + 1) >= 2**63:
            raise ValueError(f"{num_nodes} entities and {num_relations} relations need keys beyond 63 bits")
        self.num_nodes, self.num_relations = num_nodes, num_relations
        head, relation, tail = head.long(), relation.long(), tail.long()
        self._index = {
            "tail": _Rows.build(head * num_relations + relation, tail, num_nodes),
            "head": _Rows.build(relation * num_nodes + tail, head, num_nodes),
        }
        self._seen: dict[Side, _Rows] = {}

    @classmethod
    def from_data(cls, data, splits: tuple[str, ...] = ("train",)) -> Facts:
        """Facts of some splits of a graph.

        Args:
            data: A PyG ``Data`` with ``edge_index [2, E]``, ``edge_type [E]``, ``num_nodes``, ``num_relations`` and
                a boolean ``<split>_mask [E]`` for each split. Triples that a split policy set aside lie in
                ``data.extra_filter [3, X]`` and join whenever a split other than train is asked for.
            splits: Names out of "train", "val" and "test".

        Returns:
            The facts, on the device of the graph.
        """
        keep = torch.zeros_like(data.edge_type, dtype=torch.bool)
        for split in splits:
            keep |= data[f"{split}_mask"]
        h, t, r = data.edge_index[0][keep], data.edge_index[1][keep], data.edge_type[keep]
        extra = getattr(data, "extra_filter", None)
        if extra is not None and set(splits) != {"train"}:
            h, r, t = torch.cat([h, extra[0]]), torch.cat([r, extra[1]]), torch.cat([t, extra[2]])
        return cls(h, r, t, int(data.num_nodes), int(data.num_relations))

    def __len__(self) -> int:
        return self._index["tail"].values.numel()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} triples, {self.num_nodes} entities, {self.num_relations} relations)"

    @property
    def device(self) -> torch.device:
        """Where the index lies."""
        return self._index["tail"].values.device

    def to(self, device: torch.device | str) -> Facts:
        """The same facts on another device (self if they are there already)."""
        if torch.device(device) == self.device:
            return self
        other = object.__new__(Facts)
        other.num_nodes, other.num_relations = self.num_nodes, self.num_relations
        other._index = {side: rows.to(device) for side, rows in self._index.items()}
        other._seen = {}
        return other

    def known_tails(self, head: Tensor, relation: Tensor) -> tuple[Tensor, Tensor]:
        """Known answers of ``(h, r, ?)`` for ids ``[B]``: pairs (row among them ``[M]``, entity ``[M]``), in order."""
        return self._index["tail"].pairs(head * self.num_relations + relation)

    def known_heads(self, relation: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        """Known answers of ``(?, r, t)`` for ids ``[B]``: pairs (row among them ``[M]``, entity ``[M]``), in order."""
        return self._index["head"].pairs(relation * self.num_nodes + tail)

    def known(self, batch: Batch, side: Side) -> tuple[Tensor, Tensor]:
        """Known answers at ``side`` for each triple of a batch, as :meth:`known_tails` and :meth:`known_heads`."""
        return self._index[side].pairs(self._keys(batch, side))

    def seen(self, relation: Tensor, side: Side) -> tuple[Tensor, Tensor]:
        """Entities seen at ``side`` of relations ``[U]``: pairs (row among them ``[M]``, entity ``[M]``), in order."""
        if side not in self._seen:  # made when first asked for
            rows = self._index[side]
            keys = torch.repeat_interleave(rows.keys, rows.pointer.diff())  # [E], the question of each answer
            of = keys % max(self.num_relations, 1) if side == "tail" else keys // max(self.num_nodes, 1)  # [E]
            self._seen[side] = _Rows.build(of, rows.values, self.num_nodes)
        return self._seen[side].pairs(relation)

    def triples(self) -> tuple[Tensor, Tensor, Tensor]:
        """The different known triples as ids head, relation and tail, ``[E]`` each, ordered by these."""
        rows = self._index["tail"]
        keys = torch.repeat_interleave(rows.keys, rows.pointer.diff())  # [E]
        relations = max(self.num_relations, 1)
        return keys // relations, keys % relations, rows.values

    def count(self, batch: Batch, side: Side) -> Tensor:
        """How many answers are known at ``side`` for each triple of a batch, ``[B]``."""
        start, end = self._index[side].bounds(self._keys(batch, side))
        return end - start

    def mask(self, batch: Batch, side: Side, candidates: Tensor | None = None) -> Tensor:
        """True where a candidate is a known answer.

        Args:
            batch: ``B`` triples; the entity at ``side`` itself is not read.
            side: The side asked for.
            candidates: Entity ids shared by the batch ``[P]`` or its own for each row ``[B, K]``; all entities if None.

        Returns:
            Boolean mask, shape ``[B, N]``, ``[B, P]`` or ``[B, K]``.
        """
        keys = self._keys(batch, side)
        if candidates is not None and candidates.dim() == 2:
            return self._index[side].contains(keys[:, None].expand_as(candidates), candidates)  # [B, K]
        rows, ids = self._index[side].pairs(keys)
        dense = torch.zeros(len(batch), self.num_nodes, dtype=torch.bool, device=ids.device)
        dense[rows, ids] = True  # [B, N]
        return dense if candidates is None else dense[:, candidates]  # [B, N] or [B, P]

    def contains(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        """Whether each triple is known; ids of any common shape, mask of that shape."""
        return self._index["tail"].contains(head * self.num_relations + relation, tail)

    def unknown(self, batch: Batch, side: Side, order: Tensor) -> Tensor:
        """The ``order``-th entity that is *not* a known answer: exact filtered sampling without rejection.

        Args:
            batch: ``B`` triples.
            side: The side asked for.
            order: 0-based numbers, shape ``[B, K]``, each below ``num_nodes - count(batch, side)`` of its row.

        Returns:
            Entity ids, shape ``[B, K]``.
        """
        return self._index[side].unknown(self._keys(batch, side), order)

    def _keys(self, batch: Batch, side: Side) -> Tensor:
        """Key ``[B]`` of the question in which ``side`` is missing."""
        if side == "tail":
            return batch.head * self.num_relations + batch.relation
        return batch.relation * self.num_nodes + batch.tail


class _Rows:
    """Sorted unique keys ``[Q]``, row pointers ``[Q + 1]`` and sorted values ``[M]``."""

    def __init__(
        self, keys: Tensor, pointer: Tensor, values: Tensor, flat: Tensor, gaps: Tensor, num_nodes: int
    ) -> None:
        self.keys, self.pointer, self.values = keys, pointer, values
        self.flat, self.gaps, self.num_nodes = flat, gaps, num_nodes

    @classmethod
    def build(cls, keys: Tensor, values: Tensor, num_nodes: int) -> _Rows:
        flat = torch.unique(keys * num_nodes + values)  # [M], sorted by key, then by value
        keys, values = flat // max(num_nodes, 1), flat % max(num_nodes, 1)
        unique, count = torch.unique_consecutive(keys, return_counts=True)  # [Q], [Q]
        pointer = torch.cat([count.new_zeros(1), count.cumsum(0)])  # [Q + 1]
        # The j-th known answer a_j of a row leaves a_j - j unknown entities below it. Stored with the row's number in
        # front, these non-decreasing counts are sorted over the whole index, so that one binary search finds the
        # u-th unknown entity of any row.
        row = torch.repeat_interleave(torch.arange(unique.numel(), device=flat.device), count)  # [M]
        below = values - (torch.arange(values.numel(), device=flat.device) - pointer[row])  # [M]
        return cls(unique, pointer, values, flat, row * (num_nodes + 1) + below, num_nodes)

    def to(self, device: torch.device | str) -> _Rows:
        moved = [x.to(device) for x in (self.keys, self.pointer, self.values, self.flat, self.gaps)]
        return _Rows(*moved, self.num_nodes)

    def _find(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Row of each key (any row where there is none) and whether there is one."""
        if not self.keys.numel():
            return torch.zeros_like(keys), torch.zeros_like(keys, dtype=torch.bool)
        row = torch.searchsorted(self.keys, keys).clamp(max=self.keys.numel() - 1)
        return row, self.keys[row] == keys

    def bounds(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """First and one-past-last position of each key's values; equal where the key is not known."""
        row, found = self._find(keys)
        start = self.pointer[row] * found
        return start, torch.where(found, self.pointer[(row + 1).clamp(max=self.pointer.numel() - 1)], start)

    def pairs(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """(row among ``keys`` [M], value [M]) of all values of all keys ``[B]``."""
        start, end = self.bounds(keys)
        count = end - start  # [B]
        rows = torch.repeat_interleave(torch.arange(keys.numel(), device=keys.device), count)  # [M]
        first = count.cumsum(0) - count  # [B]
        position = torch.arange(rows.numel(), device=keys.device) - first[rows] + start[rows]  # [M]
        return rows, self.values[position]

    def contains(self, keys: Tensor, values: Tensor) -> Tensor:
        """Whether each (key, value) pair is known; any common shape."""
        if not self.flat.numel():
            return torch.zeros_like(keys, dtype=torch.bool)
        wanted = (keys * self.num_nodes + values).contiguous()
        position = torch.searchsorted(self.flat, wanted).clamp(max=self.flat.numel() - 1)
        return self.flat[position] == wanted

    def unknown(self, keys: Tensor, order: Tensor) -> Tensor:
        """The order-th value outside each key's row: ``[B]``, ``[B, K]`` -> ``[B, K]``."""
        row, found = self._find(keys)
        if not self.gaps.numel():
            return order.clone()
        wanted = row[:, None] * (self.num_nodes + 1) + order  # [B, K]
        skipped = torch.searchsorted(self.gaps, wanted.contiguous(), right=True) - self.pointer[row][:, None]  # [B, K]
        return order + skipped * found[:, None]
