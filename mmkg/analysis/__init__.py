"""What the negatives are, why they are hard, and how to see it."""

from mmkg.analysis.comparison import Lens, choose_questions, compare_negatives
from mmkg.analysis.explanation import Explanation
from mmkg.analysis.figure import draw_negatives
from mmkg.analysis.gallery import Gallery, gallery
from mmkg.analysis.negatives import hard_negatives, named, spread, told
from mmkg.analysis.paths import Explainer, explain_negative
from mmkg.analysis.report import Report, report

__all__ = [
    "Explainer",
    "Explanation",
    "Gallery",
    "Lens",
    "Report",
    "choose_questions",
    "compare_negatives",
    "draw_negatives",
    "explain_negative",
    "gallery",
    "hard_negatives",
    "named",
    "report",
    "spread",
    "told",
]
