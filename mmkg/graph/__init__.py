"""What the triples alone say: known facts as filter masks, relation categories."""

from mmkg.graph.categories import relation_categories
from mmkg.graph.facts import Facts

__all__ = ["Facts", "relation_categories"]
