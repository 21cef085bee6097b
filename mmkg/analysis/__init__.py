"""What the negatives are, why they are hard, and how to see it."""

from mmkg.analysis.figure import draw_negatives
from mmkg.analysis.negatives import hard_negatives, named, spread, told

__all__ = ["draw_negatives", "hard_negatives", "named", "spread", "told"]
