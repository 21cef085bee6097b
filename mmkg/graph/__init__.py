"""What the triples alone say: known facts as filter masks, relation categories, rules, the audit of a dataset."""

from mmkg.graph.audit import Audit, audit
from mmkg.graph.categories import relation_categories
from mmkg.graph.facts import Facts
from mmkg.graph.inverse import relation_rules

__all__ = ["Audit", "Facts", "audit", "relation_categories", "relation_rules"]
