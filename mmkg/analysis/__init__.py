"""What the negatives are, why they are hard, and how to see it."""

from mmkg.analysis.attribution import attribute, attribution
from mmkg.analysis.census import Census, read_census
from mmkg.analysis.comparison import Lens, choose_questions, compare_negatives
from mmkg.analysis.diversity import entropy, popularity, repeats
from mmkg.analysis.explanation import Explanation
from mmkg.analysis.falseness import false_negatives, wilson
from mmkg.analysis.figure import draw_negatives
from mmkg.analysis.frontier import choose_epsilon, frontier
from mmkg.analysis.gallery import Gallery, gallery
from mmkg.analysis.hardness import compare, drift, gradients, labelled
from mmkg.analysis.negatives import hard_negatives, named, spread, told
from mmkg.analysis.paths import Explainer, explain_negative
from mmkg.analysis.recorder import Recorder
from mmkg.analysis.report import Report, report

__all__ = [
    "Census",
    "Explainer",
    "Explanation",
    "Gallery",
    "Lens",
    "Recorder",
    "Report",
    "attribute",
    "attribution",
    "choose_epsilon",
    "choose_questions",
    "compare",
    "compare_negatives",
    "draw_negatives",
    "drift",
    "entropy",
    "explain_negative",
    "false_negatives",
    "frontier",
    "gallery",
    "gradients",
    "hard_negatives",
    "labelled",
    "named",
    "popularity",
    "read_census",
    "repeats",
    "report",
    "spread",
    "told",
    "wilson",
]
