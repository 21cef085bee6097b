"""What the negatives are, why they are hard, and how to see it."""

from mmkg.analysis.census import Census, read_census
from mmkg.analysis.explanation import Explanation
from mmkg.analysis.figure import draw_negatives
from mmkg.analysis.negatives import hard_negatives, named, spread, told
from mmkg.analysis.paths import Explainer, explain_negative
from mmkg.analysis.recorder import Recorder

__all__ = [
    "Census",
    "Explainer",
    "Explanation",
    "Recorder",
    "draw_negatives",
    "explain_negative",
    "hard_negatives",
    "named",
    "read_census",
    "spread",
    "told",
]
