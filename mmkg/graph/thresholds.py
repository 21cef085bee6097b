"""From where on a rule between relations counts."""

from __future__ import annotations

from dataclasses import dataclass

from mmkg.errors import DataError


@dataclass(frozen=True)
class Thresholds:
    """The least that is asked of a rule; see :func:`mmkg.graph.mine_patterns` for what is measured."""

    min_support: int = 5
    min_confidence: float = 0.6
    min_pca: float = 0.0
    min_head_coverage: float = 0.0
    min_antisymmetry: float = 0.95

    def __post_init__(self) -> None:
        if self.min_support < 1:
            raise DataError(f"min_support is {self.min_support}", cure="give at least 1")
        for name in ("min_confidence", "min_pca", "min_head_coverage", "min_antisymmetry"):
            if not 0 <= getattr(self, name) <= 1:
                raise DataError(f"{name} is {getattr(self, name)}", cure="give a share from 0 to 1")
