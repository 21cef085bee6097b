"""Small graphs, features and a model for the samplers' tests."""

import torch
from scipy.stats import chi2

from mmkg.graph.facts import Facts
from mmkg.types import Batch, Features


class Toy(torch.nn.Module):
    """The least that a sampler reads of a model."""

    def __init__(self, entities, relations, dim, relation_dim, dtype=torch.float64):
        super().__init__()
        self.e = torch.nn.Embedding(entities, dim, dtype=dtype)
        self.r = torch.nn.Embedding(2 * relations, relation_dim, dtype=dtype)
        self.relations = relations

    def entity(self, ids):
        return self.e(ids)

    def relation(self, ids, side):
        return self.r(ids + (self.relations if side == "head" else 0))  # a reciprocal relation for the head


def make_features(entities, rows, dim, missing=0.0, padding=0.3):
    """Random features; every entity that has any has its first or another row."""
    present = torch.rand(entities) >= missing
    row = torch.where(present, present.cumsum(0) - 1, -1)
    count = int(present.sum())
    mask = torch.rand(count, rows) >= padding
    mask[torch.arange(count), torch.randint(rows, (count,))] = True
    return Features(torch.randn(count, rows, dim), mask, row)


def make_world(entities=40, relations=4, triples=120, batch=13, dim=6, relation_dim=6, seed=0, **features):
    """(model, facts, batch, image, text) with random numbers of one seed."""
    torch.manual_seed(seed)
    h, r, t = (torch.randint(n, (triples,)) for n in (entities, relations, entities))
    facts = Facts(h, r, t, entities, relations)
    model = Toy(entities, relations, dim, relation_dim)
    image = make_features(entities, features.get("regions", 5), 7, features.get("no_image", 0.3))
    text = make_features(entities, features.get("sentences", 3), 4, features.get("no_text", 0.2))
    return model, facts, Batch(h[:batch], r[:batch], t[:batch]), image, text


def relative(found, expected):
    """Largest deviation in units of the largest expected value."""
    found, expected = found.detach(), expected.detach()
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-300))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def law_p_value(ids, weight):
    """p-value of ids being independent draws by weights ``[N]``; 0 if one without weight was drawn."""
    return counts_p_value(torch.bincount(ids.flatten(), minlength=len(weight)), weight)


def counts_p_value(found, weight):
    """p-value of counts ``[..., N]`` of draws by weights ``[..., N]``, all rows in one chi-square test."""
    found, weight = found.double(), weight.double()
    assert (weight.sum(-1) > 0).all()
    expected = weight / weight.sum(-1, keepdim=True) * found.sum(-1, keepdim=True)
    if found[expected == 0].any():
        return 0.0
    statistic = ((found - expected).square() / expected)[expected > 0].sum()
    return float(chi2.sf(float(statistic), int((expected > 0).sum()) - expected[..., 0].numel()))
