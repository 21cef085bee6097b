"""A run joins a dataset, a model and its training; a Python user starts here, and so does the command line."""

from mmkg.run.build import DATASETS, SAMPLERS, open_dataset
from mmkg.run.config import RunConfig, SamplerConfig
from mmkg.run.export import export
from mmkg.run.record import write_json
from mmkg.run.run import Run
from mmkg.run.unseen import NEW, NewEntity, predict_new

__all__ = [
    "DATASETS",
    "NEW",
    "SAMPLERS",
    "NewEntity",
    "Run",
    "RunConfig",
    "SamplerConfig",
    "export",
    "open_dataset",
    "predict_new",
    "write_json",
]
