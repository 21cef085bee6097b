"""Negative samplers: what to set against a true triple."""

from mmkg.samplers.base import NegativeSampler
from mmkg.samplers.bernoulli import BernoulliSampler
from mmkg.samplers.frequency import FrequencySampler
from mmkg.samplers.in_batch import InBatchSampler
from mmkg.samplers.kbgan import KBGAN
from mmkg.samplers.mmrns import MMRNS, PUBLISHED, Explanation
from mmkg.samplers.nscaching import NSCaching
from mmkg.samplers.sans import SANS
from mmkg.samplers.typed import TypedSampler
from mmkg.samplers.uniform import UniformSampler

__all__ = [
    "KBGAN",
    "MMRNS",
    "PUBLISHED",
    "SANS",
    "BernoulliSampler",
    "Explanation",
    "FrequencySampler",
    "InBatchSampler",
    "NSCaching",
    "NegativeSampler",
    "TypedSampler",
    "UniformSampler",
]
