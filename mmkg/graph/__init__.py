"""What the triples alone say: known facts as filter masks, relation categories and patterns, the audit of a dataset."""

from mmkg.graph.audit import Audit, audit
from mmkg.graph.categories import relation_categories
from mmkg.graph.facts import Facts
from mmkg.graph.inverse import relation_rules
from mmkg.graph.pattern_table import Patterns
from mmkg.graph.patterns import mine_patterns

__all__ = ["Audit", "Facts", "Patterns", "audit", "mine_patterns", "relation_categories", "relation_rules"]
