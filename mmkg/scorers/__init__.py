"""KGE scorers: PyG models that score triples and candidates."""

from mmkg.scorers.autosf import AutoSF
from mmkg.scorers.base import Scorer
from mmkg.scorers.bilinear import BilinearScorer
from mmkg.scorers.complex import ComplEx
from mmkg.scorers.cp import CP
from mmkg.scorers.distance import DistanceScorer
from mmkg.scorers.distmult import DistMult
from mmkg.scorers.extended import Extended
from mmkg.scorers.fusion import FUSIONS
from mmkg.scorers.multimodal import FusedEntities, fuse
from mmkg.scorers.mure import MuRE
from mmkg.scorers.pairre import PairRE
from mmkg.scorers.protate import PRotatE
from mmkg.scorers.quate import QuatE
from mmkg.scorers.rescal import RESCAL
from mmkg.scorers.rotate import RotatE
from mmkg.scorers.simple import SimplE
from mmkg.scorers.transd import TransD
from mmkg.scorers.transe import TransE
from mmkg.scorers.transh import TransH
from mmkg.scorers.tucker import TuckER
from mmkg.scorers.unseen import UnseenEntities

SCORERS: dict[str, type[Scorer]] = {
    "transe": TransE,
    "transh": TransH,
    "transd": TransD,
    "rotate": RotatE,
    "protate": PRotatE,
    "pairre": PairRE,
    "mure": MuRE,
    "distmult": DistMult,
    "complex": ComplEx,
    "quate": QuatE,
    "rescal": RESCAL,
    "tucker": TuckER,
    "cp": CP,
    "simple": SimplE,
    "autosf": AutoSF,
}
"""Scorers by the name that the command line knows them under."""

__all__ = [
    "CP",
    "FUSIONS",
    "RESCAL",
    "SCORERS",
    "AutoSF",
    "BilinearScorer",
    "ComplEx",
    "DistMult",
    "DistanceScorer",
    "Extended",
    "FusedEntities",
    "MuRE",
    "PRotatE",
    "PairRE",
    "QuatE",
    "RotatE",
    "Scorer",
    "SimplE",
    "TransD",
    "TransE",
    "TransH",
    "TuckER",
    "UnseenEntities",
    "fuse",
]
