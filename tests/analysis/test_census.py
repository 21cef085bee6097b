"""A census says what was drawn, changes nothing, survives Ctrl-C, and keeps to its budget."""

import inspect
import os
import signal

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from accelerate.state import AcceleratorState
from census_world import Cached, hand_made, mmrns, same, trainer, weights

from mmkg.analysis.census import Census, read_census
from mmkg.analysis.census_rows import CENSUS
from mmkg.analysis.recorder import Recorder
from mmkg.errors import DataError
from mmkg.graph import Facts, mine_patterns, relation_categories
from mmkg.samplers import UniformSampler
from mmkg.training import Callback, OneVsAll, TrainingInterrupted

SAMPLERS = {
    "uniform": lambda data: UniformSampler(data.num_nodes, 6),
    "cached": lambda data: Cached(data.num_nodes, 6),
    "mmrns": mmrns,
    "mmrns, typed": lambda data: mmrns(data, pool="typed"),
}


class Stop(Callback):
    def __init__(self, at, how=signal.SIGINT):
        self.at, self.how = at, how

    def on_step(self, trainer, step, losses):
        if step == self.at:
            os.kill(os.getpid(), self.how)


def census(data, folder, **options):
    return Census(data, folder, **({"overhead": None, "every": 8, "probe": 20} | options))


@pytest.fixture(scope="module")
def taken(crowd_once, tmp_path_factory):
    """A graph, what was trained, and its census under MMRNS."""
    data = crowd_once
    watcher = census(data, tmp_path_factory.mktemp("census") / "census", provenance={"run": "a test"})
    trained = trainer(data, mmrns(data), callbacks=[watcher])
    trained.fit()
    AcceleratorState._reset_state(reset_partial_state=True)
    return data, trained, watcher


@pytest.mark.parametrize("kind", [Census, Recorder])
def test_it_looks_like_a_callback(kind):
    for name, method in inspect.getmembers(Callback, inspect.isfunction):
        if name.startswith("on_"):
            wanted = list(inspect.signature(method).parameters)
            assert list(inspect.signature(getattr(kind, name)).parameters) == wanted


def test_rows_are_those_of_the_schema_and_of_the_plan(taken):
    _, _, watcher = taken
    rows = read_census(watcher.files.folder)
    assert list(rows.columns) == CENSUS.names
    assert sorted(rows.step.unique()) == [1, 8, 16, 24]
    counts = rows.groupby(["step", "source", "side"], observed=True).size()
    assert set(counts) == {20 * 6}
    assert (rows.groupby(["step", "source", "side", "row"], observed=True).place.max() == 5).all()


def test_rows_say_what_the_graph_says(taken):
    data, _, watcher = taken
    rows = watcher.frame()
    facts = {s: Facts.from_data(data, (s,)) for s in ("train", "val", "test")}
    head = rows.h.where(rows.side == "tail", rows.negative)
    tail = rows.negative.where(rows.side == "tail", rows.t)
    triple = [torch.tensor(x.to_numpy(), dtype=torch.long) for x in (head, rows.r, tail)]
    for split, known in facts.items():
        assert known.contains(*triple).tolist() == rows[f"in_{split}"].tolist()
    assert not rows.in_train.any()
    assert rows.held_out.tolist() == (rows.in_val | rows.in_test).tolist()
    assert rows.held_out.any()
    train = data.train_mask
    category = relation_categories(data.edge_index[:, train], data.edge_type[train], 4).category
    assert rows.category.astype(str).tolist() == category[rows.r].tolist()
    found = mine_patterns(data, paths=False)
    assert rows.pattern.astype(str).tolist() == found.pattern_of_relation()[rows.r].tolist()
    assert rows[rows.r == 2].patterns.str.contains("symmetric").all()
    h, t = data.edge_index[:, train].tolist()
    degree = [sum(a == e or b == e for a, b in zip(h, t, strict=True)) for e in range(60)]
    assert rows.degree_negative.tolist() == [degree[e] for e in rows.negative]
    assert rows.degree_answer.tolist() == [degree[e] for e in rows.t.where(rows.side == "tail", rows.h)]


def test_scores_are_those_of_the_model_at_the_end(taken):
    _, trained, watcher = taken
    assert trained.result.best_step == 24  # else another model is in place
    rows = watcher.frame()
    rows = rows[rows.step == 24]
    head = torch.tensor(rows.h.where(rows.side == "tail", rows.negative).to_numpy(), dtype=torch.long)
    tail = torch.tensor(rows.negative.where(rows.side == "tail", rows.t).to_numpy(), dtype=torch.long)
    relation = torch.tensor(rows.r.to_numpy(), dtype=torch.long)
    with torch.no_grad():
        scores = trained.model(head, relation, tail)
    torch.testing.assert_close(torch.tensor(rows.score.to_numpy()), scores, atol=1e-5, rtol=1e-5)


def test_what_mmrns_tells(taken):
    _, _, watcher = taken
    rows = watcher.frame()
    drawn, other = rows[rows.source == "sampler"], rows[rows.source == "uniform"]
    assert drawn.in_pool.all()
    assert 0.4 < other.in_pool.mean() < 0.9  # a pool of 40 of 60
    assert (other[other.in_pool].probability > 0).all()
    assert (other[~other.in_pool.astype(bool)].probability == 0).all()
    assert drawn.structure.between(-1.001, 1.001).all()
    assert drawn.image.isna().all()
    assert drawn.without_image.isna().all()
    # without its only modality MMRNS is uniform over the candidates that are no known answers
    assert (1 / drawn.without_structure).between(35.9, 40.1).all()
    assert drawn.entropy.between(0, 3.7).all()
    assert other.entropy.isna().all()


def test_every_column_and_file_says_what_it_is(taken):
    data, _, watcher = taken
    schema = pq.read_schema(watcher.files.paths()[0])
    assert all(field.metadata[b"means"] for field in schema)
    told = read_census(watcher.files.folder).attrs["provenance"]
    assert told["vocabulary"]["entities"] == data.num_nodes
    assert told["sampler"]["class"] == "MMRNS"
    assert told["sampler"]["gumbel_gradient"] == "descend"
    assert (told["scorer"], told["seed"], told["run"]) == ("RotatE", 0, "a test")
    assert {"date", "versions", "probe"} <= set(told)


@pytest.mark.parametrize("name", SAMPLERS)
def test_training_is_the_same_to_the_bit_with_and_without(crowd, tmp_path, name):
    alone = trainer(crowd, SAMPLERS[name](crowd))
    alone.fit()
    torch_after = torch.get_rng_state()
    watched = trainer(crowd, SAMPLERS[name](crowd), callbacks=[census(crowd, tmp_path / "census", every=1)])
    watched.fit()
    assert len(read_census(tmp_path / "census").step.unique()) == 24
    assert same(weights(alone), weights(watched))
    assert torch.equal(torch_after, torch.get_rng_state())
    assert torch.equal(alone.generator.get_state(), watched.generator.get_state())
    assert watched.sampler.training
    if name == "cached":
        assert watched.sampler.calls == alone.sampler.calls == 24
        assert len(watched.sampler.history) == 25
        assert all(torch.equal(a, b) for a, b in zip(watched.sampler.history, alone.sampler.history, strict=True))
        assert watched.sampler.by_relation.keys() == alone.sampler.by_relation.keys()


def test_held_out_triples_do_not_reach_training_through_a_census(crowd, tmp_path):
    other = crowd.clone()
    held_out = ~crowd.train_mask
    other.edge_index = crowd.edge_index.clone()
    other.edge_index[:, held_out] = other.edge_index[:, held_out].flip(0)
    other.edge_type = torch.where(held_out, (crowd.edge_type + 1) % 4, crowd.edge_type)
    found = []
    for name, data in (("a", crowd), ("b", other)):
        watcher = census(data, tmp_path / name, every=4)
        trained = trainer(data, mmrns(data), callbacks=[watcher], validate_every=0)
        trained.fit()
        found.append((weights(trained), watcher.frame()))
    assert same(found[0][0], found[1][0])
    told = ["in_val", "in_test", "held_out"]
    pd.testing.assert_frame_equal(found[0][1].drop(columns=told), found[1][1].drop(columns=told))
    assert (found[0][1][told] != found[1][1][told]).any().any()  # the census itself does know


def test_what_is_drawn_depends_on_seed_and_step_alone(crowd, tmp_path):
    frames = {}
    for every, seed in ((8, 0), (4, 0), (8, 1)):
        watcher = census(crowd, tmp_path / f"{every} {seed}", every=every, seed=seed, probe=train_triples(crowd)[:9])
        trainer(crowd, mmrns(crowd), callbacks=[watcher]).fit()
        frames[every, seed] = watcher.frame()
    often = frames[4, 0][frames[4, 0].step.isin(frames[8, 0].step.unique())].reset_index(drop=True)
    pd.testing.assert_frame_equal(often, frames[8, 0])
    assert frames[8, 1].negative.tolist() != frames[8, 0].negative.tolist()


def train_triples(data):
    return torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], dim=1)[data.train_mask]


@pytest.mark.parametrize("name", ["cached", "mmrns"])
def test_stopped_and_resumed_is_the_same_census(crowd, tmp_path, name):
    whole = census(crowd, tmp_path / "whole", every=5)
    trainer(crowd, SAMPLERS[name](crowd), callbacks=[whole]).fit()
    folder = tmp_path / "parts"
    watchers = [census(crowd, folder / "census", every=5), Stop(11)]
    with pytest.raises(TrainingInterrupted):
        trainer(crowd, SAMPLERS[name](crowd), folder=folder, callbacks=watchers).fit()
    assert read_census(folder / "census").step.max() == 10
    again = census(crowd, folder / "census", every=5, resume=True)
    trainer(crowd, SAMPLERS[name](crowd), folder=folder, callbacks=[again]).fit(resume=True)
    steps = set(again.frame().step)
    assert steps >= {1, 5, 10, 15, 20, 24}
    parts = again.frame()[again.frame().step.isin(whole.frame().step)].reset_index(drop=True)
    pd.testing.assert_frame_equal(parts, whole.frame())
    assert len(again.frame().attrs["cost"]) == 2  # one entry a session


def test_what_lies_beyond_the_checkpoint_is_drawn_anew(crowd, tmp_path):
    class Crash(Callback):
        def on_step(self, trainer, step, losses):
            if step == 20:
                raise RuntimeError("power cut")

    first = census(crowd, tmp_path / "census", every=4)
    with pytest.raises(RuntimeError, match="power cut"):
        trainer(crowd, mmrns(crowd), folder=tmp_path, callbacks=[first, Crash()], checkpoint_every=10).fit()
    assert read_census(tmp_path / "census").step.max() == 20
    again = census(crowd, tmp_path / "census", every=12, resume=True)
    trainer(crowd, mmrns(crowd), folder=tmp_path, callbacks=[again], checkpoint_every=10).fit(resume=True)
    assert sorted(again.frame().step.unique()) == [1, 4, 8, 11, 12, 24]  # 11: the first after the checkpoint


def test_a_census_is_not_written_over(crowd, tmp_path):
    watcher = census(crowd, tmp_path)
    trainer(crowd, mmrns(crowd), callbacks=[watcher], steps=8, validate_every=0).fit()
    with pytest.raises(DataError, match=r"holds 2 parts of negatives already. Cure: choose another folder"):
        census(crowd, tmp_path)
    other = census(crowd, tmp_path, resume=True, probe=21)
    with pytest.raises(DataError, match=r"negatives of another run.*probe"):
        trainer(crowd, mmrns(crowd), callbacks=[other], steps=8, validate_every=0).fit()
    assert len(read_census(tmp_path).step.unique()) == 2  # nothing was removed


def test_the_cost_is_told(taken):
    _, _, watcher = taken
    (session,) = watcher.frame().attrs["cost"]
    assert session["probes"] == len(session["detail"]) == 4
    assert [x["step"] for x in session["detail"]] == [1, 8, 16, 24]
    assert {x["rows"] for x in session["detail"]} == {2 * 2 * 20 * 6}
    assert session["seconds"] == pytest.approx(sum(x["seconds"] for x in session["detail"]), rel=0.2)


class Clock:
    """Time that passes as told: each step of training takes a second."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_probes_keep_to_their_share_of_the_time(crowd, tmp_path, monkeypatch):
    clock = Clock()
    watcher = census(crowd, tmp_path / "census", every=3, overhead=0.05, clock=clock)
    ask = watcher._probe

    def slow(trainer, step):
        clock.now += 1.5
        return ask(trainer, step)

    monkeypatch.setattr(watcher, "_probe", slow)

    class Tick(Callback):
        def on_step(self, trainer, step, losses):
            clock.now += 1.0
            assert (
                step in range(26, 30) or watcher.cost()["seconds"] <= 0.05 * watcher.cost()["training_seconds"] + 1e-9
            )

    trainer(crowd, SAMPLERS["uniform"](crowd), callbacks=[watcher, Tick()], steps=130, validate_every=0).fit()
    # before anything is measured, 40 questions to a batch of 32 are expected to take 1.25 s, which 5 % of 25 s affords;
    # that probe took 1.5 s, so for 5 s the bound is overdrawn by the error of the expectation; the next is made when
    # 5 % of the time pays for three seconds, and then for 4.5
    assert sorted(watcher.frame().step.unique()) == [26, 61, 91, 121]
    assert watcher.cost()["share"] <= 0.05


def test_a_training_too_short_for_a_probe_says_so(crowd, tmp_path):
    clock = Clock()
    watcher = census(crowd, tmp_path / "census", overhead=0.05, clock=clock)
    with pytest.warns(UserWarning, match=r"the census made no probe: .* 5% of .* Cure: train for longer"):
        trainer(crowd, SAMPLERS["uniform"](crowd), callbacks=[watcher], steps=3, validate_every=0).fit()
    with pytest.raises(DataError, match=r"no negatives. Cure: .*could not afford a probe"):
        watcher.frame()


def test_an_objective_without_negatives_is_told(crowd, tmp_path):
    with pytest.raises(DataError, match=r"OneVsAll draws no negatives. Cure: leave the census out"):
        trainer(crowd, None, objective=OneVsAll(), callbacks=[census(crowd, tmp_path)]).fit()


def test_another_graph_is_told(crowd, tmp_path):
    other = crowd.clone()
    other.num_nodes = 61
    with pytest.raises(DataError, match="census is of 61 entities and 4 relations, training of 60 and 4"):
        trainer(crowd, mmrns(crowd), callbacks=[census(other, tmp_path)]).fit()
    held_out = torch.stack([crowd.edge_index[0], crowd.edge_type, crowd.edge_index[1]], dim=1)[crowd.val_mask]
    with pytest.raises(DataError, match="does not know all triples of the probe"):
        trainer(crowd, mmrns(crowd), callbacks=[census(crowd, tmp_path, probe=held_out)]).fit()
    view = crowd.clone()
    del view.test_mask
    with pytest.raises(DataError, match="the graph has no test_mask"):
        census(view, tmp_path)
    for bad in (0, torch.zeros(0, 3), torch.zeros(3)):
        with pytest.raises(DataError, match="probe of"):
            census(crowd, tmp_path, probe=bad)


def test_a_sampler_without_probabilities_is_asked_all_the_same(crowd, tmp_path):
    watcher = census(crowd, tmp_path, reference=False)
    trainer(crowd, SAMPLERS["cached"](crowd), callbacks=[watcher], steps=8, validate_every=0).fit()
    rows = watcher.frame()
    assert rows.probability.isna().all()
    assert rows.in_pool.isna().all()
    assert set(rows.source) == {"sampler"}


def test_places_without_a_negative_are_counted(tmp_path):
    from torch_geometric.data import Data

    h, t = torch.arange(4), (torch.arange(4) + 1) % 4
    pairs = torch.cartesian_prod(torch.arange(4), torch.arange(4)).T  # relation 1 holds between all
    edges = torch.cat([torch.stack([h, t]), pairs], dim=1)
    data = Data(edge_index=edges, edge_type=torch.tensor([0] * 4 + [1] * 16), num_nodes=4, num_relations=2)
    data.train_mask = torch.ones(20, dtype=torch.bool)
    data.val_mask = data.test_mask = torch.zeros(20, dtype=torch.bool)
    watcher = Census(data, tmp_path, overhead=None, every=2, probe=20)
    trainer(data, UniformSampler(4, 3), callbacks=[watcher], steps=2, validate_every=0).fit()
    assert set(watcher.frame().r) == {0}
    assert watcher.schedule.probes[0]["invalid"] == 16 * 2 * 3


def test_damaged_files_are_told(crowd, tmp_path):
    with pytest.raises(DataError, match="no negatives"):
        read_census(tmp_path)
    watcher = census(crowd, tmp_path)
    trainer(crowd, mmrns(crowd), callbacks=[watcher], steps=8, validate_every=0).fit()
    path = watcher.files.paths()[0]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=rf"{path.name}: no whole file of negatives.*Cure: remove it"):
        read_census(tmp_path)
    hand_made([{}]).to_parquet(path)
    with pytest.raises(DataError, match=rf"{path.name}: no whole file of negatives"):
        read_census(tmp_path)


def test_a_hundred_thousand_entities_and_a_relation_with_one_triple(tmp_path):
    from torch_geometric.data import Data

    from mmkg.analysis import drift, false_negatives, popularity, repeats

    generator = torch.Generator().manual_seed(0)
    n, count = 100_000, 600
    edges = torch.randint(n, (2, count), generator=generator)
    kind = torch.randint(1, 5, (count,), generator=generator)
    kind[0] = 0  # the only triple of relation 0
    data = Data(edge_index=edges, edge_type=kind, num_nodes=n, num_relations=5)
    number = torch.arange(count)
    data.train_mask, data.val_mask, data.test_mask = number < 500, (number >= 500) & (number < 550), number >= 550
    probe = torch.stack([edges[0], kind, edges[1]], dim=1)[:30]
    watcher = Census(data, tmp_path, overhead=None, every=4, probe=probe)
    trainer(data, UniformSampler(n, 6), callbacks=[watcher], steps=4, validate_every=0).fit()
    rows = watcher.frame()
    assert (rows[rows.r == 0].category == "1-1").all()
    assert popularity(rows, data, ()).distinct.between(100, 30 * 2 * 6 * 2).all()
    assert len(false_negatives(rows, "category")) >= 2
    assert drift(rows).negatives.tolist() == [360] * 4
    assert repeats(rows).ever.fillna(0).max() < 0.01
