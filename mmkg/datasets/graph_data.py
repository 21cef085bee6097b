"""The PyG ``Data`` of a knowledge graph, which says itself what belongs to nodes, to edges and to neither."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data

NODE = {"entity_names", "entity_labels", "descriptions", "image", "image_mask", "text", "text_mask"}
EDGE = {"edge_index", "edge_type", "train_mask", "val_mask", "test_mask"}
NEITHER = {"relation_names", "relation_labels", "extra_filter", "num_relations", "num_nodes"}


class KGData(Data):
    """A knowledge graph.

    PyG tells node from edge attributes by their length, which fails where a graph has as many triples as entities or as
    many relations as entities; here the known names decide. ``extra_filter [3, X]`` holds triples (h, r, t) that are no
    edges but known to be true: their entity ids are shifted by :class:`~torch_geometric.data.Batch` and renumbered by
    :meth:`subgraph` as those of edges are.

    Attributes:
        edge_index: Head and tail of each triple, shape ``[2, E]``.
        edge_type: Relation of each triple, shape ``[E]``.
        num_relations: Number of relations, whether or not each has an edge here.
    """

    @property
    def num_edge_types(self) -> int:
        """Number of relations of the whole graph, which a split's edges may not all show."""
        known = self.__dict__["_store"].get("num_relations")
        return super().num_edge_types if known is None else int(torch.as_tensor(known).max())

    def __cat_dim__(self, key: str, value, *args, **kwargs):
        return -1 if key == "extra_filter" else super().__cat_dim__(key, value, *args, **kwargs)

    def __inc__(self, key: str, value, *args, **kwargs):
        if key == "extra_filter":
            return torch.tensor([[self.num_nodes], [0], [self.num_nodes]])  # relations are shared, entities are not
        return super().__inc__(key, value, *args, **kwargs)

    def is_node_attr(self, key: str) -> bool:
        """Whether an attribute has one entry for each entity."""
        return key in NODE or (key not in EDGE | NEITHER and super().is_node_attr(key))

    def is_edge_attr(self, key: str) -> bool:
        """Whether an attribute has one entry for each triple."""
        return key in EDGE or (key not in NODE | NEITHER and super().is_edge_attr(key))

    def subgraph(self, subset: Tensor) -> KGData:
        """The graph between some entities, ids ``[n]`` or mask ``[N]``; they are renumbered in this order."""
        data = super().subgraph(subset)
        extra = self.__dict__["_store"].get("extra_filter")
        if extra is not None:
            number = torch.full((self.num_nodes,), -1, dtype=torch.long, device=extra.device)
            ids = subset.nonzero().view(-1) if subset.dtype == torch.bool else subset
            number[ids.to(extra.device)] = torch.arange(ids.numel(), device=extra.device)
            moved = torch.stack([number[extra[0]], extra[1], number[extra[2]]])  # [3, X]
            data.extra_filter = moved[:, (moved >= 0).all(0)]
        return data
