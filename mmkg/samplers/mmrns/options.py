"""Options of MMRNS: those of the published code, and checks of a user's."""

from __future__ import annotations

PUBLISHED = {
    "gate_layers": 2,
    "contrast": "batch",
    "contrast_positives": "pool",
    "drawn_weight": "published",
    "missing": "zero",
    "detach_norms": True,
    "positive_image_norm": False,
}
"""Options with which ``MMRNS`` does what the published code does where that departs from the equations."""


def check_options(**options: tuple[str, tuple[str, ...]]) -> None:
    """Raise ValueError where an option is none of its choices."""
    for name, (value, choices) in options.items():
        if value not in choices:
            raise ValueError(f"{name} is {value!r}, choose from {', '.join(choices)}")


def check_above(bound: float, **numbers: float) -> None:
    """Raise ValueError where a number is not above the bound."""
    for name, value in numbers.items():
        if not value > bound:
            raise ValueError(f"{name} is {value}, expected a number above {bound}")
