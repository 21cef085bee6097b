"""Synthetic multimodal graphs of any size: typed relations, degrees by a power law, features on the disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from mmkg.types import Features


def synthetic_graph(
    entities: int,
    *,
    triples_each: float = 4.0,
    relations: int = 100,
    types: int = 20,
    skew: float = 2.0,
    held_out: int = 100,
    seed: int = 0,
) -> Data:
    """A graph whose entities have types and whose relations lead from one type to another.

    Entities of a type have consecutive ids. A triple's relation is drawn by Zipf's law; its head and tail are the
    ``floor(n u^skew)``-th of the ``n`` entities of their types, with u uniform, so that few entities have most triples:
    the chance of the i-th falls as ``i^(1/skew - 1)``.

    Args:
        entities: Number of entities ``N``, at least ``types``.
        triples_each: Triples drawn for each entity, on average; the few that are drawn twice count once.
        relations: Number of relations ``R``.
        types: Number of types.
        skew: Above 1; the larger, the fewer entities have most triples.
        held_out: Triples of validation, and as many of test, at least 1.
        seed: Of everything.

    Returns:
        ``edge_index [2, E]``, ``edge_type [E]``, masks ``[E]``, ``num_nodes``, ``num_relations``.
    """
    if entities < types or held_out < 1:
        raise ValueError(f"{entities} entities of {types} types, {held_out} held out: too few")
    generator = torch.Generator().manual_seed(seed)
    bounds = torch.arange(types + 1) * entities // types  # [types + 1]
    of_head, of_tail = (torch.randint(types, (relations,), generator=generator) for _ in range(2))  # [R], [R]
    law = (1 / torch.arange(1, relations + 1, dtype=torch.float64)).cumsum(0)  # [R]
    count = int(entities * triples_each)
    chance = torch.rand(count, generator=generator, dtype=torch.float64) * law[-1]
    relation = torch.searchsorted(law, chance).clamp(max=relations - 1)  # [E]

    def members(kind: Tensor) -> Tensor:
        start, size = bounds[kind], bounds[kind + 1] - bounds[kind]  # [E], [E]
        place = torch.rand(count, generator=generator, dtype=torch.float64).pow_(skew)
        return start + (place * size).long().minimum(size - 1)

    head, tail = members(of_head[relation]), members(of_tail[relation])
    key = torch.unique((head * relations + relation) * entities + tail)  # [E], each triple once
    key = key[torch.randperm(len(key), generator=generator)]
    data = Data(edge_index=torch.stack([key // (entities * relations), key % entities]), num_nodes=entities)
    data.edge_type, data.num_relations = key // entities % relations, relations
    number = torch.arange(len(key))
    data.val_mask, data.test_mask = number < held_out, (number >= held_out) & (number < 2 * held_out)
    data.train_mask = number >= 2 * held_out
    return data


def synthetic_features(
    path: Path, entities: int, rows: int, width: int, *, share: float = 0.5, seed: int = 0
) -> Features:
    """Features of a share of the entities in a memory-mapped file, of which only what is asked for is read.

    Args:
        path: The ``.npy`` file to write.
        entities: Number of entities ``N``.
        rows: Regions or sentences ``R``.
        width: Columns ``D``.
        share: Share of the entities that have the modality.
        seed: Of the values.
    """
    chance = np.random.default_rng(seed)
    present = torch.from_numpy(chance.random(entities) < share)
    count = int(present.sum())
    values = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(count, rows, width))
    block = chance.standard_normal((4096, rows, width), dtype=np.float32).astype(np.float16)
    for start in range(0, count, len(block)):
        values[start : start + len(block)] = block[: count - start]
    values.flush()
    row = torch.where(present, present.cumsum(0) - 1, -1)
    return Features(np.load(path, mmap_mode="r"), torch.ones(count, rows, dtype=torch.bool), row)
