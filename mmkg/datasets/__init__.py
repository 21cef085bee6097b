"""Multimodal knowledge graphs as PyG datasets."""

from mmkg.datasets.base import MultimodalKG
from mmkg.datasets.convert import from_networkx, from_pandas, to_networkx, to_pandas, to_pykeen
from mmkg.datasets.db15k import DB15K
from mmkg.datasets.fb15k import FB15K
from mmkg.datasets.fb15k_237 import FB15k_237
from mmkg.datasets.folder import MultimodalFolder
from mmkg.datasets.inductive import InductiveSplit, hold_out
from mmkg.datasets.mkg_w import MKG_W
from mmkg.datasets.mkg_y import MKG_Y
from mmkg.datasets.typed_in import from_triples
from mmkg.datasets.wn18 import WN18
from mmkg.datasets.wn18rr import WN18RR
from mmkg.datasets.worldmoji import WorldMoji
from mmkg.graph.names import find_entity, find_relation

__all__ = [
    "DB15K",
    "FB15K",
    "MKG_W",
    "MKG_Y",
    "WN18",
    "WN18RR",
    "FB15k_237",
    "InductiveSplit",
    "MultimodalFolder",
    "MultimodalKG",
    "WorldMoji",
    "find_entity",
    "find_relation",
    "from_networkx",
    "from_pandas",
    "from_triples",
    "hold_out",
    "to_networkx",
    "to_pandas",
    "to_pykeen",
]
