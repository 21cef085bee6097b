"""A loss or gradient that is no number stops training with its step, its triples and what is still good."""

import pytest
import torch

from mmkg.errors import NumericsError
from mmkg.samplers import UniformSampler
from mmkg.scorers import DistMult
from mmkg.training import Callback, OneVsAll, RowAdagrad, SelfAdversarial, TrainConfig, Trainer


class Poison(torch.autograd.Function):
    """Passes its input on; its gradient is what it is told."""

    @staticmethod
    def forward(ctx, x, value):
        ctx.value = value
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return torch.full_like(gradient, ctx.value), None


class Sick(DistMult):
    """A scorer whose relations' gradient is no number from some look on: the loss does not show it."""

    _looks, _sick_from, _value = 0, 10**9, float("nan")

    def relation(self, ids, side="tail"):
        self._looks += self.training
        found = super().relation(ids, side)
        return Poison.apply(found, self._value) if self._looks > self._sick_from else found


def make(data, folder=None, *, sick_from=10**9, value=float("nan"), callbacks=(), **settings):
    torch.manual_seed(0)
    model = Sick(data.num_nodes, data.num_relations, 8)
    model._sick_from, model._value = sick_from, value
    config = TrainConfig(**({"steps": 12, "batch_size": 32, "validate_every": 0, "checkpoint_every": 2} | settings))
    sampler = UniformSampler(data.num_nodes, 4)
    return Trainer(model, sampler, SelfAdversarial(), data, config, folder=folder, callbacks=callbacks, progress=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("settings", [{}, {"both_sides": True}, {"clip": 1.0}, {"optimizer": "row_adagrad"}])
def test_a_gradient_that_is_no_number_stops_with_all_that_one_needs(kin, tmp_path, value, settings):
    class Batches(Callback):
        def __init__(self):
            self.seen = {}

        def on_negatives(self, trainer, step, batch, side, negatives, scores):
            self.seen[step] = batch

    looks, step = (4, 3) if "both_sides" not in settings else (8, 3)  # two looks a side
    seen = Batches()
    trainer = make(kin, tmp_path, sick_from=looks, value=value, callbacks=[seen], **settings)
    told = rf"gradient of model\.rel_emb\.weight is {value} at \d+ of \d+ places at step {step}; first triples"
    with pytest.raises(NumericsError, match=told) as caught:
        trainer.fit()
    error, batch = caught.value, seen.seen[step]
    assert error.step == step
    own = zip(*(x.tolist() for x in (batch.head, batch.relation, batch.tail)), strict=True)
    assert error.triples == list(own)
    assert error.checkpoint == tmp_path / "step-00000002.safetensors"
    assert str(error.checkpoint) in str(error)
    assert all(torch.isfinite(p).all() for p in trainer.model.parameters())  # the step was not taken
    going_on = make(kin, tmp_path, **settings)
    assert going_on.fit(resume=True).steps == 12


def test_sparse_gradients_are_looked_at_too(kin):
    trainer = make(kin, optimizer="row_adagrad")
    assert trainer.model.node_emb.sparse
    assert isinstance(trainer.optimizers[0].optimizer, RowAdagrad)

    def spoil(gradient):
        values = gradient.coalesce().values().clone()
        values[0, 0] = float("nan")
        return torch.sparse_coo_tensor(gradient.coalesce().indices(), values, gradient.shape, check_invariants=True)

    trainer.model.node_emb.weight.register_hook(spoil)
    with pytest.raises(NumericsError, match=r"model\.node_emb\.weight is nan at 1 of \d+ places at step 1"):
        trainer.fit()


def test_gradients_whose_sum_overflows_are_numbers_still(kin):
    trainer = make(kin, steps=1)
    trainer.model.rel_emb.weight.register_hook(lambda g: torch.full_like(g, 3e38))
    trainer.fit()
    assert all(torch.isfinite(p).all() for p in trainer.model.parameters())


def test_without_a_folder_it_says_that_there_is_no_checkpoint(kin):
    with pytest.raises(NumericsError, match="no checkpoint was written yet") as caught:
        make(kin, sick_from=0).fit()
    assert caught.value.checkpoint is None


def test_the_sampler_is_guarded_as_well(kin):
    class Learner(UniformSampler):
        def __init__(self, *args):
            super().__init__(*args)
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def loss(self, negatives, negative_scores, positive_scores):
            return self.weight.abs().sqrt()  # 0, with a gradient of infinity times 0

    torch.manual_seed(0)
    model = DistMult(kin.num_nodes, kin.num_relations, 8)
    config = TrainConfig(steps=3, batch_size=32, validate_every=0)
    trainer = Trainer(model, Learner(kin.num_nodes, 4), SelfAdversarial(), kin, config, progress=False)
    with pytest.raises(NumericsError, match=r"gradient of sampler\.weight is nan .*step 1"):
        trainer.fit()


def test_a_full_softmax_is_guarded_as_well(kin):
    torch.manual_seed(0)
    model = DistMult(kin.num_nodes, kin.num_relations, 8)
    config = TrainConfig(steps=3, batch_size=32, validate_every=0, both_sides=True, optimizer="adagrad")
    trainer = Trainer(model, None, OneVsAll(), kin, config, progress=False)
    model.node_emb.weight.register_hook(lambda g: g * float("inf"))
    with pytest.raises(NumericsError, match=r"gradient of model\.node_emb\.weight is"):
        trainer.fit()
