"""A small graph with features whose similarities are known."""

import torch

from mmkg.types import Features


def features(rows, width=None):
    """Features of entities given as lists of rows, None where an entity has none; padded to the longest."""
    there = [r for r in rows if r is not None]
    most = max(len(r) for r in there)
    values = torch.full((len(there), most, width or len(there[0][0])), float("nan"))  # padding may hold anything
    mask = torch.zeros(len(there), most, dtype=torch.bool)
    for i, own in enumerate(there):
        values[i, : len(own)] = torch.tensor(own)
        mask[i, : len(own)] = True
    place, row = 0, []
    for own in rows:
        row.append(-1 if own is None else place)
        place += own is not None
    return Features(values, mask, torch.tensor(row))
