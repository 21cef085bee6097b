"""What a scorer is trained to do with a batch."""

import torch

from mmkg.training.objectives.k_vs_all import KvsAll
from mmkg.training.objectives.logistic import Logistic
from mmkg.training.objectives.margin import MarginRanking
from mmkg.training.objectives.one_vs_all import OneVsAll
from mmkg.training.objectives.sampled_cross_entropy import SampledCrossEntropy
from mmkg.training.objectives.self_adversarial import SelfAdversarial

OBJECTIVES: dict[str, type[torch.nn.Module]] = {
    "self_adversarial": SelfAdversarial,
    "margin": MarginRanking,
    "logistic": Logistic,
    "sampled_cross_entropy": SampledCrossEntropy,
    "one_vs_all": OneVsAll,
    "k_vs_all": KvsAll,
}
"""Objectives by the name that the command line knows them under."""

__all__ = [
    "OBJECTIVES",
    "KvsAll",
    "Logistic",
    "MarginRanking",
    "OneVsAll",
    "SampledCrossEntropy",
    "SelfAdversarial",
]
