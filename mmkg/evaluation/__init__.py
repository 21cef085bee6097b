"""Filtered ranking, metrics and how sure they are, triple classification, and answers to questions."""

from mmkg.evaluation.classify import Thresholds, corrupt, fit_thresholds, triple_classification
from mmkg.evaluation.controls import Chance, NearestNeighbour, RelationFrequency, RelationMean
from mmkg.evaluation.evaluate import Evaluation, evaluate, unseen
from mmkg.evaluation.inductive import rank_unseen, unseen_summary
from mmkg.evaluation.metrics import TIE_RULES, adjusted_metrics, all_metrics, breakdown, groups_of, metrics
from mmkg.evaluation.predict import Prediction, compare, top_k, top_k_each, top_relations
from mmkg.evaluation.ranking import rank
from mmkg.evaluation.scoring import score_side
from mmkg.evaluation.significance import bootstrap, paired_test
from mmkg.evaluation.together import rank_together

__all__ = [
    "TIE_RULES",
    "Chance",
    "Evaluation",
    "NearestNeighbour",
    "Prediction",
    "RelationFrequency",
    "RelationMean",
    "Thresholds",
    "adjusted_metrics",
    "all_metrics",
    "bootstrap",
    "breakdown",
    "compare",
    "corrupt",
    "evaluate",
    "fit_thresholds",
    "groups_of",
    "metrics",
    "paired_test",
    "rank",
    "rank_together",
    "rank_unseen",
    "score_side",
    "top_k",
    "top_k_each",
    "top_relations",
    "triple_classification",
    "unseen",
    "unseen_summary",
]
