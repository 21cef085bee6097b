"""The comparison: the same twice and after a stop, nothing trained twice, test unseen, and tests that can tell."""

import json
import math
import os
import shutil
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate.state import AcceleratorState

from mmkg.datasets import MultimodalFolder
from mmkg.errors import DataError
from mmkg.training import TrainingInterrupted
from mmkg.types import Features, Ranks

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
ROWS = ("uniform", "MMRNS", "MMRNS without image, as many parameters", "MMRNS, texts random", "1-vs-all")
WORDS = ["--steps", "6", "--warm-up", "4", "--batch-size", "16", "--dim", "4", "--negatives", "3", "--pool", "12"]
WORDS += ["--validations", "2", "--variants", *ROWS]


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """A ring of 40 entities as a folder, with random features of 30 pictures and of all texts."""
    folder = tmp_path_factory.mktemp("graph") / "ring"
    folder.mkdir()
    names = [f"e{i:02d}" for i in range(40)]
    lines = [f"{names[i]}\t{r}\t{names[(i + step) % 40]}" for i in range(40) for r, step in (("a", 1), ("b", 7))]
    for name, part in (("train", lines[:64]), ("valid", lines[64:72]), ("test", lines[72:])):
        (folder / f"{name}.tsv").write_text("\n".join(part) + "\n", encoding="utf-8")
    dataset = MultimodalFolder(folder, log=False)
    generator = torch.Generator().manual_seed(0)
    for modality, count, regions, width in (("image", 30, 3, 5), ("text", 40, 2, 4)):
        row = torch.full((40,), -1)
        row[:count] = torch.arange(count)
        values = torch.randn(count, regions, width, generator=generator).half()
        mask = torch.ones(count, regions, dtype=torch.bool)
        dataset.feature_files.put(modality, "noise", Features(values, mask, row, None, {"encoder": "noise"}))
    return folder


@pytest.fixture
def call(graph, monkeypatch):
    """Run the script with some words, in a folder of its own; gives its results by variant."""
    import compare

    def run(folder, *words):
        where = ["--dataset", str(graph), "--out", str(folder / "runs"), "--results", str(folder / "results")]
        monkeypatch.setattr(sys, "argv", ["compare.py", *where, *WORDS, *words])
        compare.main()
        return results(folder)

    return run


def results(folder):
    paths = sorted((folder / "results" / "compare").glob("*.json"))
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def what_counts(entries):
    """Results without what differs from machine to machine and from hour to hour."""

    def plain(entry):
        names = ("variant", "seed", "steps", "best_step", "valid", "ranks", "parameters", "graph", "drawn")
        kept = {name: entry[name] for name in names}
        timeless = [{k: v for k, v in point.items() if k != "seconds"} for point in entry["history"]]
        return kept | {"history": timeless}

    return {name: plain(entry) for name, entry in entries.items()}


@pytest.fixture(scope="module")
def first(graph, tmp_path_factory):
    """The comparison, run once; not to be changed."""
    folder = tmp_path_factory.mktemp("first")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXPERIMENTS))
        import compare

        where = ["--dataset", str(graph), "--out", str(folder / "runs"), "--results", str(folder / "results")]
        patch.setattr(sys, "argv", ["compare.py", *where, *WORDS])
        compare.main()
    AcceleratorState._reset_state(reset_partial_state=True)
    return folder


def test_twice_with_one_seed_is_the_same(call, first, tmp_path):
    again = call(tmp_path)
    assert what_counts(again) == what_counts(results(first))
    assert len({entry["valid"]["realistic"]["mrr"] for entry in again.values()}) > 1
    assert {entry["variant"] for entry in again.values()} == set(ROWS)


@pytest.mark.parametrize("stop", [("warm-up", 3), ("mmrns", 2), ("mmrns", 5)])
def test_stopped_and_taken_up_again_is_the_same(call, first, tmp_path, monkeypatch, stop):
    from mmkg.training import Trainer

    where, at = stop
    step = Trainer._train_step

    def stopping(trainer):
        found = step(trainer)
        if where in str(trainer.checkpoints.folder) and trainer.step + 1 == at:
            os.kill(os.getpid(), signal.SIGTERM)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_train_step", stopping)
        with pytest.raises(TrainingInterrupted):
            call(tmp_path)
    assert len(results(tmp_path)) < len(ROWS)
    assert what_counts(call(tmp_path)) == what_counts(results(first))
    costs = [json.loads(p.read_text(encoding="utf-8")) for p in (tmp_path / "runs").glob("*/cost.json")]
    assert len(costs) == len(ROWS)
    assert all(cost["steps_timed"] >= 1 for cost in costs)


def test_what_is_recorded_is_not_trained_again(call, first, tmp_path, monkeypatch):
    from mmkg.run import Run

    shutil.copytree(first / "results", tmp_path / "results")  # without the runs themselves
    monkeypatch.setattr(Run, "train", lambda *_, **__: pytest.fail("trained again"))
    assert call(tmp_path) == results(first)


def test_test_is_looked_at_with_final_only_and_once(call, first, tmp_path):
    assert not any("test" in entry for entry in results(first).values())
    assert not list((first / "runs").glob("*/*test*"))
    before = call(tmp_path, "--variants", "uniform", "MMRNS")
    assert not any("test" in entry for entry in before.values())
    for _ in range(2):
        entries = call(tmp_path, "--final", "--variants", "uniform", "MMRNS")
    assert what_counts(entries) == what_counts(before)
    assert sum("test" in entry for entry in entries.values()) == 2
    noted = (tmp_path / "results" / "TEST_LOOKS.csv").read_text().splitlines()
    assert len(noted) == 3  # the header and one look each


def test_all_start_alike_and_say_what_they_cost(first):
    entries = {entry["variant"]: entry for entry in results(first).values()}
    assert len({entry["config"]["warm_start"] for entry in entries.values()}) == 1
    assert len(list((first / "runs").glob("*warm-up*"))) == 1
    for entry in entries.values():
        assert entry["cost"]["cpu_seconds_a_step"] > 0
        assert entry["available"] == ["image", "text"]
        assert (entry["budget"], entry["warm_up_steps"]) == ({"steps": 6}, 4)
    sizes = {
        name: entry["parameters"]["sampler"] for name, entry in entries.items() if "sampler" in entry["parameters"]
    }
    assert sizes["uniform"] == 0
    matched = sizes["MMRNS without image, as many parameters"]
    assert abs(matched - sizes["MMRNS"]) < 0.03 * sizes["MMRNS"]
    assert entries["1-vs-all"]["sampler"] is None


def test_seconds_give_cheap_rows_more_steps(call, first, tmp_path):
    shutil.copytree(first, tmp_path / "copy")
    for path in (tmp_path / "copy" / "results" / "compare").glob("*.json"):
        entry = json.loads(path.read_text(encoding="utf-8"))
        entry["cost"]["cpu_seconds_a_step"] = 0.5 if entry["variant"] == "uniform" else 1.0
        path.write_text(json.dumps(entry), encoding="utf-8")
    entries = call(tmp_path / "copy", "--seconds", "6", "--variants", "uniform", "MMRNS")
    (longer,) = [e for e in entries.values() if "seconds" in e["budget"]]
    assert (longer["variant"], longer["steps"], longer["budget"]["of_seconds_a_step"]) == ("uniform", 12, 0.5)
    assert call(tmp_path / "copy", "--seconds", "6", "--variants", "uniform", "MMRNS") == entries


def test_rows_that_mean_nothing_are_said_so(first):
    from comparison import rows
    from variants import VARIANTS

    assert VARIANTS["MMRNS without guide"].missing([]) == ["image or text"]
    assert VARIANTS["MMRNS without guide"].missing(["text"]) == []
    assert VARIANTS["MMRNS, images zero"].missing(["text"]) == ["image"]
    entry = next(iter(results(first).values()))
    told = {row["negatives by"]: row["validation MRR"] for row in rows([entry | {"available": ["text"]}])}
    assert told["MMRNS without image"] == "not applicable: no image"
    assert "MMRNS without text" not in told


def test_what_was_drawn_is_counted_by_hand(kin, tmp_path):
    from drawn import Drawn

    from mmkg.graph import Facts
    from mmkg.types import Batch, Negatives

    facts = Facts.from_data(kin, ("val", "test"))
    h, r, t = (x[kin.val_mask][:2] for x in (kin.edge_index[0], kin.edge_type, kin.edge_index[1]))
    ids = torch.stack([t, (t + 29) % 60, (t + 31) % 60], 1)  # [2, 3], the first of each is held out
    valid = torch.tensor([[True, True, True], [True, False, True]])
    scores = torch.tensor([[0.0, 1.0, -2.0], [-9.0, 5.0, -9.0]])
    drawn = Drawn(tmp_path / "drawn.json", kin, alpha=0.5)
    trainer = SimpleNamespace(config=SimpleNamespace(steps=8))
    for step in (5, 6, 7, 8):
        drawn.on_negatives(trainer, step, Batch(h, r, t), "tail", Negatives(ids, valid), scores)
        if step == 7:
            drawn.on_checkpoint(trainer, step)
    drawn.on_checkpoint(trainer, 8)
    assert set(drawn.steps) == {"7", "8"}  # the last quarter
    again = Drawn(tmp_path / "drawn.json", kin, alpha=0.5)
    assert again.summary() == drawn.summary()
    again.on_negatives(trainer, 8, Batch(h, r, t), "tail", Negatives(ids, valid), scores)  # done once more
    again.on_checkpoint(trainer, 8)
    assert again.summary() == drawn.summary()
    total = {name: sum(part[name] for part in drawn.summary().values()) for name in ("negatives", "false", "questions")}
    held = int((facts.mask(Batch(h, r, t), "tail", ids) & valid).sum())
    assert held >= 2
    assert total == {"negatives": 10, "false": 2 * held, "questions": 4}
    weight = torch.softmax(0.5 * scores[0].double(), 0)
    first = float((0.5 * weight * torch.sigmoid(scores[0].double())).sum())
    second = 0.5 / (1 + math.exp(9.0))
    slope = sum(part["slope"] for part in drawn.summary().values())
    assert slope == pytest.approx(2 * (first + second))
    assert sum(part["vanished"] for part in drawn.summary().values()) == 2


def test_tables_say_what_was_drawn(first):
    from comparison import false_by_category, rows

    entries = list(results(first).values())
    table = {row["negatives by"]: row for row in rows(entries)}
    assert table["1-vs-all"]["gradient"] == ""
    uniform = next(e for e in entries if e["variant"] == "uniform")["drawn"]
    share = 100 * sum(s["false"] for s in uniform.values()) / sum(s["negatives"] for s in uniform.values())
    assert table["uniform"]["held-out facts, at least"] == f"{share:.2f} %"
    assert 0 < float(table["MMRNS"]["gradient"]) <= 0.5
    assert {row["negatives by"] for row in false_by_category(entries)} == set(ROWS) - {"1-vs-all"}


def test_ranks_survive_being_written(first):
    from comparison import read_ranks, told_ranks

    n = torch.tensor([3, 1, 12345, 1, 2, 9])
    ranks = Ranks(n, n + torch.tensor([0, 1, 1, 0, 0, 3]), n, torch.tensor([0, 0, 0, 1, 1, 1]), torch.arange(6) % 3)
    told = told_ranks(ranks)
    assert told == {"head": "3 1.5 12345.5", "tail": "1 2 10.5"}
    back = read_ranks(told)
    assert torch.equal(back.realistic, ranks.realistic)
    assert torch.equal(back.triple, ranks.triple)
    for entry in results(first).values():
        assert float((1 / read_ranks(entry["ranks"]).realistic).mean()) == pytest.approx(
            entry["valid"]["realistic"]["mrr"], rel=1e-6
        )


def made(variant, seed, ranks, **more):
    """A result with given ranks on both sides."""
    told = " ".join(map(str, ranks))
    value = sum(1 / r for r in ranks) / len(ranks)
    config = {"dim": 4, "train": {"batch_size": 1, "learning_rate": 1, "steps": 10}}
    config["sampler"] = {"negatives": 1, "pool": 1}
    entry = {"variant": variant, "seed": seed, "graph": "g", "ranks": {"head": told, "tail": told}, "config": config}
    entry |= {"valid": {"realistic": {"mrr": value, "hits@10": 1.0}}, "peak_memory_mb": 1, "available": []}
    entry |= {"budget": {"steps": 10}, "warm_up_steps": 0, "steps": 10, "cost": {"cpu_seconds_a_step": 1.0}}
    entry |= {"dataset": "worldmoji", "scorer": "rotate", "device": "cpu"}
    return entry | {"history": [{"step": 5, "valid_mrr": 0.4}, {"step": 10, "valid_mrr": 0.3}]} | more


def test_a_gain_on_every_triple_is_significant_and_one_of_noise_is_not():
    from comparison import gain, rows

    plain = [made("uniform", seed, [4] * 40) for seed in (0, 1)]
    better = [made("MMRNS", seed, [2] * 40) for seed in (0, 1)]
    noise = [made("KBGAN", seed, [3, 6] * 20) for seed in (0, 1)]
    differences, p = gain(better, plain)
    assert differences == [0.25, 0.25]
    assert p < 0.001
    assert gain(noise, plain)[1] > 0.5
    assert gain([made("KBGAN", 7, [1] * 40)], plain) is None
    row = {r["negatives by"]: r for r in rows([*plain, *better, *noise])}
    assert row["MMRNS"]["− uniform"] == "0.2500 ± 0.0000"
    assert float(row["MMRNS"]["p"]) < 0.01
    with pytest.raises(ValueError, match="results of different graphs"):
        gain([made("MMRNS", 0, [2] * 40, graph="other")], plain)


def test_holm_corrects_for_the_number_of_rows():
    from comparison import holm

    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}


def test_quality_at_equal_time():
    from comparison import rows, within

    assert within(made("uniform", 0, [1]), 5) == 0.4
    assert within(made("uniform", 0, [1]), 20) is None  # was not trained for that long
    assert within(made("uniform", 0, [1]), 3) is None  # nothing was seen of it by then
    longer = made("uniform", 0, [4], steps=20, budget={"seconds": 20.0, "of_seconds_a_step": 1.0})
    longer["history"] = [{"step": 10, "valid_mrr": 0.5}, {"step": 20, "valid_mrr": 0.6}]
    longer["cost"] = {"cpu_seconds_a_step": 0.1}  # it got its steps by the other run's clock, whatever its own says
    slow = made("MMRNS", 0, [2], cost={"cpu_seconds_a_step": 4.0})
    table = {r["negatives by"]: r for r in rows([made("uniform", 0, [4]), longer, slow, made("SANS", 0, [4])])}
    assert table["uniform"]["MRR within 20 s"] == "0.6000"
    assert table["MMRNS"]["MRR within 20 s"] == "0.4000"
    assert table["SANS"]["MRR within 20 s"] == "–"


def test_results_of_each_budget_lie_together():
    from comparison import budgets

    short, long = made("uniform", 0, [1]), made("uniform", 0, [1], steps=50, warm_up_steps=1)
    short["config"]["train"]["steps"], long["config"]["train"]["steps"] = 10, 50
    timed = made("uniform", 0, [1], steps=30, budget={"seconds": 20.0, "of_seconds_a_step": 1.0})
    timed["config"]["train"]["steps"] = 30
    short["warm_up_steps"] = timed["warm_up_steps"] = 1
    assert budgets([long, timed, short]) == [[short, timed], [long]]
    other = made("MMRNS", 0, [1], warm_up_steps=9)
    assert budgets([short, other, timed]) == [[short, timed], [other]]
    on_gpu = made("uniform", 0, [1], warm_up_steps=1, device="a GPU")
    assert budgets([short, on_gpu]) == [[short], [on_gpu]]
    with pytest.raises(DataError, match="uniform, seed 0: a run of equal time beside no run of equal steps"):
        budgets([long, other, timed | {"warm_up_steps": 3}])


def test_a_summary_says_what_mmrns_gains():
    from comparison import summary

    found = summary([made("uniform", 0, [4, 4]), made("MMRNS", 0, [2, 2])])
    assert (found["uniform"], found["MMRNS"], found["1-vs-all"]) == ("0.2500", "0.5000", "")
    assert found["MMRNS − uniform"] == "0.2500"
    assert (found["dataset"], found["scorer"], found["seeds"]) == ("worldmoji", "rotate", "1")
    assert summary([made("uniform", 0, [4, 4])])["seeds"] == "0"  # MMRNS is still to come


def test_results_of_different_budgets_are_not_mixed():
    from comparison import rows

    with pytest.raises(DataError, match="results of 2 different budgets"):
        rows([made("uniform", 0, [1]), made("MMRNS", 0, [1], warm_up_steps=9)])
