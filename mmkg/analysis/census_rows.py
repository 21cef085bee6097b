"""Rows of a census: what was drawn for some triples, and what the whole graph says about it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from mmkg.analysis.draws import MODALITIES, Told, tell
from mmkg.errors import DataError, NumericsError
from mmkg.evaluation import score_side
from mmkg.graph import Facts, Patterns, mine_patterns
from mmkg.graph.pattern_table import KINDS
from mmkg.samplers import NegativeSampler, UniformSampler
from mmkg.samplers.negative_files import STREAM, WORDS, column
from mmkg.types import SIDES, Batch, Negatives, Side

CENSUS = pa.schema(
    [
        *STREAM,
        column("probability", pa.float32(), "of being drawn (MMRNS: first; others: next); NaN where not told"),
        column("score", pa.float32(), "the scorer's score of the negative triple"),
        column("positive_score", pa.float32(), "its score of the true triple"),
        *(
            column(m, pa.float32(), f"cosine of negative and true answer in {m}; NaN where not told")
            for m in MODALITIES
        ),
        *(
            column(f"without_{m}", pa.float32(), f"the probability had {m} been left out; NaN where not told")
            for m in MODALITIES
        ),
        column("entropy", pa.float32(), "of the question's whole distribution, in nats; NaN where not told"),
        column("in_pool", pa.bool_(), "among the step's candidates; null for a sampler without a pool"),
        column("in_train", pa.bool_(), "the negative triple is a train fact: the sampler is at fault"),
        column("in_val", pa.bool_(), "it is a validation fact"),
        column("in_test", pa.bool_(), "it is a test fact"),
        column("held_out", pa.bool_(), "it is a fact outside train: validation, test, or set aside by the split"),
        column("category", WORDS, "of the relation in train: 1-1, 1-N, N-1, N-N"),
        column("pattern", WORDS, "of the relation in train: the one that says most"),
        column("patterns", WORDS, "all of them, joined by commas"),
        column("degree_given", pa.int32(), "train triples that the given entity is in"),
        column("degree_answer", pa.int32(), "train triples that the true answer is in"),
        column("degree_negative", pa.int32(), "train triples that the negative is in"),
    ]
)
"""A census: one row a negative. Every column says in the file what it means."""


def entity_degrees(data) -> Tensor:
    """Train triples that each entity is in, shape ``[N]``; a self-loop counts once."""
    h, t = data.edge_index[:, data.train_mask].cpu()  # [E'], [E']
    number = int(data.num_nodes)
    return torch.bincount(h, minlength=number) + torch.bincount(t[h != t], minlength=number)  # [N]


class Ground:
    """What the whole graph knows of a negative. Analysis reads it; no sampler and no training does.

    Args:
        data: The whole graph, see :class:`mmkg.training.Trainer`.
        patterns: Patterns of its train triples; mined here if None, without those that have a path for a body.

    Raises:
        DataError: If the graph lacks a split's mask.
    """

    def __init__(self, data, patterns: Patterns | None = None) -> None:
        if missing := [f"{s}_mask" for s in ("train", "val", "test") if getattr(data, f"{s}_mask", None) is None]:
            raise DataError(f"the graph has no {', '.join(missing)}", cure="give the whole graph, not one split's view")
        patterns = mine_patterns(data, paths=False) if patterns is None else patterns
        self.num_nodes, self.num_relations = int(data.num_nodes), int(data.num_relations)
        h, t, r = data.edge_index[0].cpu(), data.edge_index[1].cpu(), data.edge_type.cpu()
        self.splits = {}
        for split in ("train", "val", "test"):
            keep = data[f"{split}_mask"].cpu()
            self.splits[split] = Facts(h[keep], r[keep], t[keep], self.num_nodes, self.num_relations)
        self.everything = Facts.from_data(data, ("train", "val", "test")).to("cpu")  # what was set aside too
        self.degree = entity_degrees(data).numpy()  # [N]
        self.category = patterns.categories.category.to_numpy(object)  # [R]
        self.pattern = patterns.pattern_of_relation().to_numpy(object)  # [R]
        labels = patterns.labels().to_numpy()  # [R, kinds]
        self.patterns = np.array(
            [",".join(k for k, has in zip(KINDS, row, strict=True) if has) for row in labels], object
        )

    def columns(self, h: np.ndarray, r: np.ndarray, t: np.ndarray, side: Side, negative: np.ndarray) -> dict:
        """Columns of a census for questions and negatives ``[n]``."""
        head, tail = (negative, t) if side == "head" else (h, negative)
        triple = [torch.from_numpy(np.ascontiguousarray(x, dtype=np.int64)) for x in (head, r, tail)]
        found = {f"in_{split}": facts.contains(*triple).numpy() for split, facts in self.splits.items()}
        found["held_out"] = self.everything.contains(*triple).numpy() & ~found["in_train"]
        given, answer = (t, h) if side == "head" else (h, t)
        for name, ids in (("given", given), ("answer", answer), ("negative", negative)):
            found[f"degree_{name}"] = self.degree[ids]
        return found | {"category": self.category[r], "pattern": self.pattern[r], "patterns": self.patterns[r]}


@torch.no_grad()
def ask(
    sampler: NegativeSampler,
    model: torch.nn.Module,
    triples: Tensor,
    facts: Facts,
    ground: Ground,
    *,
    step: int,
    epoch: int,
    generator: torch.Generator,
    batch_size: int,
    reference: bool = True,
) -> tuple[dict[str, np.ndarray], int]:
    """What a sampler draws for some triples on both sides, and what is true about it.

    Args:
        sampler: Who draws. Its state may change; see :func:`mmkg.analysis.undisturbed.undisturbed`.
        model: The scorer, in evaluation mode.
        triples: Ids (h, r, t) on the model's device, shape ``[Q, 3]``.
        facts: Train facts there, all that the sampler may know.
        ground: What the whole graph knows.
        step: Steps done before.
        epoch: Passes over the training triples done before.
        generator: Source of randomness on the device.
        batch_size: Triples asked about at once.
        reference: Whether to draw uniform negatives for the same questions as well.

    Returns:
        Columns of :data:`CENSUS`, and how many places of the sampler were not valid.

    Raises:
        NumericsError: If a score is NaN or infinite.
    """
    parts, invalid, first = [], 0, 0
    uniform = UniformSampler(sampler.num_entities, sampler.num_negatives)
    for part in triples.split(batch_size):
        batch = Batch(*part.unbind(1))
        for side in SIDES:
            positive = model.score_triples(batch.head, batch.relation, batch.tail, side)  # [b]
            drawn = sampler.sample(batch, side, model, facts, generator, step)
            invalid += int((~drawn.valid).sum())
            told = [("sampler", drawn, tell(sampler, drawn, step))]
            if reference:
                other = uniform.sample(batch, side, None, facts, generator, step)
                told.append(("uniform", other, _of_reference(tell(sampler, drawn, step, other.ids))))
            for source, negatives, words in told:
                scores = score_side(model, batch, side, negatives.ids)  # [b, K]
                if not bool(torch.isfinite(scores[negatives.valid]).all()):
                    raise NumericsError(f"a score of a negative is NaN or infinite after step {step}")
                columns = _columns(batch, side, negatives, words, scores, positive, first)
                h, r, t, negative = (columns[c].astype(np.int64) for c in ("h", "r", "t", "negative"))
                known = ground.columns(h, r, t, side, negative)
                same = {"step": step, "epoch": epoch, "side": side, "source": source}
                parts.append(columns | known | {k: np.full(len(negative), v, object) for k, v in same.items()})
        first += len(part)
    joined = {c: np.concatenate([part[c] for part in parts]) for c in CENSUS.names if c != "in_pool"}
    joined["in_pool"] = [x for part in parts for x in part["in_pool"]] if parts else []
    return joined, invalid


def _of_reference(told: Told) -> Told:
    """The sampler's word on a uniform negative; the entropy is the sampler's own and stays with its draws."""
    told.entropy = None
    return told


def _columns(
    batch: Batch, side: Side, negatives: Negatives, told: Told, scores: Tensor, positive: Tensor, first: int
) -> dict:
    """What is known of the valid places of a batch without the graph, ``[n]`` each."""
    row, place = negatives.valid.nonzero(as_tuple=True)  # [n], [n]
    nothing = torch.full_like(scores, torch.nan)  # [b, K]
    found = {
        "row": row + first,
        "h": batch.head[row],
        "r": batch.relation[row],
        "t": batch.tail[row],
        "place": place,
        "negative": negatives.ids[row, place],
        "probability": told.probability[row, place],
        "score": scores[row, place],
        "positive_score": positive[row],
        "entropy": nothing[row, place] if told.entropy is None else told.entropy[row],
    }
    for m in MODALITIES:
        found[m] = told.similarity.get(m, nothing)[row, place]
        found[f"without_{m}"] = told.without.get(m, nothing)[row, place]
    plain = {k: v.cpu().numpy() for k, v in found.items()}
    in_pool = None if told.in_pool is None else told.in_pool[row, place].cpu().tolist()
    return plain | {"in_pool": [None] * len(row) if in_pool is None else in_pool}
