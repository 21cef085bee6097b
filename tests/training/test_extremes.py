"""Inputs at the edge are trained through: every number stays one, every negative is one, and what can be learned is."""

import pytest
import torch
from torch_geometric.data import Data

from mmkg.evaluation import metrics, rank
from mmkg.graph import Facts
from mmkg.samplers import MMRNS, NSCaching, UniformSampler
from mmkg.scorers import ComplEx, DistMult, RotatE, TransE
from mmkg.training import Callback, KvsAll, OneVsAll, SelfAdversarial, TrainConfig, Trainer
from mmkg.types import Features


def graph(triples, entities, relations, held_out=10):
    """The triples ``[E, 3]`` with the last ones held out for validation."""
    data = Data(edge_index=triples[:, [0, 2]].T.contiguous(), edge_type=triples[:, 1].contiguous(), num_nodes=entities)
    data.num_relations, number = relations, torch.arange(len(triples))
    data.train_mask = number < len(triples) - held_out
    data.val_mask, data.test_mask = ~data.train_mask, torch.zeros_like(data.train_mask)
    return data


def star(tails=10_000):
    """One head with ten thousand tails by one relation, beside a few triples of another."""
    i = torch.arange(1, tails + 1)
    many = torch.stack([torch.zeros_like(i), torch.zeros_like(i), i], dim=1)
    other = torch.stack([i[:50], torch.ones(50, dtype=torch.long), i[:50].flip(0)], dim=1)
    order = torch.randperm(len(many), generator=torch.Generator().manual_seed(0))
    return graph(torch.cat([other, many[order]]), tails + 5, 2)


def features(entities, value, rows=3, width=4):
    count = entities // 2
    row = torch.where(torch.arange(entities) < count, torch.arange(entities), -1)
    return Features(torch.full((count, rows, width), value), torch.ones(count, rows, dtype=torch.bool), row)


class Checked(Callback):
    """Looks at every number that goes by."""

    steps = 0

    def on_negatives(self, trainer, step, batch, side, negatives, scores):
        assert torch.isfinite(scores[negatives.valid]).all()
        assert not trainer.facts.mask(batch, side, negatives.ids)[negatives.valid].any()

    def on_step(self, trainer, step, losses):
        self.steps = step
        assert all(torch.isfinite(p).all() for m in trainer.modules.values() for p in m.parameters())


def train(data, model, sampler, objective, **settings):
    checked = Checked()
    config = TrainConfig(**({"steps": 6, "batch_size": 32, "validate_every": 3, "learning_rate": 0.01} | settings))
    trainer = Trainer(model, sampler, objective, data, config, callbacks=[checked], progress=False)
    result = trainer.fit()
    assert checked.steps == result.steps
    return trainer, result


@pytest.mark.parametrize("way", ["uniform", "nscaching", "mmrns", "one_vs_all", "k_vs_all"])
def test_one_relation_with_ten_thousand_tails(way):
    data, torch_seed = star(), torch.manual_seed(0)
    assert torch_seed is not None
    size = int(data.num_nodes)
    if way in ("one_vs_all", "k_vs_all"):
        train(data, DistMult(size, 2, 4), None, OneVsAll() if way == "one_vs_all" else KvsAll(), steps=3)
        return
    model = TransE(size, 2, 4)
    if way == "uniform":
        sampler = UniformSampler(size, 4)
    elif way == "nscaching":
        sampler = NSCaching(size, 4, Facts.from_data(data), cache_size=6, candidates=6)
    else:
        image = features(size, 0.5)
        sampler = MMRNS(size, *model.widths(), image, num_negatives=4, pool_size=64, attention_dim=4, gate_dim=4)
    train(data, model, sampler, SelfAdversarial(), steps=4)


def test_a_question_that_everything_answers_has_no_negative():
    """Its rows are marked as invalid and weigh nothing; the loss of the others stays a number."""
    i = torch.arange(40)
    every = torch.stack([torch.zeros_like(i), torch.zeros_like(i), i], dim=1)  # (0, 0, ?) is answered by all
    other = torch.stack([i, torch.ones_like(i), (i + 1) % 40], dim=1)
    data = graph(torch.cat([every, other]), 40, 2)
    for sampler in (UniformSampler(40, 4), None):
        model = RotatE(40, 2, 4)
        own = sampler or MMRNS(40, *model.widths(), num_negatives=4, pool_size="all", attention_dim=4, gate_dim=4)
        train(data, model, own, SelfAdversarial(), steps=20, both_sides=True)


@pytest.mark.parametrize("value", [0.0, 1.0, 1e4, 6e-8])
@pytest.mark.parametrize("relaxation", ["fresh", "shared"])
def test_features_that_are_zero_or_all_equal(kin, value, relaxation):
    """All similarities are equal, then, or undefined but for the epsilon; draws go on, by structure or evenly."""
    torch.manual_seed(0)
    model = RotatE(60, 4, 8)
    torch.nn.init.constant_(model.node_emb.weight, 0.1)  # so that structure cannot tell entities apart either
    both = features(60, value), features(60, value, rows=2)
    small = {"num_negatives": 4, "pool_size": 30, "attention_dim": 4, "gate_dim": 4, "relaxation": relaxation}
    sampler = MMRNS(60, *model.widths(), *both, **small)
    train(kin, model, sampler, SelfAdversarial(), steps=12)


@pytest.mark.parametrize("scorer", [DistMult, ComplEx, RotatE, TransE])
def test_embeddings_that_are_all_zero(kin, scorer):
    """No root or quotient at zero gives NaN, forward or backward."""
    torch.manual_seed(0)
    model = scorer(60, 4, 8)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    trainer, _ = train(kin, model, UniformSampler(60, 4), SelfAdversarial(), steps=4, both_sides=True)
    ranks = rank(trainer.model, trainer.validation, trainer.validation_filter)
    assert torch.isfinite(torch.tensor(list(metrics(ranks).values()))).all()


def test_the_same_triple_a_hundred_times(kin):
    """Duplicates are a heavier weight and nothing else: known once, ranked once, learned still."""
    triples = torch.stack([kin.edge_index[0], kin.edge_type, kin.edge_index[1]], dim=1)
    doubled = torch.cat([triples[:1].expand(100, 3), triples[:200].repeat(2, 1), triples[200:220]])
    data = graph(doubled, 60, 4, held_out=20)
    assert len(Facts.from_data(data)) == 200
    torch.manual_seed(7)
    settings = {"steps": 400, "validate_every": 400, "learning_rate": 0.02}
    _, result = train(data, RotatE(60, 4, 16), UniformSampler(60, 8), SelfAdversarial(), **settings)
    assert result.best["mrr"] > 0.3  # chance is 0.08


def test_bf16_and_float32_come_to_the_same_with_negatives(kin):
    from accelerate.state import AcceleratorState

    def losses(precision):
        torch.manual_seed(7)
        model = DistMult(60, 4, 16)
        image = features(60, 0.5)
        image.values = torch.randn(image.values.shape, generator=torch.Generator().manual_seed(0))
        small = {"num_negatives": 8, "pool_size": 40, "attention_dim": 6, "gate_dim": 8}
        sampler = MMRNS(60, *model.widths(), image, **small)
        settings = {"steps": 30, "validate_every": 30, "precision": precision}
        try:
            return train(kin, model, sampler, SelfAdversarial(), **settings)[1]
        finally:
            AcceleratorState._reset_state(reset_partial_state=True)

    AcceleratorState._reset_state(reset_partial_state=True)
    full, half = losses("no"), losses("bf16")
    assert half.history[-1]["loss"] == pytest.approx(full.history[-1]["loss"], rel=0.02)
    assert half.best["mrr"] == pytest.approx(full.best["mrr"], abs=0.05)
