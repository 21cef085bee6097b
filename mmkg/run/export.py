"""A run's embeddings, with names, for use elsewhere."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save_file

from mmkg.errors import DataError
from mmkg.run.run import Run


@torch.no_grad()
def export(run: Run, folder: str | Path) -> list[Path]:
    """Write embeddings as Parquet (with names) and as safetensors.

    Args:
        run: A run.
        folder: Folder to write; made if missing, its files must not exist yet.

    Returns:
        The files: ``entities.parquet`` and ``relations.parquet`` with columns ``id``, ``label`` (entities only) and
        ``embedding`` (a list), and ``embeddings.safetensors`` with ``entity [N, d]`` and ``relation [R, d_r]`` in the
        same order.
    """
    folder = Path(folder)
    paths = [folder / name for name in ("entities.parquet", "relations.parquet", "embeddings.safetensors")]
    if there := [p for p in paths if p.exists()]:
        raise DataError("exists already", file=there[0], cure="choose another folder")
    device = next(run.model.parameters()).device
    entity = run.model.entity(torch.arange(run.model.num_nodes, device=device)).cpu().contiguous()  # [N, d]
    relation = run.model.relation(torch.arange(run.model.num_relations, device=device)).cpu().contiguous()  # [R, d_r]
    folder.mkdir(parents=True, exist_ok=True)
    names = {"id": run.data.entity_names, "label": run.data.entity_labels, "embedding": list(entity.numpy())}
    pd.DataFrame(names).to_parquet(paths[0], index=False)
    pd.DataFrame({"id": run.data.relation_names, "embedding": list(relation.numpy())}).to_parquet(paths[1], index=False)
    save_file({"entity": entity, "relation": relation}, paths[2], metadata={"scorer": run.config.scorer})
    return paths
