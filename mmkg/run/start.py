"""Start a run from the embeddings of an earlier one."""

from __future__ import annotations

import json
from pathlib import Path

from mmkg.errors import DataError
from mmkg.run import folder as names
from mmkg.run.config import RunConfig
from mmkg.scorers import Scorer
from mmkg.training import load_tree, warm_start


def start_from(config: RunConfig, model: Scorer, data) -> dict[str, int] | None:
    """Copy embeddings from the run that the settings name, matched by name.

    Args:
        config: Settings; nothing is done without a ``warm_start``.
        model: Scorer to change.
        data: Graph with ``entity_names`` and ``relation_names``.

    Returns:
        How many entities and relations were found there, or None.

    Raises:
        DataError: If the earlier run is not whole, or of another scorer or margin: its embeddings would mean
            something else.
    """
    if config.warm_start is None:
        return None
    folder = Path(config.warm_start)
    earlier = RunConfig.load(folder / names.CONFIG)
    for name in ("scorer", "dim", "margin", "reciprocal"):
        then, now = getattr(earlier, name), getattr(config, name)
        if then != now:
            raise DataError(f"{name} {then!r} in the earlier run, {now!r} here", file=folder, cure="use the same")
    tensors, _ = load_tree(folder / names.MODEL)
    try:
        vocabulary = json.loads((folder / names.NAMES).read_text(encoding="utf-8"))
        entities, relations = vocabulary["entities"], vocabulary["relations"]
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        problem = f"no names ({error})"
        raise DataError(problem, file=folder / names.NAMES, cure="give the folder of a whole run") from None
    return warm_start(
        model,
        tensors["model.node_emb.weight"],
        entities,
        tensors["model.rel_emb.weight"],
        relations,
        own_entity_names=data.entity_names,
        own_relation_names=data.relation_names,
    )
