"""Multimodal knowledge graphs as PyG datasets."""

from mmkg.datasets.base import MultimodalKG
from mmkg.datasets.db15k import DB15K
from mmkg.datasets.names import find_entity, find_relation
from mmkg.datasets.typed_in import from_triples
from mmkg.datasets.worldmoji import WorldMoji

__all__ = ["DB15K", "MultimodalKG", "WorldMoji", "find_entity", "find_relation", "from_triples"]
