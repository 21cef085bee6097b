"""Which entity of a graph a mention means, and which entities may be one."""

from mmkg.linking.duplicates import near_duplicates
from mmkg.linking.guided import GuidedLinker, neighbour_evidence, with_evidence
from mmkg.linking.hiding import hide_name
from mmkg.linking.mentions import Mentions
from mmkg.linking.plain import PlainLinker
from mmkg.linking.ranks import link_ranks
from mmkg.linking.search import FaissIndex, nearest, recall

__all__ = [
    "FaissIndex",
    "GuidedLinker",
    "Mentions",
    "PlainLinker",
    "hide_name",
    "link_ranks",
    "near_duplicates",
    "nearest",
    "neighbour_evidence",
    "recall",
    "with_evidence",
]
