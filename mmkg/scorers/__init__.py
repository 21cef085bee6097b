"""KGE scorers: PyG models that score triples and candidates."""

from mmkg.scorers.base import Scorer
from mmkg.scorers.bilinear import BilinearScorer
from mmkg.scorers.complex import ComplEx
from mmkg.scorers.distance import DistanceScorer
from mmkg.scorers.distmult import DistMult
from mmkg.scorers.pairre import PairRE
from mmkg.scorers.rotate import RotatE
from mmkg.scorers.transe import TransE

SCORERS: dict[str, type[Scorer]] = {
    "transe": TransE,
    "distmult": DistMult,
    "complex": ComplEx,
    "rotate": RotatE,
    "pairre": PairRE,
}
"""Scorers by the name that the command line knows them under."""

__all__ = [
    "SCORERS",
    "BilinearScorer",
    "ComplEx",
    "DistMult",
    "DistanceScorer",
    "PairRE",
    "RotatE",
    "Scorer",
    "TransE",
]
