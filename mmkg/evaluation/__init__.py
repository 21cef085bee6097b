"""Filtered ranking, metrics, and answers to questions."""

from mmkg.evaluation.metrics import TIE_RULES, all_metrics, breakdown, groups_of, metrics
from mmkg.evaluation.predict import Prediction, compare, top_k
from mmkg.evaluation.ranking import rank
from mmkg.evaluation.scoring import score_side

__all__ = [
    "TIE_RULES",
    "Prediction",
    "all_metrics",
    "breakdown",
    "compare",
    "groups_of",
    "metrics",
    "rank",
    "score_side",
    "top_k",
]
