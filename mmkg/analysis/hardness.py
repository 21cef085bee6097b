"""How hard negatives are, how that drifts, and what is left of the gradient that they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from mmkg.analysis.draws import MODALITIES
from mmkg.analysis.questions import QUESTION, checked, grouping
from mmkg.errors import DataError

VANISHED = 0.005  # of a question's gradient on its negatives, which is 0.5 at most


def drift(census: pd.DataFrame, by: str | Sequence[str] = "step") -> pd.DataFrame:
    """How hard the negatives are for the scorer, and how alike to the true answer, by default over time.

    Args:
        census: A table of :func:`mmkg.analysis.read_census`.
        by: Columns to group by.

    Returns:
        One row a group: ``source``, the columns asked for, ``negatives``, ``score``, ``positive_score``, ``gap`` (mean
        of the negative's score minus the true answer's: the higher, the harder) and ``gap_sd``, ``above`` (share of
        negatives that score above the true answer, ties count half), ``beats_uniform`` (chance that one of its
        negatives scores above a uniform one of the same question at the same step, ties half; NaN without a reference),
        and the mean similarities ``image``, ``text``, ``structure`` (NaN where there is none).
    """
    checked(census, "source", "step", "score", "positive_score", *QUESTION, *MODALITIES)
    gap = census.score - census.positive_score
    above = np.where(gap == 0, 0.5, gap > 0)
    rows, columns = grouping(census.assign(gap=gap, above=above, beats_uniform=_beats_uniform(census)), by)
    means = ("score", "positive_score", "gap", "above", "beats_uniform", *MODALITIES)
    groups = rows.groupby(columns, observed=True, sort=True)
    told = {"negatives": ("score", "size")} | {m: (m, "mean") for m in means} | {"gap_sd": ("gap", "std")}
    return groups.agg(**told).reset_index()


def _beats_uniform(census: pd.DataFrame) -> pd.Series:
    """Share of uniform negatives of the same question and step that each negative outscores, ties half."""
    keys = ["step", *QUESTION]
    group = census.groupby(keys, observed=True).ngroup()
    uniform = census.source == "uniform"
    number = uniform.groupby(group).transform("sum")  # uniform negatives of the group
    # rank among all of the group, less the rank among one's own source: how many of the other source are below
    whole = census.score.groupby(group).rank()
    own = census.score.groupby([group, uniform]).rank()
    below = (whole - own).where(~uniform)  # uniform ones below a sampler's, ties half
    share = below / number.where(number > 0)
    return share.where(~uniform, np.where(number > 0, 0.5, np.nan))


def gradients(
    census: pd.DataFrame,
    by: str | Sequence[str] = "step",
    *,
    alphas: Sequence[float] = (0.0, 0.5),
    vanished: float = VANISHED,
) -> pd.DataFrame:
    r"""What the loss still learns from negatives: the size of its slope on their scores.

    For the logistic loss over ``K`` negatives :math:`ℓ = -\frac12 [\log σ(s^+) + \sum_k w_k \log σ(-s_k)]` with
    weights :math:`w_k = \mathrm{softmax}_k(α s_k)` that carry no gradient (Sun et al., RotatE, ICLR 2019)

    .. math:: \left| \frac{∂ℓ}{∂ s_k} \right| = \frac12 w_k\, σ(s_k)

    When negatives become easy, :math:`σ(s_k) → 0` and the gradient vanishes. The weight of a triple in its batch is
    left out.

    Args:
        census: A table of :func:`mmkg.analysis.read_census`.
        by: Columns to group by.
        alphas: Temperatures of the weights, each at least 0; 0 weighs all alike (the plain logistic loss), above 0 the
            loss is self-adversarial.
        vanished: A question whose slopes add up to less has vanished; they add up to 0.5 at most.

    Returns:
        One row for each group and ``alpha``: ``source``, the columns asked for, ``questions``, ``total`` (sum over a
        question's negatives, mean over questions), ``each`` (mean over negatives), ``largest`` (of a question, mean),
        ``vanished`` (share of questions), ``on_false_at_least`` (share of the slopes of all questions that is on
        held-out facts: what is learnt wrongly; a lower bound), ``against_uniform`` (``total`` over that of uniform
        negatives with the same alpha; NaN without a reference).

    Raises:
        DataError: If the census is empty or lacks a column, or there is no alpha, or one below 0.
    """
    if not alphas or min(alphas) < 0:
        raise DataError(f"alphas {list(alphas)}", cure="give at least one, none below 0")
    checked(census, "source", "step", "score", "held_out", *QUESTION)
    rows, columns = grouping(census, by)
    question = rows.groupby([*dict.fromkeys([*columns, "step", *QUESTION])], observed=True).ngroup()
    score = rows.score.astype(float)
    parts = []
    for alpha in alphas:
        power = np.exp(alpha * (score - score.groupby(question).transform("max")))
        weight = power / power.groupby(question).transform("sum")
        slope = 0.5 * weight / (1 + np.exp(-score))
        told = rows[columns].assign(total=slope.groupby(question).transform("sum"), each=slope)
        told["on_false"] = slope.where(rows.held_out, 0.0)
        told["largest"] = slope.groupby(question).transform("max")
        of_question = told[~question.duplicated()].groupby(columns, observed=True, sort=True)
        found = of_question.agg(questions=("total", "size"), total=("total", "mean"), largest=("largest", "mean"))
        found["vanished"] = of_question.total.agg(lambda x: float((x < vanished).mean()))
        whole = told.groupby(columns, observed=True, sort=True)
        found["each"] = whole.each.mean()
        found["on_false_at_least"] = whole.on_false.sum() / whole.each.sum()
        parts.append(found.reset_index().assign(alpha=alpha))
    found = pd.concat(parts, ignore_index=True)
    others = [*columns[1:], "alpha"]
    base = found[found.source == "uniform"].set_index(others).total.rename("base")
    found = found.join(base, on=others)
    found["against_uniform"] = found.total / found.base
    measures = ["questions", "total", "each", "largest", "vanished", "on_false_at_least", "against_uniform"]
    return found[[*columns, "alpha", *measures]]


def labelled(censuses: Sequence[pd.DataFrame], setting: str) -> dict[str, pd.DataFrame]:
    """Censuses by a setting of their samplers, such as ``"gumbel_gradient"``, for :func:`compare`.

    Raises:
        DataError: If one does not say, or two have the same.
    """
    found: dict[str, pd.DataFrame] = {}
    for census in censuses:
        sampler = census.attrs.get("provenance", {}).get("sampler", {})
        if setting not in sampler:
            told = f"the census of {sampler.get('class', 'an unknown sampler')} has no setting {setting!r}"
            raise DataError(told, cure="give tables of read_census whose samplers have it")
        label = str(sampler[setting])
        if label in found:
            raise DataError(f"two censuses have {setting} {label!r}", cure="give one of each")
        found[label] = census
    return found


def compare(
    censuses: Mapping[str, pd.DataFrame], table: Callable[..., pd.DataFrame] = drift, **options
) -> pd.DataFrame:
    """One table over several censuses of the same questions, say under three settings of ``gumbel_gradient``.

    Args:
        censuses: By label, such as :func:`labelled` gives them.
        table: What to make of each: :func:`drift`, :func:`gradients`, or any other of this room.
        options: For ``table``.

    Returns:
        Its rows, with the label in the first column ``census``.

    Raises:
        DataError: If there is none, or they are of different graphs or questions: their numbers could not be compared.
    """
    if not censuses:
        raise DataError("no censuses to compare", cure="give at least one")
    first, parts = next(iter(censuses)), []
    for label, census in censuses.items():
        here, there = (c.attrs.get("provenance", {}) for c in (census, censuses[first]))
        for what in ("vocabulary", "probe"):
            if here.get(what) != there.get(what):
                problem = f"censuses {first!r} and {label!r} differ in {what}"
                raise DataError(problem, cure="take both on the same graph with the same probe and seed")
        found = table(census, **options)
        found.insert(0, "census", label)
        parts.append(found)
    return pd.concat(parts, ignore_index=True)
