"""MMRNS: relation-enhanced negative sampling over image, text and structure."""

from mmkg.samplers.mmrns.explanation import Explanation
from mmkg.samplers.mmrns.options import PUBLISHED
from mmkg.samplers.mmrns.sampler import MMRNS

__all__ = ["MMRNS", "PUBLISHED", "Explanation"]
