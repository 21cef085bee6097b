"""Entity tables larger than one device: rows spread over processes by PyTorch's own DTensor."""

from __future__ import annotations

import torch
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Replicate
from torch.distributed.tensor.parallel import RowwiseParallel, parallelize_module

from mmkg.scorers import Scorer


def shard_entities(model: Scorer, mesh: DeviceMesh) -> Scorer:
    r"""Keep of the entity table :math:`E \in \mathbb{R}^{N \times d}` only ``N / W`` rows in each of ``W`` processes.

    All processes ask for the same entities. Each looks up those that it holds, zeros stand for the others, and one
    all-reduce adds the rows up, :math:`e = \sum_p e_p`; backwards nothing is exchanged, as each process has the whole
    gradient of what was looked up and keeps that of its own rows. The optimiser's state of a row lies beside it. All
    other parameters stay whole everywhere, and equal, since every process computes the same step.

    Made for scorers that look entities up (``entity(ids)``): training on drawn negatives, and
    :func:`mmkg.evaluation.rank_together`, in which each process scores its own rows. A step sends
    ``(2 + K) B d`` numbers, whatever ``N`` is; each process's share of the gradient is dense.

    Args:
        model: Scorer whose ``node_emb`` is a plain embedding; changed in place. All processes must hold the same.
        mesh: The processes, one dimension.

    Returns:
        The model.

    Raises:
        ValueError: If entities are not looked up in a plain table.
    """
    if type(getattr(model, "node_emb", None)) is not torch.nn.Embedding:
        raise ValueError(f"{type(model).__name__} has no plain table of entities to spread")
    model.node_emb.sparse = False  # DTensor knows dense gradients only
    whole = RowwiseParallel(input_layouts=Replicate(), output_layouts=Replicate())
    parallelize_module(model, mesh, {"node_emb": whole})
    return model


def local_rows(model: Scorer) -> torch.Tensor:
    """The rows ``[n, d]`` that this process holds; all if they are not spread."""
    weight = model.node_emb.weight
    return weight.to_local() if isinstance(weight, DTensor) else weight
