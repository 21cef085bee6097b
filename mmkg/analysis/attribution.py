"""Which modality made a negative hard: leave one out and see its probability fall."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from mmkg.analysis.draws import MODALITIES, among, log_without, see_all
from mmkg.analysis.questions import checked, drawn_by, grouping
from mmkg.errors import DataError
from mmkg.graph import Facts
from mmkg.samplers import MMRNS
from mmkg.samplers.mmrns.distribution import temperature
from mmkg.types import SIDES, Batch

FALLS = {m: f"without_{m}" for m in MODALITIES}


def attribution(census: pd.DataFrame, by: str | Sequence[str] = "step") -> pd.DataFrame:
    r"""How much of the probability of what MMRNS drew is due to each modality.

    With :math:`p` the probability of a drawn negative and :math:`p_{-m}` the one it had if modality m were left out of
    the mixture, the fall is :math:`1 - p_{-m} / p`: 1 if nobody would draw it without m, 0 if m makes no difference,
    below 0 if m speaks against it. Draws whose probability is rounded to 0 have no fall and do not count.

    Args:
        census: A table of :func:`mmkg.analysis.read_census`, of MMRNS.
        by: Columns to group by.

    Returns:
        One row for each group and ``modality`` in use: ``source``, the columns asked for, ``negatives``, ``fall``
        (mean), ``fall_median``, ``decisive`` (share of negatives whose fall without this modality is the greatest, and
        above 0).

    Raises:
        DataError: If the sampler compares nothing by modality.
    """
    rows = drawn_by(checked(census, "source", "probability", *FALLS.values()), "sampler")
    used = [m for m, column in FALLS.items() if rows[column].notna().any()]
    if not used:
        sampler = census.attrs.get("provenance", {}).get("sampler", {}).get("class", "the sampler")
        raise DataError(f"{sampler} tells of no modality", cure="take a census of MMRNS")
    falls = pd.DataFrame({m: 1 - rows[FALLS[m]] / rows.probability for m in used}).where(rows.probability > 0)
    best = falls.fillna(-np.inf).idxmax(axis=1).where(falls.max(axis=1) > 0)
    parts = []
    for m in used:
        told, columns = grouping(rows.assign(fall=falls[m], decisive=best == m), by)
        groups = told[told.fall.notna()].groupby(columns, observed=True, sort=True)
        found = groups.fall.agg(negatives="size", fall="mean", fall_median="median")
        found["decisive"] = groups.decisive.mean()
        parts.append(found.reset_index().assign(modality=m))
    found = pd.concat(parts, ignore_index=True)
    return found[[*columns, "modality", "negatives", "fall", "fall_median", "decisive"]]


@torch.no_grad()
def attribute(
    sampler: MMRNS,
    model: torch.nn.Module,
    table: pd.DataFrame,
    train_facts: Facts,
    *,
    step: int = 0,
    batch_size: int = 64,
    chunk_size: int = 2048,
) -> pd.DataFrame:
    """The same for given negatives of a trained sampler, among all entities.

    Args:
        sampler: A trained MMRNS sampler.
        model: The scorer that it was trained with.
        table: Negatives as :func:`mmkg.analysis.hard_negatives` gives them: ids ``head``, ``relation``, ``tail``,
            ``side`` and ``negative``.
        train_facts: What the sampler may know.
        step: Training step for the temperature.
        batch_size: Questions looked at together.
        chunk_size: Candidates looked at together.

    Returns:
        The table with ``probability`` (among all entities that are no known answers) and ``without_image``,
        ``without_text``, ``without_structure``: the probability had that modality been left out; NaN for one that is
        not in use.

    Raises:
        DataError: If the sampler is not MMRNS, the table is empty, or a column is missing or a side none.
    """
    if not isinstance(sampler, MMRNS):
        raise DataError(f"{type(sampler).__name__} compares nothing by modality", cure="give an MMRNS sampler")
    checked(table, "head", "relation", "tail", "side", "negative")
    if wrong := set(table.side) - set(SIDES):
        raise DataError(f"side {sorted(map(str, wrong))[0]!r}", cure="choose head or tail")
    device = next(model.parameters()).device
    facts = train_facts.to(device)
    epsilon = temperature(sampler.epsilon, step, sampler.epsilon_schedule)
    parts, order = [], []
    for side in SIDES:
        rows = np.flatnonzero(table.side == side)  # places: an index may name several rows alike
        for start in range(0, len(rows), batch_size):
            order.append(rows[start : start + batch_size])
            part = table.iloc[order[-1]]
            ids = torch.tensor(part[["head", "relation", "tail", "negative"]].to_numpy(), dtype=torch.long).to(device)
            seen = see_all(sampler, Batch(*ids[:, :3].unbind(1)), side, model, facts, step, chunk_size)
            found = {"probability": among(seen.log_p, seen.allowed)}
            for m in MODALITIES:
                found[FALLS[m]] = (
                    among(log_without(seen, m, epsilon, sampler.missing), seen.allowed)
                    if m in seen.similarities
                    else torch.full_like(seen.log_p, torch.nan)
                )
            told = {k: v.gather(1, ids[:, 3:])[:, 0].exp().cpu().numpy() for k, v in found.items()}
            parts.append(part.assign(**told))
    return pd.concat(parts).iloc[np.argsort(np.concatenate(order))]
