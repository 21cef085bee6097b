"""What was drawn is given again, id by id, on the graph that it was drawn for and on no other."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from accelerate.state import AcceleratorState
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from mmkg.analysis.recorder import Recorder
from mmkg.errors import DataError
from mmkg.graph.facts import Facts
from mmkg.samplers import MMRNS, UniformSampler
from mmkg.samplers.negative_files import STREAM, NegativeFiles, read_negatives
from mmkg.samplers.replay import Replay
from mmkg.scorers import ComplEx, RotatE
from mmkg.training import Callback, SelfAdversarial, TrainConfig, Trainer, TrainingInterrupted
from mmkg.types import Batch


@pytest.fixture(autouse=True)
def fresh_accelerator():
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


class Ids(Callback):
    def __init__(self):
        self.ids, self.valid = [], []

    def on_negatives(self, trainer, step, batch, side, negatives, scores):
        self.ids.append(negatives.ids.masked_fill(~negatives.valid, -1).clone())
        self.valid.append(negatives.valid.clone())


def train(data, sampler, *watchers, scorer=RotatE, folder=None, resume=False, **settings):
    torch.manual_seed(7)
    model = scorer(data.num_nodes, data.num_relations, 8)
    config = TrainConfig(**({"steps": 20, "batch_size": 32, "validate_every": 0, "checkpoint_every": 8} | settings))
    seen = Ids()
    callbacks = [seen, *watchers]
    trainer = Trainer(
        model, sampler, SelfAdversarial(), data, config, folder=folder, callbacks=callbacks, progress=False
    )
    trainer.fit(resume=resume)
    return trainer, seen


def mmrns(data):
    torch.manual_seed(3)
    return MMRNS(data.num_nodes, 16, 8, num_negatives=6, pool_size=40, attention_dim=4)


@pytest.mark.parametrize("make", [mmrns, lambda data: UniformSampler(data.num_nodes, 6)])
def test_another_scorer_gets_the_very_same_ids(kin, tmp_path, make):
    _, first = train(kin, make(kin), Recorder(kin, tmp_path))
    replay = Replay(tmp_path, kin)
    _, again = train(kin, replay, scorer=ComplEx)
    assert len(first.ids) == len(again.ids) == 20
    assert all(torch.equal(a, b) for a, b in zip(first.ids, again.ids, strict=True))
    assert replay.counts == {"asked": 592, "missing": 0, "refused": 0}  # two passes over 200 triples and six batches


def test_training_on_the_stream_is_training_on_the_draws(kin, tmp_path):
    first, _ = train(kin, UniformSampler(kin.num_nodes, 6), Recorder(kin, tmp_path))
    again, _ = train(kin, Replay(tmp_path, kin))
    state, other = first.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(state[k], other[k]) for k in state)


def test_recording_changes_nothing(kin, tmp_path):
    alone, _ = train(kin, mmrns(kin))
    recorded, _ = train(kin, mmrns(kin), Recorder(kin, tmp_path))
    state, other = alone.model.state_dict(), recorded.model.state_dict()
    assert all(torch.equal(state[k], other[k]) for k in state)


def test_a_stream_that_was_stopped_and_resumed_has_no_gap(kin, tmp_path):
    class Stop(Callback):
        def on_step(self, trainer, step, losses):
            if step == 11:
                import os
                import signal

                os.kill(os.getpid(), signal.SIGINT)

    _, whole = train(kin, mmrns(kin))
    run, stream = tmp_path / "run", tmp_path / "stream"
    with pytest.raises(TrainingInterrupted):
        train(kin, mmrns(kin), Recorder(kin, stream), Stop(), folder=run)
    with pytest.raises(DataError, match=r"holds 2 parts of negatives already"):
        Recorder(kin, stream)
    train(kin, mmrns(kin), Recorder(kin, stream, resume=True), folder=run, resume=True)
    _, again = train(kin, Replay(stream, kin), scorer=ComplEx)
    assert all(torch.equal(a, b) for a, b in zip(whole.ids, again.ids, strict=True))


def test_what_came_after_the_checkpoint_is_recorded_anew(kin, tmp_path):
    files = NegativeFiles(tmp_path, STREAM, {"kind": "stream"})
    files.write(columns([(step, 0, 0, 1, "tail", 0, 2) for step in range(8)]), 0, 7)
    files.write(columns([(step, 0, 0, 1, "tail", 0, 2) for step in range(8, 12)]), 8, 11)
    assert files.drop_from(5) == 2  # the first part is cut, the second goes
    assert read_negatives(tmp_path).step.tolist() == [0, 1, 2, 3, 4]
    assert len(files.paths()) == 1
    assert files.drop_from(5) == 0


def columns(rows):
    """Columns of a stream from (step, h, r, t, side, place, negative)."""
    frame = pd.DataFrame(rows, columns=["step", "h", "r", "t", "side", "place", "negative"])
    return {"epoch": [0] * len(rows), "row": [0] * len(rows), "source": ["sampler"] * len(rows)} | frame.to_dict("list")


def written(folder, rows, data, **more):
    from mmkg.graph.vocabulary import vocabulary

    files = NegativeFiles(folder, STREAM, {"kind": "stream", "vocabulary": vocabulary(data)})
    files.write(columns(rows) | more, 0, 10)
    return folder


@pytest.fixture
def small():
    data = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_type=torch.tensor([0, 0]), num_nodes=6, num_relations=2)
    data.entity_names, data.relation_names = list("abcdef"), ["r", "s"]
    return data


def facts_of(data):
    return Facts(data.edge_index[0], data.edge_type, data.edge_index[1], 6, 2)


def ask(replay, data, step, *triples, side="tail"):
    h, r, t = torch.tensor(triples).T
    found = replay.sample(Batch(h, r, t), side, None, facts_of(data), None, step)
    return found.ids.masked_fill(~found.valid, -1).tolist()


ROWS = [
    (0, 0, 0, 1, "tail", 0, 3),
    (0, 0, 0, 1, "tail", 1, 4),
    (0, 1, 0, 2, "tail", 0, 5),
    (4, 0, 0, 1, "tail", 0, 2),
    (4, 0, 0, 1, "head", 0, 5),
]


@pytest.mark.filterwarnings("ignore:.*are not in the stream")
def test_at_the_same_step(small, tmp_path):
    replay = Replay(written(tmp_path, ROWS, small), small)
    assert replay.num_negatives == 2
    assert ask(replay, small, 0, (0, 0, 1), (1, 0, 2), (0, 1, 1)) == [[3, 4], [5, -1], [-1, -1]]
    assert ask(replay, small, 4, (0, 0, 1)) == [[2, -1]]
    assert ask(replay, small, 4, (0, 0, 1), side="head") == [[5, -1]]
    assert ask(replay, small, 1, (0, 0, 1)) == ask(replay, small, 9, (0, 0, 1)) == [[-1, -1]]
    assert replay.counts == {"asked": 7, "missing": 3, "refused": 0}


@pytest.mark.filterwarnings("ignore:.*are not in the stream")
def test_the_latest_so_far(small, tmp_path):
    replay = Replay(written(tmp_path, [*ROWS, (2, 1, 0, 2, "head", 0, 5)], small), small, match="latest")
    for step in (0, 1, 3):
        assert ask(replay, small, step, (0, 0, 1), (1, 0, 2)) == [[3, 4], [5, -1]]
    assert ask(replay, small, 99, (0, 0, 1), (1, 0, 2)) == [[2, -1], [5, -1]]
    assert ask(replay, small, 3, (0, 0, 1), (1, 0, 2), side="head") == [[-1, -1], [5, -1]]


@pytest.mark.filterwarnings("ignore:.*are not in the stream")
def test_in_the_same_epoch(small, tmp_path):
    folder = written(tmp_path, ROWS, small, epoch=[0, 0, 0, 1, 1])
    replay = Replay(folder, small, match="epoch", steps_per_epoch=3)
    assert ask(replay, small, 2, (1, 0, 2), (0, 0, 1)) == [[5, -1], [3, 4]]
    assert ask(replay, small, 3, (1, 0, 2), (0, 0, 1)) == [[-1, -1], [2, -1]]
    for options in ({"match": "epoch"}, {"match": "step", "steps_per_epoch": 3}):
        with pytest.raises(ValueError, match="steps_per_epoch"):
            Replay(folder, small, **options)


def test_missing_rows_are_told_once(small, tmp_path):
    replay = Replay(written(tmp_path, ROWS, small), small)
    with pytest.warns(UserWarning, match="1 of 2 questions of step 0 are not in the stream"):
        ask(replay, small, 0, (0, 0, 1), (5, 1, 5))
    assert ask(replay, small, 0, (5, 1, 5)) == [[-1, -1]]
    assert replay.counts["missing"] == 2


def test_what_has_become_a_known_answer_is_refused(small, tmp_path):
    replay = Replay(written(tmp_path, ROWS, small), small)
    small.edge_index, small.edge_type = torch.tensor([[0, 0], [1, 4]]), torch.tensor([0, 0])
    assert ask(replay, small, 0, (0, 0, 1)) == [[3, -1]]
    assert replay.counts == {"asked": 1, "missing": 0, "refused": 1}


def test_a_triple_that_is_in_the_batch_twice(small, tmp_path):
    rows = [(0, 0, 0, 1, "tail", 0, 3), (0, 0, 0, 1, "tail", 0, 4)]
    replay = Replay(written(tmp_path, rows, small, row=[2, 7]), small)
    assert ask(replay, small, 0, (0, 0, 1), (0, 0, 1), (0, 0, 1)) == [[3], [4], [4]]


def test_fewer_and_too_many_negatives(small, tmp_path):
    folder = written(tmp_path, ROWS, small)
    assert ask(Replay(folder, small, 1), small, 0, (0, 0, 1)) == [[3]]
    with pytest.raises(DataError, match=r"3 negatives a question, 2 were recorded. Cure: ask for at most 2"):
        Replay(folder, small, 3)


def test_counts_are_saved_and_the_stream_is_not(small, tmp_path):
    replay = Replay(written(tmp_path, ROWS, small), small)
    ask(replay, small, 0, (0, 0, 1))
    assert list(replay.state_dict()) == ["_counts"]
    again = Replay(tmp_path, small)
    again.load_state_dict(replay.state_dict())
    assert again.counts["asked"] == 1


def other_names(data):
    data.entity_names = list("abcdeg")


def other_order(data):
    data.relation_names = ["s", "r"]


def more_entities(data):
    data.num_nodes, data.entity_names = 7, list("abcdefg")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (other_names, "as many entities and relations, under other names"),
        (other_order, "or in another order"),
        (more_entities, "6 entities and 2 relations there, 7 and 2 here"),
    ],
)
def test_another_graph_is_refused(small, tmp_path, change, told):
    written(tmp_path, ROWS, small)
    change(small)
    with pytest.raises(DataError, match=f"negatives of another graph .*{told}.*Cure: replay on the graph"):
        Replay(tmp_path, small)


def test_the_same_names_with_other_splits_are_accepted(small, tmp_path):
    written(tmp_path, ROWS, small)
    small.edge_index = small.edge_index.flip(1)
    Replay(tmp_path, small)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([(0, 0, 0, 1, "tail", 0, 6)], "column 'negative' runs from 6 to 6, expected 0 to 5"),
        ([(0, 0, 2, 1, "tail", 0, 3)], "column 'r' runs from 2 to 2, expected 0 to 1"),
        ([(0, 0, 0, 1, "tail", 0, 3), (0, 0, 0, 1, "tail", 0, 4)], "two negatives in one place"),
    ],
)
def test_what_cannot_be_is_told(small, tmp_path, rows, told):
    with pytest.raises(DataError, match=told):
        Replay(written(tmp_path, rows, small), small)


def test_what_is_no_stream_is_told(small, tmp_path):
    with pytest.raises(DataError, match="no negatives"):
        Replay(tmp_path, small)
    path = tmp_path / "mine.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(DataError, match=r"mine.parquet: no whole file of negatives"):
        Replay(path, small)
    pq.write_table(pa.table({"a": [1]}, metadata={"mmkg": "{}"}), path)
    with pytest.raises(DataError, match="no column 'step'"):
        Replay(path, small)
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match=r"mine.parquet: no whole file of negatives"):
        Replay(path, small)
    folder = written(tmp_path / "stream", ROWS, small)
    with pytest.raises(DataError, match="no negatives of source 'uniform'"):
        Replay(folder, small, source="uniform")
    with pytest.raises(ValueError, match="match 'often': choose one of step, epoch, latest"):
        Replay(folder, small, match="often")
    NegativeFiles(folder, STREAM, {"kind": "another"}).write(columns(ROWS), 20, 20)
    with pytest.raises(DataError, match="is of another series"):
        Replay(folder, small)


def test_a_graph_without_names_goes_by_its_sizes(small, tmp_path):
    del small.entity_names
    written(tmp_path, ROWS, small)
    Replay(tmp_path, small)
    small.entity_names = list("abcdef")
    with pytest.raises(DataError, match="negatives of another graph"):
        Replay(tmp_path, small)


@pytest.mark.filterwarnings("ignore:.*are not in the stream")
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 4), size=st.integers(1, 12))
def test_any_stream_comes_back_as_it_was(tmp_path_factory, seed, k, size):
    generator = torch.Generator().manual_seed(seed)

    def chance(high, *shape):
        return torch.randint(high, shape, generator=generator)

    data = Data(num_nodes=6, num_relations=2)
    facts = Facts(*(torch.zeros(0, dtype=torch.long) for _ in range(3)), 6, 2)
    rows, asked = [], []
    for step in range(3):
        h, r, t = chance(6, size), chance(2, size), chance(6, size)
        side = ("head", "tail")[int(chance(2, 1))]
        batch = Batch(h, r, t)
        ids, keep = chance(6, size, k), chance(3, size, k) > 0
        keep &= ids != batch.answer(side)[:, None]
        asked.append((step, side, batch, ids.masked_fill(~keep, -1)))
        for b, place in keep.nonzero().tolist():
            values = (step, b, int(h[b]), int(r[b]), int(t[b]), side, place, int(ids[b, place]))
            rows.append(dict(zip(("step", "row", "h", "r", "t", "side", "place", "negative"), values, strict=True)))
    if not rows:
        return
    frame = pd.DataFrame(rows).assign(epoch=0, source="sampler")
    folder = tmp_path_factory.mktemp("stream")
    told = {"vocabulary": {"entities": 6, "relations": 2, "names": None}}
    NegativeFiles(folder, STREAM, told).write(frame.to_dict("list"), 0, 2)
    replay = Replay(folder, data)
    for step, side, batch, expected in asked:
        # a question whose every draw was invalid leaves no trace; where the batch holds it twice, order is not known
        whole = [tuple(int(x[b]) for x in (batch.head, batch.relation, batch.tail)) for b in range(size)]
        empty = {q for q, row in zip(whole, expected.tolist(), strict=True) if max(row) < 0}
        clear = torch.tensor([q not in empty or whole.count(q) == 1 for q in whole])
        found = replay.sample(batch, side, None, facts, None, step)
        got = torch.full((size, k), -1)
        got[:, : replay.num_negatives] = found.ids.masked_fill(~found.valid, -1)
        assert torch.equal(got[clear], expected[clear])
