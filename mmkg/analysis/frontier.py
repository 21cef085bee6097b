"""The frontier between hardness and falseness: what a temperature buys, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from mmkg.analysis.draws import among, see_all
from mmkg.analysis.falseness import wilson
from mmkg.errors import DataError
from mmkg.evaluation import score_side
from mmkg.evaluation.scoring import asking
from mmkg.graph import Facts
from mmkg.samplers import MMRNS
from mmkg.samplers.mmrns.distribution import log_mixture
from mmkg.types import SIDES, Batch, Side

EPSILONS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@torch.no_grad()
def frontier(
    sampler: MMRNS,
    model: torch.nn.Module,
    triples: Tensor,
    data,
    *,
    epsilons: Sequence[float] = EPSILONS,
    splits: Sequence[str] = ("val",),
    sides: Sequence[Side] = SIDES,
    batch_size: int = 32,
    chunk_size: int = 2048,
) -> pd.DataFrame:
    r"""Expected hardness and falseness of MMRNS's negatives at several temperatures, exactly and without a draw.

    A small :math:`ε` draws what is most alike to the answer: harder, and more often true. For each question the
    distribution p over all entities that are no known train answers gives the expectation of one draw.

    Args:
        sampler: A trained MMRNS sampler.
        model: The scorer that it was trained with.
        triples: Questions, ids (h, r, t) of shape ``[Q, 3]``, such as train triples.
        data: The whole graph.
        epsilons: Temperatures, above 0.
        splits: Whose facts make a negative false, out of "val" and "test". By validation alone, the default, ε may be
            chosen; with test among them the table is for reports, and :func:`choose_epsilon` refuses it.
        sides: Which sides to replace.
        batch_size: Questions looked at together.
        chunk_size: Candidates looked at together.

    Returns:
        One row a temperature: ``epsilon``, ``questions``, ``above`` (chance that a negative scores above the true
        answer), ``gap`` (expected score less the true answer's), ``false_at_least`` (chance that it is a held-out fact;
        a lower bound), ``low`` and ``high`` (Wilson's interval as of one draw a question), ``entropy`` (nats, mean) and
        ``effective`` (:math:`e` to it); ``attrs["splits"]``.

    Raises:
        DataError: If there are no triples, a temperature or a split is none, or the sampler is not MMRNS.
    """
    if not isinstance(sampler, MMRNS):
        raise DataError(f"{type(sampler).__name__} has no temperature", cure="give an MMRNS sampler")
    if not len(triples) or not epsilons or min(epsilons) <= 0:
        told = f"{len(triples)} triples, temperatures {list(epsilons)}"
        raise DataError(told, cure="give at least one of each, temperatures above 0")
    if not splits or set(splits) - {"val", "test"}:
        raise DataError(f"splits {list(splits)}", cure="choose out of val and test")
    device = next(model.parameters()).device
    train = Facts.from_data(data, ("train",)).to(device)
    held_out = _facts_of(data, splits).to(device)
    sums = torch.zeros(len(epsilons), 4, dtype=torch.float64)  # above, gap, false, entropy
    questions = 0
    with asking(model):
        for part in triples.to(device).split(batch_size):
            batch = Batch(*part.unbind(1))
            for side in sides:
                seen = see_all(sampler, batch, side, model, train, 0, chunk_size)
                inside = seen.log_p > -torch.inf  # [b, N], a question's own candidates
                some = seen.allowed.any(dim=1)  # [b], questions with a candidate
                scores = score_side(model, batch, side)  # [b, N]
                gap = scores - scores.gather(1, batch.answer(side)[:, None])  # [b, N]
                above = torch.where(gap == 0, 0.5, (gap > 0).to(gap))  # [b, N]
                false = held_out.mask(batch, side).to(gap)  # [b, N]
                for at, epsilon in enumerate(epsilons):
                    log_p = log_mixture(seen.similarities, seen.shared, epsilon, sampler.missing, inside)  # [b, N]
                    p = among(log_p, seen.allowed).exp()[some]  # [b', N]
                    measures = [(p * x[some]).sum() for x in (above, gap, false)] + [torch.special.entr(p).sum()]
                    sums[at] += torch.stack(measures).cpu()
                questions += int(some.sum())
    if not questions:
        raise DataError("no question has a candidate: all entities are known answers", cure="ask about other triples")
    mean = sums / questions
    low, high = wilson(sums[:, 2].numpy(), [questions] * len(epsilons))
    found = pd.DataFrame(
        {
            "epsilon": list(epsilons),
            "questions": questions,
            "above": mean[:, 0],
            "gap": mean[:, 1],
            "false_at_least": mean[:, 2],
            "low": low,
            "high": high,
            "entropy": mean[:, 3],
            "effective": mean[:, 3].exp(),
        }
    )
    found.attrs["splits"] = list(splits)
    return found


def choose_epsilon(table: pd.DataFrame, false_at_most: float) -> float:
    """The temperature with the hardest negatives among those that are false seldom enough.

    Args:
        table: A frontier by validation facts alone.
        false_at_most: Largest ``false_at_least``.

    Returns:
        The ``epsilon`` of the largest ``above``, then of the largest ``gap``.

    Raises:
        DataError: If the table looked at test, which nothing may be chosen by, or no temperature is good enough.
    """
    if "test" in table.attrs.get("splits", ()):
        raise DataError("this frontier looked at test facts", cure='choose by one with splits=("val",)')
    good = table[table.false_at_least <= false_at_most]
    if not len(good):
        best = float(table.false_at_least.min())
        raise DataError(f"no temperature has {false_at_most:.2%} at most, the least is {best:.2%}", cure="allow more")
    return float(good.sort_values(["above", "gap"]).epsilon.iloc[-1])


def _facts_of(data, splits: Sequence[str]) -> Facts:
    """Facts of these splits and no others."""
    keep = torch.zeros_like(data.edge_type, dtype=torch.bool)
    for split in splits:
        keep |= data[f"{split}_mask"]
    h, t = data.edge_index[:, keep]
    return Facts(h, data.edge_type[keep], t, int(data.num_nodes), int(data.num_relations))
