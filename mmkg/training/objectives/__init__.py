"""What a scorer is trained to do with a batch."""

import torch

from mmkg.training.objectives.one_vs_all import OneVsAll
from mmkg.training.objectives.self_adversarial import SelfAdversarial

OBJECTIVES: dict[str, type[torch.nn.Module]] = {"self_adversarial": SelfAdversarial, "one_vs_all": OneVsAll}
"""Objectives by the name that the command line knows them under."""

__all__ = ["OBJECTIVES", "OneVsAll", "SelfAdversarial"]
