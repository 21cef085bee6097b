"""Where memory runs out, portions shrink, what was chosen is said, and results stay what they were."""

from types import SimpleNamespace

import pytest
import torch

from mmkg.errors import MMKGError, OutOfMemory
from mmkg.evaluation import rank
from mmkg.graph import Facts, mine_patterns
from mmkg.memory import ran_out, shrinking
from mmkg.samplers import MMRNS, UniformSampler
from mmkg.scorers import DistMult, RotatE
from mmkg.training import OneVsAll, SelfAdversarial, TrainConfig, Trainer

CPU_ERROR = (
    "[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
)
SAID = "memory ran out"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No search for garbage, which takes a second each time in a process that holds all the tests' modules."""
    monkeypatch.setattr("mmkg.memory.gc", SimpleNamespace(collect=lambda: 0))


ERRORS = [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), RuntimeError(CPU_ERROR)]


def test_what_counts_as_memory_that_ran_out():
    assert all(ran_out(error) for error in ERRORS)
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)  # a real one
    assert ran_out(caught.value)
    assert not any(ran_out(error) for error in (RuntimeError("shapes differ"), ValueError("can't allocate memory")))


@pytest.mark.parametrize("error", ERRORS)
def test_half_as_much_until_it_fits(error):
    tried = []

    def work(size):
        tried.append(size)
        if size > 10:
            raise error
        return size

    with pytest.warns(UserWarning, match=r"mixing: memory ran out .*; going on with 7\.5 MiB at once"):
        assert shrinking(work, 60.0, 1.0, "mixing") == 7.5
    assert tried == [60.0, 30.0, 15.0, 7.5]
    with (
        pytest.warns(UserWarning, match="memory ran out"),
        pytest.raises(OutOfMemory, match="smallest portion does not fit") as caught,
    ):
        shrinking(lambda size: work(60), 4.0, 1.0, "mixing")
    assert isinstance(caught.value, MMKGError)
    with pytest.raises(ZeroDivisionError):
        shrinking(lambda size: 1 / 0, 4.0, 1.0, "mixing")


@pytest.mark.parametrize("error", ERRORS)
def test_evaluation_takes_fewer_questions_at_once(kin, monkeypatch, error):
    torch.manual_seed(0)
    model, facts = DistMult(60, 4, 8), Facts.from_data(kin, ("train", "val", "test"))
    triples = torch.stack([kin.edge_index[0], kin.edge_type, kin.edge_index[1]], dim=1)
    expected, scored, sizes = rank(model, triples, facts), model.score_table, []

    def tight(anchor, *args):
        if len(anchor) > 40:
            raise error
        sizes.append(len(anchor))
        return scored(anchor, *args)

    monkeypatch.setattr(model, "score_table", tight)
    with pytest.warns(UserWarning, match="evaluation: memory ran out .* questions at once"):
        found = rank(model, triples, facts)
    assert torch.equal(found.optimistic, expected.optimistic)
    assert torch.equal(found.pessimistic, expected.pessimistic)
    assert max(sizes) <= 40
    monkeypatch.setattr(model, "score_table", lambda *args: (_ for _ in ()).throw(error))
    with (
        pytest.warns(UserWarning, match="memory ran out"),
        pytest.raises(OutOfMemory, match="evaluation: the smallest portion"),
    ):
        rank(model, triples, facts)


def test_evaluation_goes_on_where_counting_ran_out(kin, monkeypatch):
    from mmkg.evaluation import ranking

    torch.manual_seed(0)
    model, facts = DistMult(60, 4, 8), Facts.from_data(kin, ("train", "val", "test"))
    triples = torch.stack([kin.edge_index[0], kin.edge_type, kin.edge_index[1]], dim=1)
    expected, count, sizes = rank(model, triples, facts), ranking.count_better, []

    def tight(scores, *args):
        sizes.append(len(scores))
        if len(scores) > 40:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return count(scores, *args)

    monkeypatch.setattr(ranking, "count_better", tight)
    with pytest.warns(UserWarning, match="evaluation: memory ran out .* MiB at once") as told:
        found = rank(model, triples, facts)
    assert sizes[0] > 40 >= sizes[-1]
    tried = [size for size in sizes if size > 40]  # each smaller than the one before, and the second side knows
    assert tried == sorted({*tried}, reverse=True)
    assert len(told) == len(tried)
    assert torch.equal(found.optimistic, expected.optimistic)
    assert torch.equal(found.pessimistic, expected.pessimistic)


def test_evaluation_gives_up_where_one_question_is_too_many(kin, monkeypatch):
    from mmkg.evaluation import ranking

    def nothing(scores, *args):
        assert len(scores)
        sizes.append(len(scores))
        raise MemoryError

    sizes = []
    monkeypatch.setattr(ranking, "count_better", nothing)
    ends = pytest.raises(OutOfMemory, match="evaluation: the smallest portion")
    with pytest.warns(UserWarning, match="memory ran out"), ends:
        rank(DistMult(60, 4, 8), torch.tensor([[0, 0, 1], [2, 1, 3], [4, 2, 5]]), Facts.from_data(kin))
    assert sizes[-1] == 1


def test_mining_takes_less_memory(kin, monkeypatch):
    from mmkg.graph import patterns

    mine, sizes = patterns.compositions, []

    def tight(*args, memory_mb, progress):
        sizes.append(memory_mb)
        if memory_mb > 20:
            raise MemoryError("Unable to allocate 1 GiB")
        return mine(*args, memory_mb=memory_mb, progress=progress)

    expected = mine_patterns(kin, min_support=2)
    monkeypatch.setattr(patterns, "compositions", tight)
    with pytest.warns(UserWarning, match=r"mining compositions: .* going on with 16 MiB at once"):
        found = mine_patterns(kin, min_support=2)
    assert sizes == [128, 64, 32, 16]
    assert found.rules.equals(expected.rules)


def trainer(data, sampler="uniform", folder=None, **settings):
    torch.manual_seed(1)
    config = TrainConfig(**({"steps": 6, "batch_size": 40, "validate_every": 0, "checkpoint_every": 2} | settings))
    if sampler == "none":
        return Trainer(DistMult(60, 4, 8), None, OneVsAll(), data, config, folder=folder, progress=False)
    model = RotatE(60, 4, 8)
    if sampler == "uniform":
        drawn = UniformSampler(60, 5)
    else:
        drawn = MMRNS(60, *model.widths(), num_negatives=5, pool_size="all", attention_dim=6, gate_dim=8)
    return Trainer(model, drawn, SelfAdversarial(), data, config, folder=folder, progress=False)


def weights(trained):
    return torch.cat([p.detach().flatten() for m in trained.modules.values() for p in m.parameters()])


@pytest.mark.parametrize("sampler", ["uniform", "none"])
@pytest.mark.parametrize("settings", [{}, {"both_sides": True, "batch_size": 37}, {"relation_weight": 0.1}])
@pytest.mark.parametrize("parts", [2, 5, 64])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(kin, sampler, settings, parts):
    whole, divided = (trainer(kin, sampler, **settings) for _ in range(2))
    divided.gradients.parts = parts
    for trained in (whole, divided):
        trained.model.double()
    for _ in range(2):
        one, other = (t.gradients(t.questions.next(t.step), t.step) for t in (whole, divided))
        assert {k: float(v) for k, v in one.items()} == pytest.approx({k: float(v) for k, v in other.items()}, rel=1e-6)
        for p, q in zip(whole.model.parameters(), divided.model.parameters(), strict=True):
            torch.testing.assert_close(q.grad, p.grad, rtol=1e-6, atol=1e-8)
        for trained in (whole, divided):
            trained.model.zero_grad()
    assert torch.equal(whole.generator.get_state(), divided.generator.get_state())


def tight_step(trained, rows):
    """Let the step run out of memory beyond so many triples at once."""
    own = trained.model.score_triples

    def score(head, *args):
        if len(head) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return own(head, *args)

    trained.model.score_triples = score


def test_training_divides_the_batch_and_draws_the_same(kin, tmp_path):
    whole, tight = trainer(kin, folder=tmp_path / "a"), trainer(kin, folder=tmp_path / "b")
    tight_step(tight, 10)
    whole.fit()
    with pytest.warns(UserWarning, match="training: memory ran out .* the batch in 4 parts"):
        tight.fit()
    assert tight.gradients.parts == 4
    torch.testing.assert_close(weights(tight), weights(whole), rtol=1e-4, atol=1e-5)
    again = trainer(kin, folder=tmp_path / "b", steps=6)
    again.fit(resume=True)
    assert again.gradients.parts == 4  # as the run goes on, so it was
    nothing = trainer(kin)
    tight_step(nothing, 0)
    with (
        pytest.warns(UserWarning, match="memory ran out"),
        pytest.raises(OutOfMemory, match="training: the smallest portion"),
    ):
        nothing.fit()


def test_mmrns_first_computes_fewer_candidates_at_once(kin):
    trained = trainer(kin, "mmrns", steps=3)
    own, sizes = trained.sampler.views.similarities, []

    def tight(*args):
        sizes.append(args[-1])
        if args[-1] is None or args[-1] > 40:
            raise MemoryError("no more")
        return own(*args)

    trained.sampler.views.similarities = tight
    with pytest.warns(UserWarning, match="training: memory ran out .*; going on with 32 candidates at once"):
        trained.fit()
    assert sizes == [None, 32, 32, 32]
    assert trained.gradients.parts == 1
