"""Bernoulli negatives: the side that makes false negatives less likely is corrupted more often."""

from __future__ import annotations

import torch
from torch import Tensor

from mmkg.graph.facts import Facts
from mmkg.samplers.uniform import UniformSampler
from mmkg.types import Batch, Side


class BernoulliSampler(UniformSampler):
    r"""Uniform negatives at a side chosen for each triple by its relation's cardinality.

    With ``tph`` tails per head and ``hpt`` heads per tail of relation :math:`r`, a triple's head is replaced with
    probability

    .. math:: \frac{\mathrm{tph}_r}{\mathrm{tph}_r + \mathrm{hpt}_r}
        = \frac{|\{t : (\cdot, r, t)\}|}{|\{h : (h, r, \cdot)\}| + |\{t : (\cdot, r, t)\}|}

    and its tail otherwise (Wang et al., `TransH <https://ojs.aaai.org/index.php/AAAI/article/view/8870>`_, AAAI 2014).
    The trainer asks :meth:`questions` which rows are corrupted at which side; the side whose turn it is does not
    matter. :meth:`sample` draws as :class:`UniformSampler` does.

    Args:
        num_entities: Number of entities ``N``.
        num_negatives: Number of negatives ``K`` for each positive.

    Example:
        >>> import torch
        >>> from mmkg.graph.facts import Facts
        >>> h, r, t = torch.tensor([0, 0, 0]), torch.tensor([0, 0, 0]), torch.tensor([1, 2, 3])
        >>> BernoulliSampler(4, 5).head_probability(Facts(h, r, t, num_nodes=4, num_relations=1))
        tensor([0.7500], dtype=torch.float64)
    """

    def questions(
        self, batch: Batch, side: Side, facts: Facts, generator: torch.Generator | None = None
    ) -> list[tuple[Batch, Side]]:
        """The rows whose heads are replaced, and those whose tails are; see :meth:`NegativeSampler.questions`."""
        self._check(side, facts)
        chance = torch.rand(len(batch), generator=generator, device=batch.head.device, dtype=torch.float64)  # [B]
        heads = chance < self.head_probability(facts)[batch.relation]  # [B]
        parts: list[tuple[Batch, Side]] = [(batch.select(heads), "head"), (batch.select(~heads), "tail")]
        return [(part, at) for part, at in parts if len(part)]

    def head_probability(self, facts: Facts) -> Tensor:
        """Probability ``[R]`` that a triple of each relation has its head replaced; 1/2 where nothing is known."""
        return self._derive(facts, "head_probability", lambda: _head_probability(facts))


def _head_probability(facts: Facts) -> Tensor:
    relations = torch.arange(facts.num_relations, device=facts.device)  # [R]
    heads, tails = (
        torch.bincount(facts.seen(relations, side)[0], minlength=facts.num_relations).double()
        for side in ("head", "tail")
    )  # [R], [R]
    return torch.where(heads + tails > 0, tails / (heads + tails), 0.5)
