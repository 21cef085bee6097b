"""The PyG ``Data`` of a knowledge graph, which says itself what belongs to nodes, to edges and to neither."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.storage import GlobalStorage

NODE = {"entity_names", "entity_labels", "descriptions", "image", "image_mask", "text", "text_mask"}
EDGE = {"edge_index", "edge_type", "train_mask", "val_mask", "test_mask"}
NEITHER = {"relation_names", "relation_labels", "extra_filter", "num_relations", "num_nodes"}


class KGStorage(GlobalStorage):
    """Where a graph's attributes lie; PyG's samplers ask it what to cut down to the nodes and edges that they drew."""

    def is_node_attr(self, key: str) -> bool:
        """Whether a tensor has one entry for each entity; lists, which samplers cannot cut, do not count."""
        if isinstance(self[key], (list, tuple)):
            return False
        return key in NODE or (key not in EDGE | NEITHER and super().is_node_attr(key))

    def is_edge_attr(self, key: str) -> bool:
        """Whether a tensor has one entry for each triple."""
        if isinstance(self[key], (list, tuple)):
            return False
        return key in EDGE or (key not in NODE | NEITHER and super().is_edge_attr(key))


class KGData(Data):
    """A knowledge graph.

    PyG tells node from edge attributes by their length, which fails where a graph has as many triples as entities or as
    many relations as entities; here the known names decide. ``extra_filter [3, X]`` holds triples (h, r, t) that are no
    edges but known to be true: their entity ids are shifted by :class:`~torch_geometric.data.Batch` and renumbered by
    :meth:`subgraph` and PyG's neighbour samplers, as those of edges are.

    Attributes:
        edge_index: Head and tail of each triple, shape ``[2, E]``.
        edge_type: Relation of each triple, shape ``[E]``.
        num_relations: Number of relations, whether or not each has an edge here.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.__dict__["_store"] = KGStorage(dict(self._store.items()), _parent=self)

    @property
    def num_edge_types(self) -> int:
        """Number of relations of the whole graph, which a split's edges may not all show."""
        known = self.__dict__["_store"].get("num_relations")
        return super().num_edge_types if known is None else int(torch.as_tensor(known).max())

    @property
    def n_id(self) -> Tensor:
        """Of a part that a sampler drew: the ids that its entities have in the whole graph, shape ``[n]``."""
        return self._store.n_id

    @n_id.setter
    def n_id(self, ids: Tensor) -> None:
        # a sampler has cut the tensors; this is the first that is heard of which entities they are
        for key, value in list(self._store.items()):
            if key in NODE and isinstance(value, list):
                self._store[key] = [value[i] for i in ids.tolist()]
        if "extra_filter" in self._store:
            self._store.extra_filter = _between(self._store.extra_filter, ids)
        self._store.n_id = ids

    def __cat_dim__(self, key: str, value, *args, **kwargs):
        return -1 if key == "extra_filter" else super().__cat_dim__(key, value, *args, **kwargs)

    def __inc__(self, key: str, value, *args, **kwargs):
        if key == "extra_filter":
            return torch.tensor([[self.num_nodes], [0], [self.num_nodes]])  # relations are shared, entities are not
        return super().__inc__(key, value, *args, **kwargs)

    def is_node_attr(self, key: str) -> bool:
        """Whether an attribute has one entry for each entity."""
        value = self._store[key]
        if isinstance(value, (list, tuple)):
            return key in NODE or (key not in EDGE | NEITHER and len(value) == self.num_nodes)
        return self._store.is_node_attr(key)

    def subgraph(self, subset: Tensor) -> KGData:
        """The graph between some entities, ids ``[n]`` or mask ``[N]``; they are renumbered in this order."""
        data = super().subgraph(subset)
        if "extra_filter" in self._store:
            ids = subset.nonzero().view(-1) if subset.dtype == torch.bool else subset
            data._store.extra_filter = _between(self._store.extra_filter, ids)
        return data


def _between(triples: Tensor, ids: Tensor) -> Tensor:
    """Those of some triples ``[3, X]`` that join some entities ``[n]``, renumbered in the order of the latter."""
    size = 1 + max((int(x.max()) for x in (triples[[0, 2]], ids) if x.numel()), default=0)
    number = torch.full((size,), -1, dtype=torch.long, device=triples.device)
    number[ids.to(triples.device)] = torch.arange(ids.numel(), device=triples.device)
    moved = torch.stack([number[triples[0]], triples[1], number[triples[2]]])  # [3, X]
    return moved[:, (moved >= 0).all(0)]
