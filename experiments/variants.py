"""The rows of the comparison: ways to find negatives, MMRNS with parts left out, and controls."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from mmkg.run import RunConfig
from mmkg.run.build import build_scorer
from mmkg.run.sampler import build_sampler


@dataclass(frozen=True)
class Variant:
    """What a row changes.

    Args:
        sampler: Settings of the sampler.
        alpha: Temperature of the self-adversarial weights; 0 weighs a question's negatives alike.
        objective: The loss.
        without: A modality that MMRNS does not look at.
        needs: What the dataset must have for the row to mean anything; "image or text" is either.
        matched: Whether the sampler is made wider until it has as many parameters as one that looks at everything.
    """

    sampler: dict = field(default_factory=dict)
    alpha: float = 0.5
    objective: str = "self_adversarial"
    without: str | None = None
    needs: tuple[str, ...] = ()
    matched: bool = False

    def missing(self, available: Collection[str]) -> list[str]:
        """What the row needs and the dataset does not have."""
        return [need for need in self.needs if not any(word in available for word in need.split(" or "))]


COMPARED = {
    "uniform": Variant({"name": "uniform"}, alpha=0.0),
    "Bernoulli": Variant({"name": "bernoulli"}, alpha=0.0),
    "self-adversarial": Variant({"name": "uniform"}),
    "NSCaching": Variant({"name": "nscaching"}, alpha=0.0),
    "KBGAN": Variant({"name": "kbgan"}, alpha=0.0),
    "SANS": Variant({"name": "sans"}, alpha=0.0),
    "MMRNS": Variant(),
    "MMRNS without image": Variant(without="image", needs=("image",)),
    "MMRNS without text": Variant(without="text", needs=("text",)),
    "MMRNS without structure": Variant(without="structure", needs=("image or text",)),
    "MMRNS without guide": Variant({"options": {"use_guide": False}}, needs=("image or text",)),
    "MMRNS without contrast": Variant({"options": {"use_contrast": False}}),
    "MMRNS, gradient reversed": Variant({"gumbel_gradient": "reverse"}),
    "MMRNS, no gradient": Variant({"gumbel_gradient": "none"}),
    "1-vs-all": Variant({"name": "uniform"}, objective="one_vs_all"),
}
"""Without "MMRNS, gradient …" the Gumbel gradient descends, as in the paper."""

CONTROLS = {
    "MMRNS, images shuffled": Variant({"images": "shuffled"}, needs=("image",)),
    "MMRNS, images random": Variant({"images": "random"}, needs=("image",)),
    "MMRNS, images zero": Variant({"images": "zero"}, needs=("image",)),
    "MMRNS, images' presence": Variant({"images": "presence"}, needs=("image",)),
    "MMRNS, texts shuffled": Variant({"texts": "shuffled"}, needs=("text",)),
    "MMRNS, texts random": Variant({"texts": "random"}, needs=("text",)),
    "MMRNS, texts zero": Variant({"texts": "zero"}, needs=("text",)),
    "MMRNS, texts' presence": Variant({"texts": "presence"}, needs=("text",)),
    "MMRNS without image, as many parameters": Variant(without="image", needs=("image", "text"), matched=True),
    "MMRNS without text, as many parameters": Variant(without="text", needs=("image", "text"), matched=True),
}
"""What must not help if a gain is due to what pictures and texts show."""

VARIANTS = COMPARED | CONTROLS


def configured(start: RunConfig, variant: Variant, dataset, features: dict) -> RunConfig:
    """The settings of a row.

    Args:
        start: Settings that all rows share, MMRNS looking at everything.
        variant: The row.
        dataset: The dataset.
        features: Its features by modality.
    """
    modalities = tuple(m for m in start.sampler.modalities if m != variant.without)
    sampler = replace(start.sampler, **{"modalities": modalities} | variant.sampler)
    config = replace(start, alpha=variant.alpha, objective=variant.objective, sampler=sampler)
    if variant.matched:
        config = replace(config, sampler=replace(sampler, attention=matched_width(start, config, dataset, features)))
    return config


def matched_width(full: RunConfig, part: RunConfig, dataset, features: dict) -> int:
    """Width of attention with which a sampler comes nearest to the number of parameters of another one."""
    data = dataset.topology
    model = build_scorer(full, int(data.num_nodes), int(data.num_relations))

    def parameters(config: RunConfig, width: int) -> int:
        config = replace(config, sampler=replace(config.sampler, attention=width))
        seen = {m: f for m, f in features.items() if m in config.sampler.modalities}
        return sum(p.numel() for p in build_sampler(config, model, seen, data).parameters())

    aim, low, high = parameters(full, full.sampler.attention), 1, full.sampler.attention
    while parameters(part, high) < aim:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if parameters(part, middle) < aim else (low, middle)
    return min((low, high), key=lambda width: abs(parameters(part, width) - aim))
