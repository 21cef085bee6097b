"""The nearest of many vectors: exactly, in bounded memory; of many millions by FAISS, with its recall measured."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkg.errors import DataError

QUERIES_AT_ONCE, ROWS_AT_ONCE = 256, 2**16


def nearest(query: Tensor, table: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` largest inner products of each query, by a matrix product in blocks: exact.

    Memory beside the inputs is that of one block of :data:`QUERIES_AT_ONCE` x :data:`ROWS_AT_ONCE` products, whatever
    the table's length.

    Args:
        query: Shape ``[Q, D]``.
        table: Shape ``[N, D]``; unit length of both makes the products cosines.
        k: How many, at least 1; ``N`` where there are fewer.

    Returns:
        Products ``[Q, k]``, the largest first, and rows of the table ``[Q, k]``; equal ones in the order of rows.

    Raises:
        ValueError: If widths differ, k is below 1, or a number is NaN or infinite.
    """
    if query.dim() != 2 or table.dim() != 2 or query.shape[1] != table.shape[1] or k < 1:
        raise ValueError(f"query {tuple(query.shape)}, table {tuple(table.shape)}, k {k}: give [Q, D], [N, D], k >= 1")
    for name, vectors in (("query", query), ("table", table)):
        if any(not torch.isfinite(part).all() for part in vectors.split(ROWS_AT_ONCE)):
            raise ValueError(f"NaN or infinity in the {name}")
    k, found = min(k, len(table)), []
    for part in query.split(QUERIES_AT_ONCE):
        scores, ids = part.new_zeros(len(part), 0), torch.zeros(len(part), 0, dtype=torch.long, device=part.device)
        for start in range(0, len(table), ROWS_AT_ONCE):
            block = part @ table[start : start + ROWS_AT_ONCE].T  # [q, n]
            ours = torch.arange(start, start + block.shape[1], device=part.device).expand(len(part), -1)
            best, place = _largest(torch.cat([scores, block], 1), k)  # [q, k]
            scores, ids = best, torch.cat([ids, ours], 1).gather(1, place)  # earlier rows stand first among equals
        found.append((scores, ids))
    if not found:
        return query.new_zeros(0, k), torch.zeros(0, k, dtype=torch.long, device=query.device)
    return torch.cat([s for s, _ in found]), torch.cat([i for _, i in found])


def _largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row ``[q, n]`` and their places, equal ones in order of place."""
    k = min(k, scores.shape[1])
    place = scores.topk(k, dim=1).indices.sort(dim=1).values  # [q, k]
    limit = scores.gather(1, place).amin(1, keepdim=True)  # [q, 1]
    # topk takes any of those level with the last: take the first ones
    tied = ((scores >= limit).sum(1) > k).nonzero().flatten()  # [t]
    if len(tied):
        some, edge = scores[tied], limit[tied]
        level, above = some == edge, some > edge  # [t, n]
        chosen = above | (level & (level.cumsum(1) <= k - above.sum(1, keepdim=True)))  # [t, n], k in each row
        place[tied] = chosen.nonzero()[:, 1].reshape(len(tied), k)
    best, order = scores.gather(1, place).sort(dim=1, descending=True, stable=True)
    return best, place.gather(1, order)


def recall(found: Tensor, exact: Tensor) -> float:
    """Share of the exact nearest ``[Q, k]`` that are among those found ``[Q, k']``."""
    return float((exact[:, :, None] == found[:, None, :]).any(2).double().mean())


class FaissIndex:
    """Approximate search by an inverted file of FAISS (``pip install 'mmkg[faiss]'``), with its recall measured.

    Args:
        table: Vectors of unit length, shape ``[N, D]``.
        lists: Cells that the table is divided into; about the square root of ``N`` if None.
        probes: Cells searched for each query; more are slower and find more.
        sample: Vectors of the table on which the recall is measured against the exact search.
        seed: Of the sample.

    Attributes:
        recall: Share of the 10 nearest of the sample that are found.

    Raises:
        DataError: If FAISS is not installed.
    """

    def __init__(
        self, table: Tensor, *, lists: int | None = None, probes: int = 16, sample: int = 256, seed: int = 0
    ) -> None:
        faiss = _faiss()
        lists = max(1, round(len(table) ** 0.5)) if lists is None else lists
        quantiser = faiss.IndexFlatIP(table.shape[1])
        self._index = faiss.IndexIVFFlat(quantiser, table.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
        self._quantiser = quantiser  # FAISS does not keep it alive
        rows = table.float().cpu().contiguous().numpy()
        self._index.train(rows)
        self._index.add(rows)
        self._index.nprobe = probes
        chosen = torch.randperm(len(table), generator=torch.Generator().manual_seed(seed))[:sample]
        some = table[chosen]
        self.recall = recall(self.nearest(some, 10)[1], nearest(some, table, 10)[1])

    def nearest(self, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """As :func:`nearest`, approximately; a row is -1 where the cells searched hold fewer than ``k``."""
        scores, ids = self._index.search(F.normalize(query.float(), dim=1).cpu().contiguous().numpy(), k)
        return torch.from_numpy(scores), torch.from_numpy(ids)


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        raise DataError("FAISS is not installed", cure="pip install 'mmkg[faiss]', or search exactly") from None
    return faiss
