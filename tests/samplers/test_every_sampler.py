"""What holds of every negative sampler, whatever its law."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sampler_world import make_features, seeded
from torch_geometric.data import Data

from mmkg.graph.facts import Facts
from mmkg.samplers import KBGAN, MMRNS, SAMPLERS, SANS, FrequencySampler, NSCaching, SharedSampler, TypedSampler
from mmkg.scorers import DistMult, fuse
from mmkg.training import Callback, SelfAdversarial, TrainConfig, Trainer
from mmkg.types import SIDES, Batch

R, K, DIM = 3, 5, 4


def mmrns(n, facts):
    return MMRNS(n, DIM, DIM, num_negatives=min(K, n), pool_size="all", gate_dim=4)


BUILDERS = {name: (lambda n, facts, kind=kind: kind(n, K)) for name, kind in SAMPLERS.items()} | {
    "nscaching": lambda n, facts: NSCaching(n, K, facts, cache_size=4, candidates=3),
    "kbgan": lambda n, facts: KBGAN(n, K, R, candidates=4, dim=DIM),
    "mmrns": mmrns,
    "shared": lambda n, facts: SharedSampler(n, min(K, n)),
    # and options that take other ways through the code
    "frequency_same_side": lambda n, facts: FrequencySampler(n, K, count="same", power=1.0),
    "typed_strict": lambda n, facts: TypedSampler(n, K, fallback="none"),
    "sans_walks": lambda n, facts: SANS(n, K, walks=3),
    "sans_strict": lambda n, facts: SANS(n, K, fallback="none", keep_mb=0.0),
    "nscaching_lazy": lambda n, facts: NSCaching(n, K, facts, cache_size=2, candidates=6, refresh_every=2),
}
NAMES = sorted(BUILDERS)
EVERYBODY = {
    "uniform",
    "bernoulli",
    "typed",
    "sans",
    "sans_walks",
    "nscaching",
    "nscaching_lazy",
    "kbgan",
    "mans",
    "mmrns",
}
"""Samplers that give every row a negative as long as there is an unknown entity."""


def build(name, n, facts):
    torch.manual_seed(1)
    return BUILDERS[name](n, facts)


def model_of(n):
    torch.manual_seed(2)
    return fuse(DistMult(n, R, DIM), {"image": make_features(n, 2, 3, 0.5), "text": make_features(n, 2, 3, 0.2)})


def graph(seed, entities, triples):
    generator = seeded(seed)
    h, t = torch.randint(entities, (2, triples), generator=generator)
    return h, torch.randint(R, (triples,), generator=generator), t


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 9),
    st.integers(1, 50),
    st.integers(1, 12),
    st.sampled_from(SIDES),
    st.booleans(),
)
def test_never_a_known_answer(name, seed, entities, triples, size, side, strangers):
    h, r, t = graph(seed, entities, triples)
    facts, model = Facts(h, r, t, entities, R), model_of(entities)
    batch = Batch(h[:size], r[:size], t[:size])
    if strangers:  # rows that the facts do not know: their own answers must not come either
        batch = Batch(*graph(seed + 1, entities, size))
    sampler = build(name, entities, facts)
    for step in range(3):  # a sampler with a memory meets the same questions again
        drawn = sampler.sample(batch, side, model, facts, seeded(seed + step), step)
        width = min(K, entities) if name in ("mmrns", "shared") else K
        assert drawn.ids.shape == drawn.valid.shape == drawn.log_prob.shape == (len(batch), width)
        assert ((drawn.ids >= 0) & (drawn.ids < entities)).all()
        wrong = facts.mask(batch, side, drawn.ids) | (drawn.ids == batch.answer(side)[:, None])
        assert not wrong[drawn.valid].any()
        assert drawn.log_prob.isfinite().all()
        assert (drawn.log_prob <= 1e-6).all()
        known = facts.mask(batch, side)
        known[torch.arange(len(batch)), batch.answer(side)] = True
        assert not drawn.valid[known.all(1)].any()  # a question with every entity known
        if name in EVERYBODY:
            assert torch.equal(drawn.valid.any(1), ~known.all(1))
        score = model.score_tails if side == "tail" else model.score_heads
        asked = (batch.head, batch.relation) if side == "tail" else (batch.relation, batch.tail)
        scores = score(*asked, drawn.candidates)
        own = sampler.loss(drawn, scores, scores[:, 0])
        assert own is None or own.isfinite()
        sampler.update(drawn, scores.detach())


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(SIDES))
def test_held_out_triples_change_nothing_and_seeds_everything(name, seed, side):
    h, r, t = graph(seed, 12, 40)
    train = torch.arange(40) < 25
    drawn = []
    for other in range(3):
        ho, ro, to = graph(seed + other, 12, 40)
        held = train.logical_not()
        data = Data(edge_index=torch.stack([torch.where(held, ho, h), torch.where(held, to, t)]), num_nodes=12)
        data.edge_type, data.num_relations, data.train_mask = torch.where(held, ro, r), R, train
        data.val_mask, data.test_mask = held, held
        facts = Facts.from_data(data, ("train",))
        sampler, model, ids = build(name, 12, facts), model_of(12), []
        for step in range(2):
            batch = Batch(h[train], r[train], t[train])
            ids.append(sampler.sample(batch, side, model, facts, seeded(seed + (other == 2)), step))
        drawn.append(ids)
    for one, same in zip(drawn[0], drawn[1], strict=True):
        assert torch.equal(one.ids, same.ids)
        assert torch.equal(one.valid, same.valid)
        assert torch.equal(one.log_prob, same.log_prob)
    assert not torch.equal(drawn[0][0].ids, drawn[2][0].ids)


@pytest.mark.parametrize("name", NAMES)
def test_saved_state_goes_on_as_if_there_had_been_no_stop(name, kin, tmp_path):
    # a memory, a generator or a baseline that were not in the state would show after the stop
    def trainer(steps, folder):
        torch.manual_seed(0)
        features = {"image": make_features(60, 2, 3, 0.3)}
        model = fuse(DistMult(60, 4, 6), features)
        sampler = BUILDERS[name](60, Facts.from_data(kin))
        if name == "kbgan":
            sampler = KBGAN(60, K, 4, candidates=6, dim=4)
        if name == "mmrns":
            sampler = MMRNS(60, 6, 6, num_negatives=K, pool_size=20)
        config = TrainConfig(steps=12, batch_size=50, validate_every=0, checkpoint_every=5, sampler_learning_rate=0.01)
        return Trainer(model, sampler, SelfAdversarial(), kin, config, folder=folder, progress=False)

    class Stop(Exception):
        pass

    class StopAt(Callback):
        def on_step(self, trainer, step, losses):
            if step == 8:
                raise Stop

    whole = trainer(12, tmp_path / "whole")
    whole.fit()
    cut = trainer(12, tmp_path / "cut")
    cut.callbacks = (StopAt(),)
    with pytest.raises(Stop):
        cut.fit()
    resumed = trainer(12, tmp_path / "cut")
    resumed.fit(resume=True)
    for part in ("model", "sampler"):
        one, other = getattr(whole, part).state_dict(), getattr(resumed, part).state_dict()
        assert one.keys() == other.keys()
        for key in one:
            assert torch.equal(one[key], other[key]), key


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_mode_leaves_the_sampler_alone(name):
    h, r, t = graph(3, 12, 40)
    facts, model = Facts(h, r, t, 12, R), model_of(12)
    sampler = build(name, 12, facts).eval()
    before = copy.deepcopy(sampler.state_dict())
    sampler.sample(Batch(h, r, t), "tail", model, facts, seeded())
    for key, value in sampler.state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize("name", NAMES)
def test_facts_of_another_graph_and_unknown_sides_are_refused(name):
    h, r, t = graph(3, 12, 40)
    facts, batch = Facts(h, r, t, 12, R), Batch(h, r, t)
    sampler, model = build(name, 12, facts), model_of(12)
    with pytest.raises(ValueError, match="side 'relation'"):
        sampler.sample(batch, "relation", model, facts)
    with pytest.raises(ValueError, match="facts of 13 entities"):
        sampler.sample(batch, "tail", model, Facts(h, r, t, 13, R))


def test_every_sampler_is_tested_here():
    assert set(SAMPLERS) <= set(BUILDERS)
