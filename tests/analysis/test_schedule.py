"""Probes are made when planned and when they can be afforded, with a clock that passes as told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkg.analysis.schedule import Schedule


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def run(schedule, clock, steps, step_seconds, probe_seconds, batches=1.0):
    """Steps at which was probed, and spent over allowed after each step."""
    made, overdrawn = [], []
    for step in range(1, steps + 1):
        clock.now += step_seconds(step)
        if step == 1:
            schedule.begin(step, steps, batches)
        if schedule.due(step):
            with schedule.probing(step):
                clock.now += probe_seconds(step)
            made.append(step)
        if schedule.share is not None:
            overdrawn.append(schedule.spent - schedule.share * schedule.training)
    return made, overdrawn


def test_without_a_bound_the_plan_is_kept():
    clock = Clock()
    made, _ = run(Schedule(4, None, clock), clock, 10, lambda s: 1.0, lambda s: 50.0)
    assert made == [1, 4, 8, 10]


def test_fifty_probes_are_planned_by_default():
    clock = Clock()
    made, _ = run(Schedule(None, None, clock), clock, 1000, lambda s: 1.0, lambda s: 0.0)
    assert made == [1, *range(20, 1001, 20)]


def test_cheap_probes_keep_to_the_plan_once_timed():
    clock = Clock()
    made, _ = run(Schedule(10, 0.05, clock), clock, 60, lambda s: 1.0, lambda s: 0.01, batches=0.5)
    assert made == [11, 20, 30, 40, 50, 60]  # 0.5 s were expected of the first, which 5 % of ten seconds afford


def test_a_dear_probe_is_remembered():
    clock = Clock()
    dear = lambda s: 4.0 if s < 20 else 0.1  # noqa: E731
    schedule = Schedule(1, 0.1, clock)
    made, _ = run(schedule, clock, 130, lambda s: 1.0, dear, batches=1.0)
    assert made[0] == 11
    assert made[1] == 81  # 4 s spent and 4 s expected: 10 % of 80 s
    assert made[2] == 82  # still expected to cost 4 s: 8.1 s need 81 s
    assert made[4] == made[3] + 1  # the dear one is forgotten


@given(
    share=st.floats(0.01, 0.5),
    every=st.integers(1, 30),
    seed=st.integers(0, 2**32 - 1),
    batches=st.floats(0.1, 10),
)
def test_the_bound_is_overdrawn_by_no_more_than_an_expectation_was_wrong(share, every, seed, batches):
    clock, chance = Clock(), np.random.default_rng(seed)
    probe, step = 10 ** chance.uniform(-3, 0.7, 200), 10 ** chance.uniform(-2, 0.3, 200)
    schedule = Schedule(every, share, clock)
    made, overdrawn = run(schedule, clock, 200, lambda s: step[s - 1], lambda s: probe[s - 1], batches)
    assert schedule.spent == pytest.approx(sum(probe[s - 1] for s in made))
    assert schedule.training + schedule.spent == pytest.approx(sum(step[1:]) + schedule.spent)
    dearest = max((probe[s - 1] for s in made), default=0.0)
    assert max(overdrawn) <= dearest + 1e-6
    assert 1 not in made


@given(share=st.floats(0.01, 0.5), cost=st.floats(0.001, 5), every=st.integers(1, 30))
def test_probes_of_equal_cost_keep_the_bound_at_every_moment(share, cost, every):
    clock = Clock()
    schedule = Schedule(every, share, clock)
    made, overdrawn = run(schedule, clock, 300, lambda s: 1.0, lambda s: cost, batches=cost)  # a right first guess
    assert max(overdrawn) <= 1e-6
    if made:
        assert schedule.cost()["share"] <= share + 1e-9


def test_the_cost_says_how_many_steps_waited():
    clock = Clock()
    schedule = Schedule(100, 0.1, clock)
    run(schedule, clock, 50, lambda s: 1.0, lambda s: 1.0, batches=2.0)
    cost = schedule.cost()
    assert cost["probes"] == 2  # due at once, afforded after 20 s, and at the end
    assert cost["steps_waited"] == 19  # 2 to 20; the first step times nothing
    assert cost["seconds"] == pytest.approx(2.0)
    assert cost["training_seconds"] == pytest.approx(49.0)


@pytest.mark.parametrize(("options", "told"), [((0, 0.05), "every is 0"), ((1, 0.0), "share is 0"), ((1, -1), "share")])
def test_options_are_checked(options, told):
    with pytest.raises(ValueError, match=told):
        Schedule(*options)
