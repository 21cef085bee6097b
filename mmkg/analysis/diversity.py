"""A sampler's health: how many negatives it chooses from, how often it repeats itself, whom it favours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from mmkg.analysis.census_rows import entity_degrees
from mmkg.analysis.questions import QUESTION, checked, drawn_by, grouping
from mmkg.errors import DataError


def entropy(census: pd.DataFrame, by: str | Sequence[str] = "step") -> pd.DataFrame:
    r"""Entropy of the sampler's distributions and the effective number of negatives :math:`e^H`.

    MMRNS tells the entropy of each question's distribution over its candidates exactly. For other samplers that give
    probabilities it is estimated, without bias, by the mean of :math:`-\log p` over first draws.

    Args:
        census: A table of :func:`mmkg.analysis.read_census`.
        by: Columns to group by.

    Returns:
        One row a group: ``source``, the columns asked for, ``questions``, ``entropy`` (mean over questions, in nats),
        ``effective`` (:math:`e` to the mean: as many equally likely negatives have this entropy), ``how`` ("exact" or
        "first draws"). The sampler's draws only: of the reference it is known to be uniform.

    Raises:
        DataError: If the census is empty or the sampler gives no probabilities.
    """
    rows = drawn_by(checked(census, "source", "place", "probability", "entropy"), "sampler")
    first = rows[rows.place == 0]
    exact = first.entropy.notna()
    if not (exact | first.probability.notna()).any():
        cure = "repeats() and popularity() need none"
        raise DataError("the sampler tells no probabilities, so its entropy is not known", cure=cure)
    estimated = -np.log(first.probability.where(first.probability > 0))
    first = first.assign(nats=first.entropy.where(exact, estimated), exact=exact)
    first, columns = grouping(first[first.nats.notna()], by)
    groups = first.groupby(columns, observed=True, sort=True)
    found = groups.agg(questions=("nats", "size"), entropy=("nats", "mean"), exact=("exact", "all")).reset_index()
    found["effective"] = np.exp(found.entropy)
    found["how"] = np.where(found.exact, "exact", "first draws")
    return found.drop(columns="exact")


def repeats(census: pd.DataFrame) -> pd.DataFrame:
    """How often the same negative comes again for the same question.

    Args:
        census: A table of :func:`mmkg.analysis.read_census`.

    Returns:
        One row for each source and step: ``negatives``, ``within`` (share of draws that repeat an earlier draw of the
        same probe), ``since_last`` (share that the previous probe had drawn for the question), ``ever`` (share that any
        earlier probe had). The last two are NaN at the first step.
    """
    rows = checked(census, "source", "step", "negative", *QUESTION)
    parts = []
    for source, part in rows.groupby("source", observed=True, sort=True):
        pair = part.groupby([*QUESTION, "negative"], observed=True).ngroup().to_numpy()  # [n]
        steps, at = np.unique(part.step, return_inverse=True)  # [S], [n]
        key = pair * (len(steps) + 1) + at + 1  # [n], the place before a pair's first step stays free
        first = np.full(pair.max() + 1, len(steps))
        np.minimum.at(first, pair, at)
        told = part.assign(
            within=pd.Series(key, part.index).duplicated(), since_last=np.isin(key - 1, key), ever=first[pair] < at
        )
        found = told.groupby("step", sort=True).agg(
            negatives=("negative", "size"),
            within=("within", "mean"),
            since_last=("since_last", "mean"),
            ever=("ever", "mean"),
        )
        found.loc[found.index[0], ["since_last", "ever"]] = np.nan
        parts.append(found.reset_index().assign(source=source))
    found = pd.concat(parts, ignore_index=True)
    return found[["source", "step", "negatives", "within", "since_last", "ever"]]


def popularity(census: pd.DataFrame, data, by: str | Sequence[str] = "step") -> pd.DataFrame:
    """Whether a sampler favours entities with many links.

    Args:
        census: A table of :func:`mmkg.analysis.read_census`.
        data: The graph, for the degrees of those that were never drawn.
        by: Columns to group by.

    Returns:
        One row a group: ``source``, the columns asked for, ``negatives``, ``distinct`` (entities drawn), ``spearman``
        (rank correlation, over all entities, of how often each was drawn with its number of train triples; NaN where
        either is constant), ``mean_degree`` of what was drawn, ``uniform_degree`` and ``ratio`` of the two.
        ``uniform_degree`` is that of the reference's draws in the same group or, without a reference, of all entities;
        ``against`` says which.

    Raises:
        DataError: If the census is empty, lacks a column, or holds an entity that the graph does not.
    """
    degree = entity_degrees(data).numpy()  # [N]
    rows, columns = grouping(checked(census, "source", "negative"), by)
    if int(rows.negative.max()) >= len(degree):
        problem = f"entity {int(rows.negative.max())} in the census, {len(degree)} in the graph"
        raise DataError(problem, cure="give the graph that the census was taken on")
    found = []
    for values, part in rows.groupby(columns, observed=True, sort=True):
        drawn = part.negative.to_numpy()
        count = np.bincount(drawn, minlength=len(degree))  # [N]
        varied = count.min() < count.max() and degree.min() < degree.max()
        told: dict[str, float] = {"negatives": len(drawn), "distinct": int((count > 0).sum())}
        told["spearman"] = float(spearmanr(degree, count).statistic) if varied else np.nan
        found.append(dict(zip(columns, values, strict=True)) | told | {"mean_degree": float(degree[drawn].mean())})
    table, others = pd.DataFrame(found), columns[1:]
    base = table[table.source == "uniform"]
    if not len(base):
        table["uniform_degree"] = float(degree.mean())
    elif others:
        table = table.join(base.set_index(others).mean_degree.rename("uniform_degree"), on=others)
    else:
        table["uniform_degree"] = base.mean_degree.iloc[0]
    table["ratio"] = table.mean_degree / table.uniform_degree
    table["against"] = "reference" if len(base) else "all entities"
    return table
