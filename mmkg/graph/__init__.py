"""What the triples alone say: known facts as filter masks."""

from mmkg.graph.facts import Facts

__all__ = ["Facts"]
