"""Replay: give again the negatives that another sampler drew."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mmkg.errors import DataError
from mmkg.graph.facts import Facts
from mmkg.graph.vocabulary import vocabulary
from mmkg.samplers.base import NegativeSampler
from mmkg.samplers.negative_files import read_negatives
from mmkg.types import Batch, Negatives, Side

MATCHES = ("step", "epoch", "latest")
COLUMNS = ("step", "epoch", "row", "h", "r", "t", "side", "source", "place", "negative")


class Replay(NegativeSampler):
    """Negatives from a recorded stream (:class:`mmkg.analysis.Recorder`) or a census, for any scorer.

    So two scorers can be trained on the very same negatives. A question (h, r, t, side) is looked up together with the
    time of the draw. What the stream does not hold, and what has become a known answer in the facts at hand, is not
    valid; :attr:`counts` says how often that happened. Nothing is drawn: the generator and the model are not read.

    Args:
        path: Folder of parts, or one Parquet file.
        data: The graph to train on. Its entities and relations must bear the names that they had when recorded; its
            triples and splits may be others.
        num_negatives: The first so many draws of each question; all that were recorded if None.
        match: ``"step"``: what was drawn for the question at this very step, which needs the same batches (seed, batch
            size); ``"epoch"``: in this pass over the triples, in whatever order; ``"latest"``: the last time at or
            before this step, for a census of the questions that are trained on.
        steps_per_epoch: Batches in a pass over the training triples; needed for ``match="epoch"`` and for nothing else.
        source: Whose draws: ``"sampler"``, or ``"uniform"`` for a census's reference.

    Raises:
        DataError: If the file is damaged or empty, of another graph, or holds fewer draws than asked for.
    """

    def __init__(
        self,
        path: str | Path,
        data,
        num_negatives: int | None = None,
        *,
        match: Literal["step", "epoch", "latest"] = "step",
        steps_per_epoch: int | None = None,
        source: str = "sampler",
    ) -> None:
        if match not in MATCHES:
            raise ValueError(f"match {match!r}: choose one of {', '.join(MATCHES)}")
        if (match == "epoch") != (steps_per_epoch is not None):
            raise ValueError(f"match {match!r}, steps_per_epoch {steps_per_epoch}: epochs need it, others do not")
        frame = read_negatives(path, COLUMNS)
        _check_vocabulary(frame.attrs["provenance"].get("vocabulary"), vocabulary(data), Path(path))
        frame = frame[frame.source == source]
        if not len(frame):
            raise DataError(f"no negatives of source {source!r}", file=path, cure="record some, or name another source")
        recorded = int(frame.place.max()) + 1
        num_negatives = recorded if num_negatives is None else num_negatives
        if num_negatives > recorded:
            problem = f"{num_negatives} negatives a question, {recorded} were recorded"
            raise DataError(problem, file=path, cure=f"ask for at most {recorded}")
        super().__init__(int(data.num_nodes), num_negatives)
        self.num_relations, self.match, self.steps_per_epoch = int(data.num_relations), match, steps_per_epoch
        index = _index(frame, "epoch" if match == "epoch" else "step", self, Path(path))
        for name, values in index.items():  # not saved with a model: the stream is kept where it is
            self.register_buffer(f"stream_{name}", torch.from_numpy(values), persistent=False)
        self.register_buffer("_counts", torch.zeros(3, dtype=torch.long))

    @property
    def counts(self) -> dict[str, int]:
        """Questions ``asked``, those ``missing`` from the stream, and negatives ``refused`` as known answers."""
        return dict(zip(("asked", "missing", "refused"), self._counts.tolist(), strict=True))

    def sample(
        self,
        batch: Batch,
        side: Side,
        model: torch.nn.Module | None,
        facts: Facts,
        generator: torch.Generator | None = None,
        step: int = 0,
    ) -> Negatives:
        """Give the recorded negatives again; see :meth:`NegativeSampler.sample`.

        Returns:
            Negatives without probabilities; ``valid`` is False for what was not recorded or is a known answer.
        """
        self._check(side, facts)
        key = self.question_key(batch.head, batch.relation, batch.tail, side == "head")  # [B]
        question = torch.searchsorted(self.stream_questions, key).clamp(max=self.stream_questions.numel() - 1)  # [B]
        entry, found = self._find(question, step if self.steps_per_epoch is None else step // self.steps_per_epoch, key)
        found &= self.stream_questions[question] == key  # [B]
        ids = self.stream_ids[entry]  # [B, K]
        recorded = (ids >= 0) & found[:, None]  # [B, K]
        ids = ids.clamp(min=0)
        known = facts.mask(batch, side, ids) | (ids == batch.answer(side)[:, None])  # [B, K]
        missing = int((~found).sum())
        if missing and not int(self._counts[1]):
            told = f"{missing} of {len(batch)} questions of step {step} are not in the stream: no negatives for them"
            warnings.warn(f"{told} (counts keeps the number; told once)", stacklevel=2)
        self._counts += torch.tensor([len(batch), missing, int((recorded & known).sum())], device=ids.device)
        return Negatives(ids=ids, valid=recorded & ~known)

    def question_key(self, head, relation, tail, replaces_head):
        """One number for each question, of integers or arrays of them."""
        return ((head * self.num_relations + relation) * self.num_entities + tail) * 2 + replaces_head

    def _find(self, question: Tensor, time: int, key: Tensor) -> tuple[Tensor, Tensor]:
        """Entry of each question ``[B]`` at a time, any where there is none, and whether there is one."""
        latest, times = self.match == "latest", self.stream_times.numel()
        at = int(torch.searchsorted(self.stream_times, time, right=latest)) - latest
        if not 0 <= at < times or (not latest and int(self.stream_times[at]) != time):
            return torch.zeros_like(question), torch.zeros_like(question, dtype=torch.bool)
        wanted = question * times + at  # [B]
        if latest:  # the last entry at or before it, if that is one of the same question
            last = (torch.searchsorted(self.stream_entries, wanted, right=True) - 1).clamp(min=0)  # [B]
            wanted = torch.where(self.stream_entries[last] // times == question, self.stream_entries[last], -1)  # [B]
        start = torch.searchsorted(self.stream_entries, wanted)  # [B]
        count = torch.searchsorted(self.stream_entries, wanted, right=True) - start  # [B]
        found = count > 0
        # a triple that is in a batch twice was recorded twice: the second time its second draws come
        entry = start + _occurrence(key).minimum((count - 1).clamp(min=0))  # [B]
        return entry.clamp(max=self.stream_entries.numel() - 1), found


def _occurrence(key: Tensor) -> Tensor:
    """How many equal keys stand before each in a list ``[B]``."""
    order = torch.argsort(key, stable=True)
    _, count = torch.unique_consecutive(key[order], return_counts=True)
    first = torch.repeat_interleave(count.cumsum(0) - count, count)  # [B]
    rank = torch.empty_like(order)
    rank[order] = torch.arange(key.numel(), device=key.device) - first
    return rank


def _check_vocabulary(then: dict | None, now: dict, path: Path) -> None:
    """Raise DataError where ids mean something else."""
    if then == now:
        return
    if then is None:
        told = "it does not say of what graph"
    elif (then["entities"], then["relations"]) != (now["entities"], now["relations"]):
        told = f"{then['entities']} entities and {then['relations']} relations there, "
        told += f"{now['entities']} and {now['relations']} here"
    else:
        told = "as many entities and relations, under other names or in another order"
    raise DataError(f"negatives of another graph ({told})", file=path, cure="replay on the graph they were drawn for")


def _index(frame: pd.DataFrame, time: str, sampler: Replay, path: Path) -> dict[str, np.ndarray]:
    """The stream as arrays to search in.

    Returns:
        ``questions`` (sorted keys ``[Q]``), ``times`` (sorted ``[T]``), ``entries`` (question * T + time, sorted, a row
        of a batch each ``[M]``) and ``ids`` (``[M, K]``, -1 where nothing was drawn).
    """
    columns = {c: frame[c].to_numpy(np.int64) for c in ("h", "r", "t", "row", "step", time, "place", "negative")}
    sizes = {"h": sampler.num_entities, "t": sampler.num_entities, "negative": sampler.num_entities}
    for name, size in {**sizes, "r": sampler.num_relations}.items():
        values = columns[name]
        if values.min() < 0 or values.max() >= size:
            told = f"column {name!r} runs from {values.min()} to {values.max()}, expected 0 to {size - 1}"
            raise DataError(told, file=path, cure="record anew")
    head_side = (frame.side == "head").to_numpy(np.int64)
    key = sampler.question_key(columns["h"], columns["r"], columns["t"], head_side)  # [n]
    questions, question = np.unique(key, return_inverse=True)  # [Q], [n]
    times, at = np.unique(columns[time], return_inverse=True)  # [T], [n]
    order = np.lexsort((columns["place"], columns["row"], columns["step"], question * len(times) + at))
    code = (question * len(times) + at)[order]  # [n]
    step, row, place = (columns[c][order] for c in ("step", "row", "place"))
    new = np.ones(len(code), dtype=bool)
    new[1:] = (code[1:] != code[:-1]) | (row[1:] != row[:-1]) | (step[1:] != step[:-1])
    entry = np.cumsum(new) - 1  # [n]
    if len(code) > 1 and ((entry[1:] == entry[:-1]) & (place[1:] == place[:-1])).any():
        raise DataError("two negatives in one place of a question", file=path, cure="do not mix two series")
    ids = np.full((int(entry[-1]) + 1, sampler.num_negatives), -1, dtype=np.int64)  # [M, K]
    keep = place < sampler.num_negatives
    ids[entry[keep], place[keep]] = columns["negative"][order][keep]
    return {"questions": questions, "times": times, "entries": code[new], "ids": ids}
