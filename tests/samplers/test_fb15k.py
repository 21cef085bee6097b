"""Ten million negatives of FB15K, held against the file itself."""

import numpy as np
import pandas as pd
import pytest
import torch
from sampler_world import seeded

from mmkg.graph.facts import Facts
from mmkg.samplers import MMRNS, UniformSampler
from mmkg.scorers import DistMult
from mmkg.types import SIDES, Batch

IDS = 10**7
ROWS = 1000


@pytest.fixture(scope="module")
def train(shared):
    """Training triples [E, 3] by numbers of their own, number of entities and of relations."""
    table = pd.read_csv(shared / "data" / "FB15K" / "raw" / "train.txt", sep="\t", header=None, dtype=str)
    entities, names = pd.factorize(pd.concat([table[0], table[2]]))
    relations, kinds = pd.factorize(table[1])
    heads, tails = np.split(entities, 2)
    return np.stack([heads, relations, tails], 1).astype(np.int64), len(names), len(kinds)


def drawn_millions(sampler, train, side, model=None):
    """Yields (batch, ids [B, K]) until half of the ids are drawn at this side."""
    triples, entities, relations = train
    h, r, t = torch.from_numpy(triples).T.contiguous()
    facts, generator, drawn = Facts(h, r, t, entities, relations), seeded(11), 0
    order = torch.randperm(len(h), generator=generator)
    for rows in order.split(ROWS):
        batch = Batch(h[rows], r[rows], t[rows])
        with torch.no_grad():
            negatives = sampler.sample(batch, side, model, facts, generator)
        assert negatives.valid.all()
        yield batch, negatives.ids
        drawn += negatives.ids.numel()
        if drawn >= IDS // 2:
            return
    raise AssertionError(f"{drawn} ids only")


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", ["uniform", "mmrns"])
def test_ten_million_ids_hold_no_training_triple(train, side, name):
    triples, entities, relations = train
    base = relations * entities
    known = np.sort(triples[:, 0] * base + triples[:, 1] * entities + triples[:, 2])
    torch.manual_seed(0)
    if name == "uniform":
        sampler, model = UniformSampler(entities, 1000), None
    else:
        model = DistMult(entities, relations, 4)
        sampler = MMRNS(
            entities, 4, 4, num_negatives=500, pool_size=1500, relaxation="shared", gumbel_gradient="none", beta=1.0
        )

    def known_among(batch, ids):
        given, relation = batch.anchor(side)[:, None], batch.relation[:, None] * entities
        keys = (given * base + relation + ids) if side == "tail" else (ids * base + relation + given)
        keys = np.sort(keys.numpy().ravel())  # sorted, so that the search stays in the cache
        return int((known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] == keys).sum())

    total, met = 0, np.zeros(entities, dtype=bool)
    for batch, ids in drawn_millions(sampler, train, side, model):
        assert known_among(batch, ids) == 0
        total += ids.numel()
        met[ids.numpy().ravel()] = True
    assert total >= IDS // 2
    assert met.mean() > (0.999 if name == "uniform" else 0.6)  # ten pools of a tenth of the entities
    anyone = torch.randint(entities, (len(batch), 1000), generator=seeded(1))
    assert known_among(batch, anyone) > 1000  # which an unfiltered sampler would have met
