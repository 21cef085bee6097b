"""Training learns, keeps the best, resumes to the bit, sees no held-out truth, and stops when asked."""

import os
import signal

import pytest
import torch
from accelerate.state import AcceleratorState

from mmkg.errors import DataError, NumericsError
from mmkg.samplers import SharedSampler, UniformSampler
from mmkg.scorers import DistMult, RotatE
from mmkg.training import (
    Callback,
    Checkpoints,
    KvsAll,
    Logistic,
    MarginRanking,
    OneVsAll,
    SampledCrossEntropy,
    SelfAdversarial,
    TrainConfig,
    Trainer,
    TrainingInterrupted,
)


@pytest.fixture(autouse=True)
def fresh_accelerator():
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


class Learner(UniformSampler):
    """A sampler with a parameter and a loss of its own, so that its optimiser and schedule are exercised."""

    def __init__(self, *args):
        super().__init__(*args)
        self.weight = torch.nn.Parameter(torch.ones(()))

    def loss(self, negatives, negative_scores, positive_scores):
        return (self.weight - 3.0) ** 2


def make(data, *, folder=None, callbacks=(), objective=None, scorer=RotatE, sampler=Learner, **settings):
    torch.manual_seed(7)
    model = scorer(data.num_nodes, data.num_relations, 16)
    config = TrainConfig(**({"steps": 60, "batch_size": 32, "learning_rate": 0.02, "validate_every": 20} | settings))
    objective = objective or SelfAdversarial()
    return Trainer(
        model,
        sampler(data.num_nodes, 8) if sampler else None,
        objective,
        data,
        config,
        folder=folder,
        callbacks=callbacks,
        progress=False,
    )


FULL = {"sampler": None, "objective": OneVsAll(), "scorer": DistMult, "both_sides": True, "learning_rate": 0.1}


def weights(trainer):
    return {k: v.clone() for m in trainer.modules.values() for k, v in m.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_training_learns_the_graph(kin):
    trainer = make(kin, steps=600, validate_every=200)
    result = trainer.fit()
    assert result.best["mrr"] > 0.5  # chance is 0.08
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert [x["step"] for x in result.history] == [200, 400, 600]


def test_one_vs_all_needs_no_sampler_and_learns(kin):
    result = make(kin, sampler=None, objective=OneVsAll(), scorer=DistMult, steps=300, validate_every=300).fit()
    assert result.best["mrr"] > 0.2
    with pytest.raises(ValueError, match="needs negatives"):
        make(kin, sampler=None)


def test_the_best_model_is_restored(kin):
    class Spoiler(Callback):
        def on_validation(self, trainer, step, metrics):
            if step == 40:
                torch.nn.init.uniform_(trainer.model.node_emb.weight)  # worse from here on

    trainer = make(kin, callbacks=[Spoiler()], learning_rate=0.05)
    result = trainer.fit()
    assert result.best_step == 40
    from mmkg.evaluation import metrics, rank

    again = metrics(rank(trainer.model, trainer.validation, trainer.validation_filter))
    assert again == result.best


def test_patience_stops_early(kin):
    class Freeze(Callback):
        def on_step(self, trainer, step, losses):
            torch.nn.init.constant_(trainer.model.node_emb.weight, 0.1)  # every validation is the same

    result = make(kin, steps=500, validate_every=10, patience=3, callbacks=[Freeze()]).fit()
    assert (result.stopped, result.steps, result.best_step) == ("patience", 40, 10)


@pytest.mark.parametrize(
    ("stop_at", "options"),
    [
        *((at, {}) for at in (1, 17, 20, 33, 59)),
        (33, {"sampler": UniformSampler}),  # nothing of its own to save
        (33, {"sampler": None, "objective": OneVsAll(), "scorer": DistMult}),
        (33, {"sampler": UniformSampler, "learning_rate": 5.0}),  # the best lies before the stop
        (33, {"patience": 2, "learning_rate": 5.0, "checkpoint_every": 0}),
        (33, {"sampler": UniformSampler, "optimizer": "row_adagrad"}),
        (33, {"sampler": SharedSampler, "optimizer": "row_adam"}),
        (33, FULL | {"optimizer": "adagrad"}),
        (33, FULL | {"optimizer": "row_adagrad", "together": 4}),
        (1, FULL | {"optimizer": "adagrad", "together": 4, "regulariser": "n3", "regulariser_weight": 0.01}),
    ],
)
def test_resume_is_the_same_to_the_bit(kin, tmp_path, stop_at, options):
    whole = make(kin, folder=tmp_path / "whole", **options)
    expected = whole.fit()

    class Stop(Callback):
        def on_step(self, trainer, step, losses):
            if step == stop_at:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingInterrupted, match=f"stopped after step {stop_at} of 60"):
        make(kin, folder=tmp_path / "parts", callbacks=[Stop()], **options).fit()
    resumed = make(kin, folder=tmp_path / "parts", **options)
    torch.nn.init.zeros_(resumed.model.node_emb.weight)  # must not matter
    found = resumed.fit(resume=True)
    assert same(weights(whole), weights(resumed))
    for a, b in zip(expected.history, found.history, strict=True):
        assert {k: v for k, v in a.items() if k != "seconds"} == {k: v for k, v in b.items() if k != "seconds"}
    again = make(kin, folder=tmp_path / "parts", **options)  # there is nothing left to do
    assert again.fit(resume=True).steps == expected.steps
    assert same(weights(whole), weights(again))


def test_a_damaged_checkpoint_is_passed_over(kin, tmp_path):
    make(kin, folder=tmp_path, steps=60, checkpoint_every=20).fit()
    latest, before = Checkpoints(tmp_path).paths()
    latest.write_bytes(latest.read_bytes()[:100])
    with pytest.warns(UserWarning, match="damaged checkpoint"):
        _, meta = Checkpoints(tmp_path).latest()
    assert meta["step"] == 40
    assert before.name == "step-00000040.safetensors"


def test_resume_with_other_settings_is_refused(kin, tmp_path):
    make(kin, folder=tmp_path).fit()
    with pytest.raises(DataError, match=r"batch_size: 32 then, 16 now"):
        make(kin, folder=tmp_path, batch_size=16).fit(resume=True)


def test_held_out_triples_do_not_reach_training(kin):
    class Record(Callback):
        def __init__(self):
            self.ids = []

        def on_negatives(self, trainer, step, batch, side, negatives, scores):
            self.ids.append(negatives.ids.clone())

    def run(data):
        record = Record()
        trainer = make(data, callbacks=[record], validate_every=0, steps=20)
        trainer.fit()
        return record.ids, weights(trainer)

    ids, parameters = run(kin)
    other = kin.clone()
    held_out = ~kin.train_mask
    other.edge_index = kin.edge_index.clone()
    other.edge_index[:, held_out] = other.edge_index[:, held_out].flip(0)
    other.edge_type = torch.where(held_out, (kin.edge_type + 1) % 4, kin.edge_type)
    other_ids, other_parameters = run(other)
    assert all(torch.equal(a, b) for a, b in zip(ids, other_ids, strict=True))
    assert same(parameters, other_parameters)


def test_validation_does_not_filter_with_test(kin):
    trainer = make(kin)
    h, r, t = kin.edge_index[0], kin.edge_type, kin.edge_index[1]
    test = kin.test_mask
    assert not trainer.validation_filter.contains(h[test], r[test], t[test]).any()
    assert trainer.validation_filter.contains(h[kin.val_mask], r[kin.val_mask], t[kin.val_mask]).all()


@pytest.mark.parametrize(("schedule", "last"), [("constant", 1.0), ("linear", 1 / 50), ("cosine", 0.000986)])
def test_the_schedule_is_applied_to_both_rates(kin, schedule, last):
    class Rates(Callback):
        def __init__(self):
            self.seen = []

        def on_negatives(self, trainer, step, *_):
            self.seen.append([o.param_groups[0]["lr"] for o in trainer.optimizers])

    rates = Rates()
    settings = {"steps": 60, "warmup": 10, "schedule": schedule, "learning_rate": 0.1, "sampler_learning_rate": 0.01}
    make(kin, callbacks=[rates], validate_every=0, **settings).fit()
    scorer, sampler = (torch.tensor(x) for x in zip(*rates.seen, strict=True))
    torch.testing.assert_close(scorer, sampler * 10)
    assert scorer[:10].tolist() == pytest.approx([0.1 * (i + 1) / 11 for i in range(10)])
    assert float(scorer[10]) == pytest.approx(0.1)
    assert float(scorer[-1]) == pytest.approx(0.1 * last, rel=1e-2)


def test_both_sides_are_corrupted_in_turn(kin):
    class Sides(Callback):
        def __init__(self):
            self.seen = []

        def on_negatives(self, trainer, step, batch, side, negatives, scores):
            self.seen.append(side)
            facts = trainer.facts
            assert not facts.mask(batch, side, negatives.ids)[negatives.valid].any()

    sides = Sides()
    make(kin, steps=6, validate_every=0, callbacks=[sides]).fit()
    assert sides.seen == ["tail", "head"] * 3


def test_a_loss_that_is_no_number_stops_with_step_and_triple(kin):
    class Poison(Callback):
        def on_step(self, trainer, step, losses):
            if step == 3:
                torch.nn.init.constant_(trainer.model.node_emb.weight, float("nan"))

    with pytest.raises(
        NumericsError, match=r"loss is nan \(of objective\) at step 4; first triples .* \[\d+, \d+, \d+\]"
    ):
        make(kin, callbacks=[Poison()]).fit()


def test_bf16_stays_close_to_float32(kin):
    def losses(precision):
        class Record(Callback):
            def __init__(self):
                self.seen = []

            def on_step(self, trainer, step, losses):
                self.seen.append(losses["loss"])

        record = Record()
        options = {"sampler": None, "objective": OneVsAll(), "scorer": DistMult}  # scored by a matrix product
        make(kin, callbacks=[record], steps=20, validate_every=0, precision=precision, **options).fit()
        return record.seen

    full = losses("no")
    with pytest.raises(DataError, match="precision bf16 after another one"):
        losses("bf16")
    AcceleratorState._reset_state(reset_partial_state=True)
    half = losses("bf16")
    assert half == pytest.approx(full, rel=0.03)
    assert half != full


def test_clipping_bounds_the_step(kin):
    trainer = make(kin, clip=1e-12, steps=1, validate_every=0, sampler=UniformSampler)
    before = weights(trainer)
    trainer.fit()
    moved = max(float((before[k] - v).abs().max()) for k, v in weights(trainer).items())
    assert moved < 1e-4  # Adam's step would be 0.02, were the gradient not far below its epsilon


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"schedule": "sine"}, "schedule 'sine': choose one of constant, linear, cosine"),
        ({"precision": "fp8"}, "precision 'fp8'"),
        ({"patience": 2, "validate_every": 0}, "patience is 2"),
        ({"warmup": -1}, "warmup is -1"),
        ({"clip": -1.0}, "clip is -1"),
        ({"epochs": 0}, "epochs is 0"),
        ({"optimizer": "sgd"}, "optimizer 'sgd': choose one of adam, adagrad, row_adagrad"),
        ({"regulariser": "l3", "regulariser_weight": 0.1}, "regulariser 'l3'"),
        ({"regulariser": "n3"}, "give both"),
        ({"regulariser_weight": 0.1}, "give both"),
        ({"together": 0, "both_sides": True}, "together is 0"),
        ({"together": 8}, "together is 8, which needs both_sides"),
        ({"relation_weight": -1.0}, "relation_weight is -1"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**settings)


def test_parts_that_do_not_fit_are_told(kin):
    view = kin.clone()
    del view.val_mask
    with pytest.raises(DataError, match=r"data has no val_mask. Cure: give the whole graph"):
        make(view)
    with pytest.raises(DataError, match=r"data is a list. Cure: give the graph, .* dataset\[0\]"):
        Trainer(DistMult(3, 1, 4), UniformSampler(3, 2), SelfAdversarial(), [kin], TrainConfig(steps=1))
    for model, told in (
        (DistMult(kin.num_nodes - 1, kin.num_relations, 4), "the model has .* nodes, the graph"),
        (DistMult(kin.num_nodes, kin.num_relations + 1, 4), "the model has .* relations, the graph"),
        (torch.nn.Linear(1, 1), "the model is a Linear and no mmkg scorer"),
    ):
        with pytest.raises(DataError, match=told):
            Trainer(model, UniformSampler(kin.num_nodes, 2), SelfAdversarial(), kin, TrainConfig(steps=1))
    model = DistMult(kin.num_nodes, kin.num_relations, 4)
    with pytest.raises(DataError, match="the sampler is the class UniformSampler"):
        Trainer(model, UniformSampler, SelfAdversarial(), kin, TrainConfig(steps=1))


def test_empty_splits_say_so(kin):
    data = kin.clone()
    data.val_mask = torch.zeros_like(kin.val_mask)
    with pytest.raises(DataError, match="validation split is empty"):
        make(data)
    data.train_mask = data.val_mask
    with pytest.raises(ValueError, match="train split is empty"):
        make(data, validate_every=0)


def test_no_two_purposes_and_no_two_seeds_share_a_stream():
    from mmkg.training import stream

    purposes = ("scorer", "sampler", "batches", "negatives", "shuffle")
    first = {
        tuple(torch.rand(4, generator=torch.Generator().manual_seed(stream(seed, what))).tolist())
        for what in purposes
        for seed in range(50)
    }
    assert len(first) == 250


def test_losses_are_not_hoarded_without_validation(kin):
    trainer = make(kin, steps=150, validate_every=0)
    trainer.fit()
    assert len(trainer.losses) == 100


def test_true_triples_outside_all_splits_filter_validation_and_not_training(kin):
    kin.extra_filter = torch.tensor([[0], [0], [30]])
    trainer = make(kin)
    triple = [torch.tensor([x]) for x in (0, 0, 30)]
    assert trainer.validation_filter.contains(*triple)
    assert not trainer.facts.contains(*triple)


@pytest.mark.parametrize("kept", [True, False])
def test_callbacks_are_told_when_a_checkpoint_is_due(kin, tmp_path, kept):
    class Due(Callback):
        def __init__(self, stop_at=None):
            self.steps, self.stop_at = [], stop_at

        def on_step(self, trainer, step, losses):
            if step == self.stop_at:
                os.kill(os.getpid(), signal.SIGINT)

        def on_checkpoint(self, trainer, step):
            assert not kept or f"step-{step:08d}.safetensors" not in {p.name for p in trainer.checkpoints.paths()}
            self.steps.append(step)

    due, settings = Due(), {"steps": 25, "checkpoint_every": 10, "validate_every": 0}
    make(kin, folder=tmp_path / "whole" if kept else None, callbacks=[due], **settings).fit()
    assert due.steps == [10, 20, 25]
    stopped = Due(stop_at=13)
    with pytest.raises(TrainingInterrupted):
        make(kin, folder=tmp_path / "parts" if kept else None, callbacks=[stopped], **settings).fit()
    assert stopped.steps == [10, 13]


class End(Callback):
    """Notes how training ended, after failing itself if it is asked to."""

    def __init__(self, ends, at=None, how=None, fails=False):
        self.ends, self.at, self.how, self.fails = ends, at, how, fails

    def on_step(self, trainer, step, losses):
        if step == self.at:
            self.how()

    def on_end(self, trainer, error):
        self.ends.append((trainer.step, type(error)))
        if self.fails:
            raise OSError("disk full")


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def fail():
    raise RuntimeError("power cut")


@pytest.mark.parametrize(
    ("how", "kind", "step"),
    [(None, type(None), 9), (interrupt, TrainingInterrupted, 4), (fail, RuntimeError, 4)],
)
def test_callbacks_are_told_of_the_end_however_it_comes(kin, how, kind, step):
    ends = []
    trainer = make(kin, callbacks=[End(ends, 4, how or (lambda: None)), End(ends)], steps=9, validate_every=0)
    if how is None:
        trainer.fit()
    else:
        with pytest.raises(kind):
            trainer.fit()
    assert ends == [(step, kind)] * 2


def test_a_callback_that_fails_at_the_end_keeps_no_other_from_it(kin):
    ends = []
    with pytest.raises(OSError, match="disk full"):
        make(kin, callbacks=[End(ends), End(ends, fails=True)], steps=3, validate_every=0).fit()
    assert ends == [(3, type(None)), (3, OSError)]


def test_the_best_model_so_far_can_be_taken_after_an_interruption(kin):
    trainer = make(kin, callbacks=[End([], 15, interrupt)], steps=40, validate_every=10)
    with pytest.raises(TrainingInterrupted):
        trainer.fit()
    latest = trainer.model.node_emb.weight.clone()
    trainer.take_best()
    assert trainer.result.best_step == 10
    assert torch.equal(trainer.model.node_emb.weight, trainer.best["model"]["node_emb.weight"])
    assert not torch.equal(trainer.model.node_emb.weight, latest)


def test_epochs_are_counted_in_steps(kin):
    trainer = make(kin, epochs=3, batch_size=64, validate_every=2, checkpoint_every=1, warmup=1)
    assert trainer.config.steps == 3 * 4  # 200 train triples: three batches of 64 and one of 8
    assert (trainer.config.validate_every, trainer.config.checkpoint_every, trainer.config.warmup) == (8, 4, 4)
    result = trainer.fit()
    assert (result.steps, result.steps_per_epoch) == (12, 4)
    assert [x["step"] for x in result.history] == [8, 12]
    assert trainer.epoch == 2  # the third, and no batch of a fourth


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adagrad"},
        {"optimizer": "row_adagrad", "together": 8},
        {"optimizer": "adagrad", "regulariser": "dura", "regulariser_weight": 1e-3, "relation_weight": 0.1},
        {"optimizer": "adam", "learning_rate": 0.02, "objective": KvsAll(), "steps": 300},
    ],
)
def test_every_way_of_training_over_all_entities_learns(kin, options):
    settings = FULL | {"steps": 200, "validate_every": 100, "batch_size": 50, "subsampling": False} | options
    before = make(kin, **settings)
    from mmkg.evaluation import metrics, rank

    start = metrics(rank(before.model, before.validation, before.validation_filter))["mrr"]
    found = make(kin, **settings).fit()
    assert found.best["mrr"] > max(0.2, 2 * start)


@pytest.mark.parametrize("objective", [MarginRanking(2.0), Logistic(), SampledCrossEntropy()])
def test_every_way_of_training_with_negatives_learns(kin, objective):
    result = make(kin, objective=objective, steps=400, validate_every=400, both_sides=True).fit()
    assert result.best["mrr"] > 0.4  # chance is 0.08


def test_both_sides_draw_negatives_for_both(kin):
    class Sides(Callback):
        seen = ()

        def on_negatives(self, trainer, step, batch, side, negatives, scores):
            self.seen = (*self.seen, (step, side))

    sides = Sides()
    make(kin, steps=2, validate_every=0, callbacks=[sides], both_sides=True).fit()
    assert sides.seen == ((1, "tail"), (1, "head"), (2, "tail"), (2, "head"))


def test_row_wise_adagrad_touches_the_rows_of_a_batch_alone(kin):
    class Gradients(Callback):
        sparse = None

        def on_negatives(self, trainer, step, *_):
            self.sparse = trainer.model.node_emb.sparse

    gradients = Gradients()
    settings = {"optimizer": "row_adagrad", "steps": 5, "validate_every": 0, "learning_rate": 0.1}
    by_rows = make(kin, callbacks=[gradients], sampler=UniformSampler, **settings)
    by_rows.fit()
    assert gradients.sparse
    dense = make(kin, sampler=UniformSampler, clip=1e9, **settings)
    dense.fit()
    assert not dense.model.node_emb.sparse
    torch.testing.assert_close(by_rows.model.node_emb.weight, dense.model.node_emb.weight)
    # the same model can be trained on by an optimiser that knows dense gradients only
    config = TrainConfig(steps=2, batch_size=32, validate_every=0)
    Trainer(by_rows.model, UniformSampler(60, 8), SelfAdversarial(), kin, config, progress=False).fit()
