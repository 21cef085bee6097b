"""The hardest negatives of several samplers for the same questions, side by side, as one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from mmkg.errors import DataError
from mmkg.evaluation import score_side
from mmkg.graph import Facts
from mmkg.samplers import MMRNS, NegativeSampler
from mmkg.samplers.mmrns.distribution import temperature
from mmkg.samplers.mmrns.explanation import explain_positions
from mmkg.samplers.mmrns.pool import random_pool
from mmkg.samplers.mmrns.seen import Seen
from mmkg.types import Batch, Side

MODALITIES = ("image", "text", "structure")
SPLITS = ("train", "val", "test")
SET_ASIDE = "set aside"


@dataclass
class Lens:
    """A sampler, and the model whose embeddings it reads.

    Args:
        title: What to call it.
        sampler: Where negatives come from.
        model: The scorer.
        step: Training step, for the sampler's schedules.
    """

    title: str
    sampler: NegativeSampler
    model: torch.nn.Module
    step: int = 0


@torch.no_grad()
def compare_negatives(
    lenses: Sequence[Lens],
    data,
    triples: Tensor,
    *,
    sides: Sequence[Side] = ("tail",),
    k: int = 5,
    candidates: int = 20_000,
    batch_size: int = 32,
    seed: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """The hardest negatives of some samplers for the same questions.

    Of MMRNS these are the most probable of all candidates. Any other sampler draws once, as in a step of training, and
    those of its draws are taken that its model finds most plausible. Similarities are those that MMRNS sees: the lens's
    own sampler, or else that of the first lens that is one.

    Args:
        lenses: What to compare, at least one.
        data: The graph, a PyG ``Data`` with the masks of all splits. Samplers know its train triples alone.
        triples: Ids (h, r, t) of the questions' true triples, shape ``[Q, 3]``.
        sides: Which sides to replace.
        k: Negatives a question, of each lens; fewer where a sampler draws fewer.
        candidates: Entities that MMRNS looks at; where the graph has more, some chosen by chance.
        batch_size: Triples looked at together.
        seed: Of all chance.
        progress: Whether to show a bar.

    Returns:
        One row a negative: ``question`` (its number), ``head, relation, tail, side`` (ids), ``lens`` (its number),
        ``place`` (1 = hardest), ``negative`` (id), ``probability`` (under that MMRNS; NaN without one), ``times`` (as
        often as by chance among the candidates), ``score``, ``positive_score``, ``image``, ``text``, ``structure``
        (cosine similarities to the true answer, NaN where there is none), ``through`` (the modality by which MMRNS
        gives it most of its probability, or ""), ``known`` (the split of which the "negative" is a fact, "set aside"
        for a fact in no split, "" for none).

    Raises:
        DataError: If there is nothing to compare, or k is out of range.
    """
    size = int(data.num_nodes)
    if not 1 <= k <= size:
        raise DataError(f"{k} negatives a question", cure=f"ask for 1 to {size}")
    if not len(triples) or not sides or not lenses:
        raise DataError("no triples to look at", cure="give some; the split may be empty")
    device = next(lenses[0].model.parameters()).device
    generator = torch.Generator(device=device).manual_seed(seed)
    facts, known = Facts.from_data(data).to(device), {n: f.to(device) for n, f in facts_by_split(data).items()}
    own = [i for i, lens in enumerate(lenses) if isinstance(lens.sampler, MMRNS)]
    parts, asked = [], 0
    batches = triples.to(device).split(batch_size)
    for part in tqdm(batches, desc="negatives", leave=False, disable=not progress):
        batch = Batch(*part.unbind(1))
        for side in sides:
            drawn = {i: _drawn(lens, batch, side, facts, k, generator) for i, lens in enumerate(lenses)}
            pool = random_pool(size, max(candidates, k), device, generator)  # [P]
            pool = torch.cat([pool, *(ids[ok] for ids, ok in filter(None, drawn.values()))]).unique()  # [P'], ascending
            judged = {i: _judged(lenses[i], batch, side, facts, pool) for i in own}
            for i, lens in enumerate(lenses):
                judge = judged.get(i, next(iter(judged.values()), None))
                columns = _columns(lens, batch, side, drawn[i], judge, pool, k)
                columns["known"] = standing(batch, side, columns["negative"], known)
                parts.append(_table(batch, columns, asked, side, i))
            asked += len(batch)
    table = pd.concat(parts, ignore_index=True)
    return table.sort_values(["question", "lens", "place"], ignore_index=True)


def choose_questions(triples: Tensor, number: int, pictured: Tensor | None = None) -> Tensor:
    """Some distinct triples of all relations in turn, from all over each, those with pictures at both ends first.

    Args:
        triples: Ids (h, r, t), shape ``[Q, 3]``.
        number: How many, at least 1.
        pictured: Which entities have a picture, shape ``[N]``.

    Returns:
        Shape ``[number, 3]`` at most, by relation.
    """
    frame = pd.DataFrame(triples.cpu().numpy(), columns=["head", "relation", "tail"]).drop_duplicates()
    order = frame.groupby("relation").cumcount()
    count = frame.groupby("relation")["head"].transform("size")
    take = max(1, -(-number // max(frame.relation.nunique(), 1)))
    step = (count // take).clip(lower=1)
    # every step-th of a relation comes before those between; whoever has pictures before whoever has none
    frame["between"] = order % step
    frame["bare"] = 0
    if pictured is not None:
        has = pictured.cpu().numpy()
        frame["bare"] = 2 - has[frame["head"]].astype(int) - has[frame["tail"]].astype(int)
    frame = frame.sort_values(["relation", "bare", "between"], kind="stable")
    frame["turn"] = frame.groupby("relation").cumcount()
    frame = frame.sort_values("turn", kind="stable").head(number).sort_values("relation", kind="stable")
    return torch.from_numpy(frame[["head", "relation", "tail"]].to_numpy(copy=True))


def facts_by_split(data) -> dict[str, Facts]:
    """The facts of each split by its name, and those that a split policy set aside."""
    (h, t), r = data.edge_index, data.edge_type
    keep = {split: data[f"{split}_mask"] for split in SPLITS}
    parts = {split: (h[mask], r[mask], t[mask]) for split, mask in keep.items()}
    extra = getattr(data, "extra_filter", None)
    if extra is not None and extra.numel():
        parts[SET_ASIDE] = tuple(extra)
    return {split: Facts(*part, int(data.num_nodes), int(data.num_relations)) for split, part in parts.items()}


def standing(batch: Batch, side: Side, ids: Tensor, known: dict[str, Facts]) -> np.ndarray:
    """Of which split each candidate ``[b, k]`` makes a fact, "" where of none; the first of ``known`` that has it."""
    found = np.full(tuple(ids.shape), "", dtype=object)
    for split, facts in reversed(known.items()):
        found[facts.mask(batch, side, ids).cpu().numpy()] = split
    return found


@dataclass
class _Judged:
    """What MMRNS sees of a pool, the modality ``[b, P]`` that counts most for each candidate, -1 for none."""

    seen: Seen
    through: Tensor


def _judged(lens: Lens, batch: Batch, side: Side, facts: Facts, pool: Tensor) -> _Judged:
    sampler = lens.sampler
    plan = sampler.plan(batch, side, facts, torch.Generator(pool.device), pool)
    seen = sampler.see(plan, lens.model, lens.step, sampler.chunk_size or 2048)
    epsilon = temperature(sampler.epsilon, lens.step, sampler.epsilon_schedule)
    inside, terms = seen.log_p > -torch.inf, []  # [b, P]
    for name in MODALITIES:
        if name not in seen.similarities:
            terms.append(torch.full_like(seen.log_p, -torch.inf))
            continue
        has = seen.shared[name] & inside  # [b, P]
        count = has.sum(1, keepdim=True).clamp(min=1)  # [b, 1]
        logits = (seen.similarities[name] / epsilon).masked_fill(~has & (has.sum(1, keepdim=True) > 0), -torch.inf)
        term = torch.log_softmax(logits, dim=1) + (count.log() if sampler.missing == "corrected" else 0)  # [b, P]
        terms.append(term.masked_fill(~has, -torch.inf).to(seen.log_p.dtype))
    best, through = torch.stack(terms).max(0)  # [b, P], [b, P]
    return _Judged(seen, through.masked_fill(best == -torch.inf, -1))


def _drawn(
    lens: Lens, batch: Batch, side: Side, facts: Facts, k: int, generator: torch.Generator
) -> tuple[Tensor, Tensor] | None:
    """What another sampler than MMRNS draws: the k most plausible ids ``[b, k]``, and which of them there are."""
    if isinstance(lens.sampler, MMRNS):
        return None
    negatives = lens.sampler.sample(batch, side, lens.model, facts, generator, lens.step)
    ids, order = negatives.ids.sort(dim=1)  # [b, K]
    fresh = torch.ones_like(ids, dtype=torch.bool)
    fresh[:, 1:] = ids[:, 1:] != ids[:, :-1]  # a draw that repeats another is one negative
    fresh &= negatives.valid.gather(1, order)  # [b, K]
    scores = score_side(lens.model, batch, side, ids).masked_fill(~fresh, -torch.inf)  # [b, K]
    top, place = scores.topk(min(k, ids.shape[1]), dim=1)  # [b, k']
    return ids.gather(1, place), top > -torch.inf


def _columns(lens, batch: Batch, side: Side, drawn, judged: _Judged | None, pool: Tensor, k: int) -> dict:
    """Columns ``[b, k]`` of one lens."""
    if drawn is None:
        top, positions = judged.seen.log_p.masked_fill(~judged.seen.allowed, -torch.inf).topk(min(k, pool.numel()), 1)
        ids, there = pool[positions], top > -torch.inf  # [b, k], [b, k]
    else:
        ids, there = drawn
        positions = torch.searchsorted(pool, ids.contiguous()).clamp(max=pool.numel() - 1)  # [b, k]
    columns = {"negative": ids, "there": there, "score": score_side(lens.model, batch, side, ids)}
    positive = lens.model.score_triples(batch.head, batch.relation, batch.tail, side)  # [b]
    columns["positive_score"] = positive[:, None].expand_as(ids)  # [b, k]
    nothing = torch.full(ids.shape, torch.nan)
    found = None if judged is None else explain_positions(judged.seen, positions, there)
    columns["probability"] = nothing if found is None else found.probability
    allowed = 1 if judged is None else judged.seen.allowed.sum(1, keepdim=True)  # [b, 1]
    columns["times"] = columns["probability"] * allowed  # [b, k]
    columns |= {name: nothing if found is None else getattr(found, name) for name in MODALITIES}
    through = torch.full_like(ids, -1) if judged is None else judged.through.gather(1, positions)  # [b, k]
    columns["through"] = np.array([*MODALITIES, ""], dtype=object)[through.cpu().numpy()]
    return columns


def _table(batch: Batch, columns: dict, asked: int, side: Side, lens: int) -> pd.DataFrame:
    """A part of the table from columns ``[b, k]``, the first question having the number ``asked``."""
    there = columns.pop("there").cpu().numpy()
    rows, places = there.nonzero()
    flat = {name: value if isinstance(value, np.ndarray) else value.cpu().numpy() for name, value in columns.items()}
    flat = {name: value[rows, places] for name, value in flat.items()}
    asked_for = {name: getattr(batch, name).cpu().numpy()[rows] for name in ("head", "relation", "tail")}
    order = ("negative", "probability", "times", "score", "positive_score", *MODALITIES, "through", "known")
    return pd.DataFrame(
        {"question": asked + rows, **asked_for, "side": side, "lens": lens, "place": places + 1}
        | {name: flat[name] for name in order}
    )
