"""Negative samplers: what to set against a true triple."""

from mmkg.samplers.base import NegativeSampler
from mmkg.samplers.mmrns import MMRNS, PUBLISHED, Explanation
from mmkg.samplers.replay import Replay
from mmkg.samplers.uniform import UniformSampler

__all__ = ["MMRNS", "PUBLISHED", "Explanation", "NegativeSampler", "Replay", "UniformSampler"]
