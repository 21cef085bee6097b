"""Which modality made a negative hard: by hand, and by leaving a modality out of a real sampler."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from census_world import Cached, hand_made, mmrns, trainer
from sampler_world import make_features
from scipy.stats import spearmanr

from mmkg.analysis import attribute, attribution, hard_negatives
from mmkg.analysis.census import Census
from mmkg.errors import DataError
from mmkg.graph import Facts
from mmkg.samplers import MMRNS


def test_falls_by_hand():
    rows = [
        {"probability": 0.4, "without_image": 0.1, "without_text": 0.4, "step": 1},
        {"probability": 0.2, "without_image": 0.3, "without_text": 0.1, "step": 1},
        {"probability": 0.5, "without_image": 0.6, "without_text": 0.7, "step": 2},
        {"probability": 0.5, "without_image": 0.6, "without_text": 0.7, "step": 2, "source": "uniform"},
    ]
    found = attribution(hand_made(rows)).set_index(["step", "modality"])
    assert set(found.index) == {(s, m) for s in (1, 2) for m in ("image", "text")}
    assert found.fall[1, "image"] == pytest.approx((0.75 - 0.5) / 2)
    assert found.fall[1, "text"] == pytest.approx(0.25)
    assert found.fall_median[2, "text"] == pytest.approx(-0.4)
    assert found.decisive.to_dict() == {(1, "image"): 0.5, (1, "text"): 0.5, (2, "image"): 0.0, (2, "text"): 0.0}
    assert found.negatives[2, "image"] == 1


def test_a_probability_of_zero_has_no_fall():
    rows = [
        {"probability": 0.0, "without_image": 0.0, "without_text": 0.1},
        {"probability": 0.4, "without_image": 0.1, "without_text": 0.4},
    ]
    found = attribution(hand_made(rows), ()).set_index("modality")
    assert found.negatives.to_dict() == {"image": 1, "text": 1}
    assert found.fall.to_dict() == pytest.approx({"image": 0.75, "text": 0.0})
    assert found.decisive.to_dict() == {"image": 1.0, "text": 0.0}


def test_other_samplers_tell_of_no_modality():
    with pytest.raises(DataError, match=r"the sampler tells of no modality. Cure: take a census of MMRNS"):
        attribution(hand_made([{}]))


@pytest.fixture
def seeing(crowd):
    """A graph, a scorer and an MMRNS with images of some entities and texts of most."""
    from mmkg.scorers import RotatE

    torch.manual_seed(0)
    image, text = make_features(60, 3, 5, missing=0.4), make_features(60, 2, 4, missing=0.1)
    model = RotatE(60, 4, 6)
    options = {"num_negatives": 4, "pool_size": "all", "attention_dim": 4, "epsilon": 0.1}
    return crowd, model, MMRNS(60, 12, 6, image, text, **options)


@pytest.mark.parametrize("pool", ["random", "typed"])
def test_attribution_of_given_negatives(seeing, pool):
    data, model, sampler = seeing
    sampler.pool = pool
    triples = torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], dim=1)[data.val_mask][:9]
    train, every = Facts.from_data(data), Facts.from_data(data, ("train", "val", "test"))
    table = hard_negatives(sampler, model, triples, train, every, k=3).sample(frac=1, random_state=1)
    found = attribute(sampler, model, table, train, batch_size=4)
    assert found.index.equals(table.index)
    np.testing.assert_allclose(found.probability, table.probability, rtol=1e-4)
    alike = attribute(sampler, model, table.set_axis([0] * len(table)), train, batch_size=4)  # one index for all rows
    pd.testing.assert_frame_equal(alike.reset_index(drop=True), found.reset_index(drop=True))
    with pytest.raises(DataError, match=r"side 'left'. Cure: choose head or tail"):
        attribute(sampler, model, table.assign(side="left"), train)
    # the direct way: the same sampler once it can no longer see the modality
    for name in ("structure", "image"):
        blind = copy.deepcopy(sampler)
        blind.views.names = tuple(m for m in blind.views.names if m != name)
        if name == "structure":
            blind.views.gate = None
        asked = hard_negatives(blind, model, triples, train, every, k=60, batch_size=4)
        keys = ["head", "relation", "tail", "side", "negative"]
        both = found.merge(asked, on=keys, suffixes=("", "_blind"))
        assert len(both) == len(found)
        np.testing.assert_allclose(both[f"without_{name}"], both.probability_blind, rtol=1e-4)


def test_a_modality_that_is_alone_leaves_chance(crowd):
    from mmkg.scorers import RotatE

    sampler, model = mmrns(crowd, pool_size="all"), RotatE(60, 4, 8)
    triples = torch.stack([crowd.edge_index[0], crowd.edge_type, crowd.edge_index[1]], dim=1)[:4]
    train = Facts.from_data(crowd)
    table = hard_negatives(sampler, model, triples, train, train, k=2, sides=("tail",))
    found = attribute(sampler, model, table, train)
    for row in found.itertuples():
        known = train.known_tails(torch.tensor([row.head]), torch.tensor([row.relation]))[1].tolist()
        assert row.without_structure == pytest.approx(1 / (60 - len({*known, row.tail})), rel=1e-4)
    assert found.without_image.isna().all()


def test_attribution_of_a_census(seeing, tmp_path):
    data, _, _ = seeing
    torch.manual_seed(0)
    image, text = make_features(60, 3, 5, missing=0.4), make_features(60, 2, 4, missing=0.1)
    sampler = MMRNS(60, 16, 8, image, text, num_negatives=4, pool_size=40, attention_dim=4, epsilon=0.2)
    watcher = Census(data, tmp_path, overhead=None, every=4, probe=20)
    trainer(data, sampler, callbacks=[watcher], steps=8, validate_every=0).fit()
    rows = watcher.frame()
    found = attribution(rows)
    assert set(found.modality) == {"image", "text", "structure"}
    assert (found.negatives == 2 * 20 * 4).all()
    assert found.groupby("step").decisive.sum().between(0.5, 1.0).all()
    # the more alike in one modality, the more is lost by leaving it out, where all modalities are there
    drawn = rows[(rows.source == "sampler") & rows[["image", "text", "structure"]].notna().all(axis=1)]
    fall = 1 - drawn.without_structure / drawn.probability
    assert len(drawn) > 30
    found = spearmanr(fall, drawn.structure)
    assert found.statistic > 0.3
    assert found.pvalue < 1e-3


def test_what_cannot_be_attributed_is_told(seeing):
    data, model, sampler = seeing
    with pytest.raises(DataError, match="Cached compares nothing by modality"):
        attribute(Cached(60, 4), model, hand_made([{}]), Facts.from_data(data))
    with pytest.raises(DataError, match="no column 'head'"):
        attribute(sampler, model, hand_made([{}]), Facts.from_data(data))
