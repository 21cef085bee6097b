"""A run joins a dataset, a model and its training; a Python user starts here, and so does the command line."""

from mmkg.run.build import DATASETS, check_names, open_dataset
from mmkg.run.config import RunConfig, SamplerConfig
from mmkg.run.curves import draw_curves
from mmkg.run.export import export
from mmkg.run.health import Check, examine
from mmkg.run.predictions import write_predictions
from mmkg.run.record import write_json
from mmkg.run.refit import refit_config, refit_data
from mmkg.run.run import Run
from mmkg.run.unseen import NEW, NewEntity, predict_new
from mmkg.samplers import SAMPLERS

__all__ = [
    "DATASETS",
    "NEW",
    "SAMPLERS",
    "Check",
    "NewEntity",
    "Run",
    "RunConfig",
    "SamplerConfig",
    "check_names",
    "draw_curves",
    "examine",
    "export",
    "open_dataset",
    "predict_new",
    "refit_config",
    "refit_data",
    "write_json",
    "write_predictions",
]
