"""What a row's negatives were like: false ones by relation category, and the gradient that they gave."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from mmkg.analysis.hardness import VANISHED
from mmkg.graph import Facts
from mmkg.graph.categories import relation_categories
from mmkg.run import write_json
from mmkg.training import Callback
from mmkg.types import Batch, Side

LAST = 0.25  # of the steps, in which negatives are looked at: those of a model that has settled
SUMS = ("negatives", "false", "slope", "slope_on_false", "questions", "vanished")


class Drawn(Callback):
    r"""Counts the negatives of the last quarter of training that are held-out facts, and sums their gradient.

    The gradient of a question on its negatives is :math:`\frac12 \sum_k w_k σ(s_k)`, at most 0.5, under the row's own
    weights :math:`w_k = \mathrm{softmax}_k(α s_k)`; see :func:`mmkg.analysis.gradients`. Held-out facts are looked up
    here alone: no sampler sees them. Counts are kept by step beside the checkpoints, so that a run that was stopped and
    taken up again knows all of them, and none twice.

    Args:
        path: JSON file in the run's folder.
        data: The graph with all its splits.
        alpha: Temperature of the row's weights.
    """

    def __init__(self, path: Path, data, alpha: float) -> None:
        self.path, self.alpha = path, alpha
        self.held_out = Facts.from_data(data, ("val", "test"))
        mask = data.train_mask
        known = relation_categories(data.edge_index[:, mask], data.edge_type[mask], int(data.num_relations))
        self.names = sorted(set(known.category))
        self.category = torch.tensor([self.names.index(name) for name in known.category])  # [R]
        self.steps: dict[str, list[list[float]]] = {}  # sums by category of each step
        self._known, self._noted = False, []

    def on_negatives(self, trainer, step, batch, side, negatives, scores):
        """Note the negatives of a step; they are looked at later, so that this takes no time of the step's."""
        if step > 1:
            self._recall()
        self._known = True
        if step > (1 - LAST) * trainer.config.steps:
            self._noted.append((step, batch, side, negatives.ids, negatives.valid, scores.clone()))

    def on_checkpoint(self, trainer, step):
        """Look at what was noted, and keep the counts."""
        noted, self._noted = self._noted, []
        # a step that is done again after a stop counts once
        self.steps |= {str(number): [[0.0] * len(SUMS) for _ in self.names] for number, *_ in noted}
        for number, *drawn in noted:
            sums = torch.tensor(self.steps[str(number)], dtype=torch.float64) + self._sums(*drawn)
            self.steps[str(number)] = sums.tolist()
        write_json(self.path, {"categories": self.names, "sums": SUMS, "steps": self.steps})

    def _recall(self) -> None:
        """Take up the counts of an earlier session, once."""
        if not self._known and self.path.exists():
            self.steps = json.loads(self.path.read_text(encoding="utf-8"))["steps"]
        self._known = True

    def _sums(self, batch: Batch, side: Side, ids: Tensor, valid: Tensor, scores: Tensor) -> Tensor:
        """Sums by category ``[categories, 6]`` over a question's negatives ``[B, K]``."""
        batch, valid, scores = batch.to("cpu"), valid.cpu(), scores.double().cpu()  # [B, K]
        false = self.held_out.mask(batch, side, ids.cpu()) & valid  # [B, K]
        logits = (self.alpha * scores).masked_fill(~valid, -torch.inf)  # [B, K]
        weight = torch.softmax(logits, 1).masked_fill(~valid, 0.0)  # [B, K]; none where a row has no negative
        slope = 0.5 * weight * torch.sigmoid(scores)  # [B, K]
        asked = valid.any(1)  # [B]
        vanished = asked & (slope.sum(1) < VANISHED)  # [B]
        parts = (valid.sum(1), false.sum(1), slope.sum(1), (slope * false).sum(1), asked, vanished)
        rows = torch.stack([part.double() for part in parts], 1)  # [B, 6]
        return rows.new_zeros(len(self.names), len(SUMS)).index_add_(0, self.category[batch.relation], rows)

    def summary(self) -> dict[str, dict[str, float]]:
        """Sums by relation category; empty where no negatives were drawn."""
        self._recall()
        if not self.steps:
            return {}
        whole = torch.tensor(list(self.steps.values()), dtype=torch.float64).sum(0)  # [categories, 6]
        return {name: dict(zip(SUMS, row, strict=True)) for name, row in zip(self.names, whole.tolist(), strict=True)}
