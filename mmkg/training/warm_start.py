"""Start a model from the embeddings of an earlier one, matched by name."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmkg.errors import DataError


@torch.no_grad()
def warm_start(
    model: torch.nn.Module,
    entity: Tensor,
    entity_names: Sequence[str],
    relation: Tensor,
    relation_names: Sequence[str],
    *,
    own_entity_names: Sequence[str],
    own_relation_names: Sequence[str],
) -> dict[str, int]:
    """Copy embeddings of entities and relations that bear the same name; the others stay as they are.

    MMRNS is guided by the embeddings, so that it looks at the right region only once they mean something.

    Args:
        model: Scorer with ``node_emb`` and ``rel_emb``.
        entity: Earlier entity embeddings, shape ``[N', d]``.
        entity_names: Their names, ``N'`` strings.
        relation: Earlier relation embeddings, shape ``[R', d_r]``.
        relation_names: Their names, ``R'`` strings.
        own_entity_names: Names of the model's entities, ``N`` strings.
        own_relation_names: Names of the model's relations, ``R`` strings.

    Returns:
        How many were copied: ``{"entities": …, "relations": …}``.

    Raises:
        DataError: If the widths differ or not one entity is found.
    """
    counts = {}
    parts = (
        ("entities", model.node_emb, entity, entity_names, own_entity_names),
        ("relations", model.rel_emb, relation, relation_names, own_relation_names),
    )
    for what, embedding, values, *_ in parts:  # all checks before the first change
        if values.shape[1] != embedding.weight.shape[1]:
            raise DataError(
                f"the earlier run's {what} have width {values.shape[1]}, this model's {embedding.weight.shape[1]}",
                cure="use the same scorer and dimension for a warm start",
            )
    if not set(entity_names) & set(own_entity_names):
        problem = "not one entity of the earlier run bears a name of this graph"
        raise DataError(problem, cure="choose a run on this graph")
    for what, embedding, values, names, own_names in parts:
        place = {name: i for i, name in enumerate(names)}
        pairs = [(i, place[name]) for i, name in enumerate(own_names) if name in place]
        if pairs:
            here, there = torch.tensor(pairs, device=embedding.weight.device).unbind(1)
            embedding.weight[here] = values.to(embedding.weight)[there]
        counts[what] = len(pairs)
    return counts
