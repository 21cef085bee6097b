"""A run's embeddings, with names, for use elsewhere."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save_file

from mmkg.errors import DataError
from mmkg.files import written_whole
from mmkg.run.run import Run
from mmkg.types import Side


@torch.no_grad()
def export(run: Run, folder: str | Path) -> list[Path]:
    """Write embeddings as Parquet (with names) and as safetensors.

    Args:
        run: A run.
        folder: Folder to write; made if missing, its files must not exist yet.

    Returns:
        The files: ``entities.parquet`` and ``relations.parquet`` with columns ``id``, ``label`` (entities only) and
        ``embedding`` (a list), and ``embeddings.safetensors`` with ``entity [N, d]`` and ``relation [R, d_r]`` in the
        same order. Of reciprocal relations these are the embeddings with which tails are asked for; those for heads
        lie beside them as the column ``embedding_head`` and as ``relation_head [R, d_r]``.
    """
    folder = Path(folder)
    paths = [folder / name for name in ("entities.parquet", "relations.parquet", "embeddings.safetensors")]
    if there := [p for p in paths if p.exists()]:
        raise DataError("exists already", file=there[0], cure="choose another folder")
    device = next(run.model.parameters()).device
    entity = run.model.entity(torch.arange(run.model.num_nodes, device=device)).cpu().contiguous()  # [N, d]
    ids = torch.arange(run.model.num_relations, device=device)  # [R]
    sides: dict[str, Side] = {"": "tail", "_head": "head"} if run.model.reciprocal else {"": "tail"}
    relation = {end: run.model.relation(ids, side).cpu().contiguous() for end, side in sides.items()}  # [R, d_r] each
    folder.mkdir(parents=True, exist_ok=True)
    names = {"id": run.data.entity_names, "label": run.data.entity_labels, "embedding": list(entity.numpy())}
    with written_whole(paths[0]) as path:
        pd.DataFrame(names).to_parquet(path, index=False)
    columns = {f"embedding{end}": list(values.numpy()) for end, values in relation.items()}
    with written_whole(paths[1]) as path:
        pd.DataFrame({"id": run.data.relation_names} | columns).to_parquet(path, index=False)
    tensors = {"entity": entity} | {f"relation{end}": values for end, values in relation.items()}
    with written_whole(paths[2]) as path:
        save_file(tensors, path, metadata={"scorer": run.config.scorer})
    return paths
