"""Training once more, on train and validation together, for as long as an earlier run found best on validation."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import torch

from mmkg.errors import DataError
from mmkg.graph import Facts
from mmkg.run import folder as names
from mmkg.run.config import RunConfig


def refit_data(data):
    """The same graph with its validation triples among the train triples, and none left for validation.

    Args:
        data: Graph with ``train_mask``, ``val_mask`` and ``test_mask``; it stays as it is. Test triples stay what they
            are.

    Raises:
        DataError: If a validation triple is a test triple as well, as in DB15K's published split.
    """
    triples = torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], dim=1)  # [E, 3]
    test = Facts(*triples[data.test_mask].unbind(1), int(data.num_nodes), int(data.num_relations))
    both = int(test.contains(*triples[data.val_mask].unbind(1)).sum())
    if both:
        problem = f"{both} validation triples are test triples: a refit would be trained on them"
        raise DataError(problem, cure="choose another split, such as DB15K's split_policy clean")
    joined = copy.copy(data)
    joined.train_mask = data.train_mask | data.val_mask
    joined.val_mask = torch.zeros_like(data.val_mask)
    return joined


def refit_config(folder: str | Path, seed: int | None = None) -> RunConfig:
    """Settings of a refit: those of a run that was selected on validation, and its number of epochs.

    Args:
        folder: Folder of a whole run with validation.
        seed: Another seed than that run's.

    Returns:
        Settings that train on train and validation for as many epochs as were best on validation, rounded, at least 1.

    Raises:
        DataError: If there is no whole run, it had no validation, or its rates fell by a schedule whose end it was not
            selected at: fewer epochs would then fall faster.
    """
    folder = Path(folder)
    config = RunConfig.load(folder / names.CONFIG)
    try:
        result = json.loads((folder / names.RESULT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("training has not ended", file=folder, cure="go on with mmkg train … --resume") from None
    if config.refit or not config.train.validate_every:
        raise DataError("the run chose nothing on validation", file=folder, cure="train with validate_every above 0")
    if config.train.schedule != "constant" and result["best_step"] != result["steps"]:
        problem = f"best at step {result['best_step']} of {result['steps']} under a {config.train.schedule} schedule"
        raise DataError(problem, file=folder / names.RESULT, cure="choose the epochs with schedule constant")
    per_epoch = result.get("steps_per_epoch")
    if not per_epoch:
        raise DataError("no steps_per_epoch", file=folder / names.RESULT, cure="train anew with this version")
    epochs = max(1, round(result["best_step"] / per_epoch))
    every = config.train.checkpoint_every
    if config.train.epochs is None:  # was counted in steps
        every = round(every / per_epoch)
    seed = config.train.seed if seed is None else seed
    train = replace(
        config.train, epochs=epochs, validate_every=0, patience=None, checkpoint_every=max(1, every), seed=seed
    )
    return replace(config, train=train, refit=True)
