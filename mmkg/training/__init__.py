"""Objectives, trainer, checkpoints and settings."""

from mmkg.training.batches import Batches, subsampling_weights
from mmkg.training.callbacks import Callback
from mmkg.training.checkpoint import Checkpoints, load_tree, save_tree
from mmkg.training.config import TrainConfig
from mmkg.training.interrupt import TrainingInterrupted
from mmkg.training.objectives import (
    OBJECTIVES,
    KvsAll,
    Logistic,
    MarginRanking,
    OneVsAll,
    SampledCrossEntropy,
    SelfAdversarial,
)
from mmkg.training.optimizers import OPTIMIZERS, RowAdagrad, RowAdam
from mmkg.training.processes import process_number
from mmkg.training.regularisers import DURA, L2, N3, REGULARISERS
from mmkg.training.reports import Reports
from mmkg.training.result import TrainResult
from mmkg.training.seeds import stream
from mmkg.training.step import StepLoss
from mmkg.training.tracking import TRACKERS, Tracking, check_trackers
from mmkg.training.trainer import Trainer
from mmkg.training.warm_start import warm_start

__all__ = [
    "DURA",
    "L2",
    "N3",
    "OBJECTIVES",
    "OPTIMIZERS",
    "REGULARISERS",
    "TRACKERS",
    "Batches",
    "Callback",
    "Checkpoints",
    "KvsAll",
    "Logistic",
    "MarginRanking",
    "OneVsAll",
    "Reports",
    "RowAdagrad",
    "RowAdam",
    "SampledCrossEntropy",
    "SelfAdversarial",
    "StepLoss",
    "Tracking",
    "TrainConfig",
    "TrainResult",
    "Trainer",
    "TrainingInterrupted",
    "check_trackers",
    "load_tree",
    "process_number",
    "save_tree",
    "stream",
    "subsampling_weights",
    "warm_start",
]
