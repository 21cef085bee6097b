"""The questions of a step are made on the host, ahead where a GPU computes, and are the same after a stop."""

import os
import signal

import pytest
import torch
from accelerate.state import AcceleratorState

from mmkg.graph import Facts
from mmkg.samplers import MMRNS, BernoulliSampler
from mmkg.scorers import DistMult
from mmkg.training import Callback, SelfAdversarial, TrainConfig, Trainer, TrainingInterrupted
from mmkg.training.questions import Questions

HOST = torch.device("cpu")


@pytest.fixture(autouse=True)
def fresh_accelerator():
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def mmrns():
    torch.manual_seed(3)
    return MMRNS(60, 16, 16, num_negatives=6, pool_size=20)


def questions_of(kin, sampler, *, ahead, **settings):
    triples = torch.stack([kin.edge_index[0], kin.edge_type, kin.edge_index[1]], dim=1)[kin.train_mask]
    facts, generator = Facts.from_data(kin), torch.Generator().manual_seed(8)
    config = TrainConfig(**({"batch_size": 64} | settings))
    return Questions(triples, facts, sampler, config, HOST, generator, ahead=ahead)


def told(asked):
    """All that questions say, as lists."""
    found = []
    for q in (q for side in asked for q in side):
        plan = [] if q.plan is None else [q.plan.pool.tolist(), q.plan.known.tolist(), q.plan.answers.tolist()]
        found.append([q.side, *(x.tolist() for x in (q.batch.head, q.batch.relation, q.batch.tail)), *plan])
    return found


@pytest.mark.parametrize("settings", [{}, {"both_sides": True}, {"both_sides": True, "together": 3}], ids=str)
@pytest.mark.parametrize("make", [mmrns, lambda: BernoulliSampler(60, 5), lambda: None], ids=["mmrns", "bern", "none"])
def test_ahead_or_not_the_questions_are_the_same_and_go_on_after_a_stop(kin, make, settings):
    plain, early = (questions_of(kin, make(), ahead=ahead, **settings) for ahead in (False, True))
    expected, found = [], []
    for step in range(11):  # nearly three epochs of 200 triples
        expected.append(told(plain.next(step)))
        found.append(told(early.next(step)))
        assert early.epoch == plain.epoch == step // 4
        early.prepare(step + 1)
        assert early.epoch == step // 4  # not yet that of the questions made ahead
        if step in (2, 3):  # within an epoch, and at its end
            random, place = early.state()
            early = questions_of(kin, make(), ahead=True, **settings)
            early.generator.manual_seed(99)  # must not matter
            early.restore({k: v.clone() for k, v in random.items()}, dict(place))
    assert found == expected


def test_plans_are_made_from_host_facts_and_taken(kin, monkeypatch):
    asked, taken = [], []

    class Spy(MMRNS):
        def plan(self, *args, **options):
            asked.append(super().plan(*args, **options))
            return asked[-1]

        def sample(self, *args, plan=None, **options):
            taken.append(plan)
            return super().sample(*args, plan=plan, **options)

    monkeypatch.setattr("mmkg.samplers.mmrns.plan.Plan.to", lambda plan, device: plan)
    trainer = make(kin, sampler=Spy(60, 16, 16, num_negatives=6, pool_size=20), steps=5, validate_every=0)
    trainer.fit()
    assert len(taken) == len(asked) == 5
    assert all(one is other for one, other in zip(asked, taken, strict=True))


def make(kin, *, sampler=None, folder=None, callbacks=(), **settings):
    torch.manual_seed(7)
    config = TrainConfig(**({"steps": 30, "batch_size": 32, "learning_rate": 0.02, "validate_every": 10} | settings))
    model = DistMult(60, 4, 16)
    return Trainer(
        model,
        sampler or mmrns(),
        SelfAdversarial(),
        kin,
        config,
        folder=folder,
        callbacks=callbacks,
        progress=False,
    )


@pytest.mark.parametrize("stop_at", [6, 7, 19])
@pytest.mark.parametrize("both", [False, True])
def test_a_run_that_prepares_ahead_resumes_to_the_bit(kin, tmp_path, monkeypatch, stop_at, both):
    monkeypatch.setattr("mmkg.training.trainer.apart", lambda device: True)  # as with a GPU
    whole = make(kin, folder=tmp_path / "whole", both_sides=both)
    whole.fit()

    class Stop(Callback):
        def on_step(self, trainer, step, losses):
            if step == stop_at:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingInterrupted):
        make(kin, folder=tmp_path / "parts", both_sides=both, callbacks=[Stop()]).fit()
    resumed = make(kin, folder=tmp_path / "parts", both_sides=both)
    resumed.fit(resume=True)
    for name, module in whole.modules.items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, resumed.modules[name].state_dict()[key]), (name, key)
