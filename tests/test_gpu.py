"""What a GPU gives is what a CPU gives; all other tests run on the CPU.

MMKG_TEST_GPU=1 pytest tests/test_gpu.py
"""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sampler_world import make_features, make_world, relative

from mmkg.evaluation import evaluate, metrics, rank
from mmkg.graph import Facts
from mmkg.run import Run, RunConfig, SamplerConfig
from mmkg.samplers import KBGAN, MMRNS, SAMPLERS, NSCaching, SharedSampler
from mmkg.scorers import SCORERS, DistanceScorer, DistMult, RotatE, fuse, kernels, shared_table
from mmkg.training import OBJECTIVES, Callback, SelfAdversarial, TrainConfig, Trainer
from mmkg.types import SIDES, Batch, Features

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no GPU that torch.cuda finds, or MMKG_TEST_GPU is not set"
)
GPU = "cuda"
TESTS = Path(__file__).parent
PATHS = [str(path) for path in (TESTS.parent, TESTS, TESTS / "samplers")]  # for processes of their own
N, R, D, B = 300, 7, 32, 70


def batch_of(entities, relations, rows, seed=1):
    g = torch.Generator().manual_seed(seed)
    return Batch(*(torch.randint(n, (rows,), generator=g) for n in (entities, relations, entities)))


def scorer(name, dtype=torch.float64, device="cpu", size=D):
    torch.manual_seed(0)
    return SCORERS[name](N, R, size).to(device, dtype).eval()


def asked(model, batch, candidates):
    """Scores in all ways, and the gradient of what they add up to, on the CPU."""
    h, r, t = batch.head, batch.relation, batch.tail
    found = [model.score_triples(h, r, t, side) for side in SIDES]
    found += [model.score_tails(h, r), model.score_heads(r, t)]
    found += [model.score_tails(h, r, candidates), model.score_heads(r, t, candidates)]
    slope = torch.autograd.grad(sum(x.square().mean() for x in found), [*model.parameters()], allow_unused=True)
    return [x.detach().double().cpu() for x in (*found, *slope) if x is not None]


@pytest.mark.parametrize("name", SCORERS)
def test_scorers_and_their_gradients(name):
    batch, candidates = batch_of(N, R, B), torch.randint(N, (B, 9), generator=torch.Generator().manual_seed(2))
    expected = asked(scorer(name), batch, candidates)
    for dtype, bound in ((torch.float64, 1e-9), (torch.float32, 1e-3)):
        found = asked(scorer(name, dtype, GPU), batch.to(GPU), candidates.to(GPU))
        assert len(found) == len(expected)
        assert all(relative(x, y) < bound for x, y in zip(found, expected, strict=True)), (name, dtype)


@pytest.mark.parametrize("name", [n for n, kind in SCORERS.items() if issubclass(kind, DistanceScorer)])
def test_compiled_distances(name, monkeypatch):
    for key in ("LEAST_WORK", "LEAST_TRAINING", "LEAST_QUERIES"):
        monkeypatch.setattr(shared_table, key, 0)
    batch = batch_of(N, R, B)
    expected = asked(scorer(name), batch, torch.arange(9).expand(B, 9))
    found = asked(scorer(name, torch.float32, GPU), batch.to(GPU), torch.arange(9, device=GPU).expand(B, 9))
    model = scorer(name)
    assert kernels._kernels.get(model.distance) is not None, "nothing was compiled"
    assert all(relative(x, y) < 1e-3 for x, y in zip(found, expected, strict=True))


@pytest.mark.parametrize("relaxation", ["fresh", "shared"])
@pytest.mark.parametrize("options", [{}, {"pool_size": 25}, {"use_guide": False}, {"missing": "zero"}])
def test_a_step_of_mmrns(relaxation, options, monkeypatch):
    model, facts, batch, image, text = make_world(batch=40, triples=200)
    noise = torch.empty(len(batch), options.get("pool_size", 40), dtype=torch.float64).exponential_().log().neg()
    monkeypatch.setattr("mmkg.samplers.mmrns.sampler.gumbel", lambda shape, dtype, device, _: noise.to(device, dtype))
    found = {}
    for device in ("cpu", GPU):
        torch.manual_seed(3)
        given = {"num_negatives": 6, "pool_size": "all", "gate_dim": 5, "relaxation": relaxation} | options
        sampler = MMRNS(40, 6, 6, image.to(device), text.to(device), **given).double().to(device)
        plan = sampler.plan(batch, "tail", facts, torch.Generator().manual_seed(4)).to(device)
        model = model.to(device)
        negatives = sampler.sample(None, "tail", model, None, step=3, plan=plan)
        scores = negatives.embeddings.square().sum(dim=-1)  # [B, K]
        total = scores.mean() + sampler.loss(negatives, scores, scores[:, 0])
        slope = torch.autograd.grad(total, [*sampler.parameters(), *model.parameters()], allow_unused=True)
        told = negatives.log_prob, negatives.embeddings, *(x for x in slope if x is not None)
        found[device] = negatives.ids.cpu(), [x.cpu() for x in told]
    assert torch.equal(found["cpu"][0], found[GPU][0])
    assert all(relative(x, y) < 1e-8 for x, y in zip(found[GPU][1], found["cpu"][1], strict=True))


class Watch(Callback):
    """Keeps losses, and sees that no negative is a known fact."""

    def __init__(self, facts):
        self.facts, self.losses, self.ids = facts, [], []

    def on_negatives(self, trainer, step, batch, side, negatives, scores):
        assert negatives.ids.device.type == GPU
        known = self.facts.mask(batch.to("cpu"), side, negatives.ids.cpu())  # [B, K]
        assert not (known & negatives.valid.cpu()).any()
        self.ids.append(negatives.ids.cpu())

    def on_step(self, trainer, step, losses):
        self.losses.append(losses["loss"])


def sampler_of(name, data, facts):
    features = {"image": make_features(data.num_nodes, 4, 6), "text": make_features(data.num_nodes, 3, 5)}
    torch.manual_seed(1)
    made = {
        "mmrns": lambda: MMRNS(data.num_nodes, 16, 8, **features, num_negatives=5, pool_size=40, gate_dim=4),
        "kbgan": lambda: KBGAN(data.num_nodes, 5, data.num_relations, candidates=8, dim=8),
        "nscaching": lambda: NSCaching(data.num_nodes, 5, facts, cache_size=8, candidates=8),
        "shared": lambda: SharedSampler(data.num_nodes, 5),
    }
    return made[name]() if name in made else SAMPLERS[name](data.num_nodes, 5)


def trained(name, data, folder=None, resume=False, callbacks=(), model=None, **options):
    facts = Facts.from_data(data, ("train",))
    torch.manual_seed(2)
    sampler, watch = sampler_of(name, data, facts), Watch(facts)
    model = RotatE(data.num_nodes, data.num_relations, 8) if model is None else model
    config = TrainConfig(**({"steps": 12, "batch_size": 64, "validate_every": 6, "learning_rate": 1e-2} | options))
    trainer = Trainer(
        model, sampler, SelfAdversarial(), data, config, folder=folder, callbacks=[watch, *callbacks], progress=False
    )
    trainer.fit(resume=resume)
    return watch


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_trains_and_one_seed_gives_one_course(name, kin):
    features = {"image": make_features(60, 2, 3)} if name == "mans" else {}
    runs = []
    for _ in range(2):
        torch.manual_seed(2)
        model = RotatE(60, 4, 8) if not features else fuse(DistMult(60, 4, 8), features)
        runs.append(trained(name, kin, model=model))
    first, second = runs
    assert np.isfinite(first.losses).all()
    assert all(torch.equal(x, y) for x, y in zip(first.ids[:2], second.ids[:2], strict=True))
    np.testing.assert_allclose(first.losses, second.losses, rtol=1e-3)


class Stop(Callback):
    """Raises after a step, as a machine that goes down would."""

    def on_step(self, trainer, step, losses):
        if step == 7:
            raise KeyError("down")


@pytest.mark.parametrize("name", ["uniform", "mmrns", "nscaching"])
def test_a_run_that_went_down_goes_on_as_if_it_had_not(name, kin, tmp_path):
    whole = trained(name, kin, tmp_path / "whole", checkpoint_every=6)
    with pytest.raises(KeyError):
        trained(name, kin, tmp_path / "cut", callbacks=[Stop()], checkpoint_every=6)
    rest = trained(name, kin, tmp_path / "cut", resume=True, checkpoint_every=6)
    assert len(rest.losses) == 6
    assert torch.equal(rest.ids[0], whole.ids[6])
    np.testing.assert_allclose(rest.losses, whole.losses[6:], rtol=1e-3)


SCRIPT = """
import json, sys, torch
sys.path[:0] = {paths!r}
from conftest import kin
from mmkg.scorers import SCORERS
from mmkg.training import OBJECTIVES, Callback, TrainConfig, Trainer
class Losses(list, Callback):
    def on_step(self, trainer, step, losses):
        self.append(losses["loss"])
data, found = getattr(kin, "__wrapped__", kin)(), {{}}
for name, objective, options in {cases!r}:
    torch.manual_seed(0)
    model, losses = SCORERS[name](60, 4, 8), Losses()
    config = TrainConfig(steps=10, batch_size=64, both_sides=True, validate_every=5, learning_rate=1e-2, **options)
    trainer = Trainer(model, None, OBJECTIVES[objective](), data, config, callbacks=[losses], progress=False)
    best = trainer.fit().best
    found[" ".join((name, objective, *map(str, options.values())))] = [trainer.device.type, [*losses], best["mrr"]]
print(json.dumps(found))
"""
CASES = [
    ("complex", "one_vs_all", {"optimizer": "adagrad", "regulariser": "n3", "regulariser_weight": 0.01}),
    ("distmult", "k_vs_all", {"optimizer": "adam"}),
    ("rotate", "one_vs_all", {"optimizer": "adam"}),
    ("complex", "one_vs_all", {"optimizer": "adagrad", "together": 8, "relation_weight": 0.1}),
]


def test_training_against_all_entities_is_the_same_on_both():
    script = SCRIPT.format(paths=PATHS, cases=CASES)
    found = []
    for visible in ({}, {"CUDA_VISIBLE_DEVICES": ""}):
        done = subprocess.run([sys.executable, "-c", script], env=os.environ | visible, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout.splitlines()[-1]))
    on_gpu, on_cpu = found
    for case, (device, losses, mrr) in on_gpu.items():
        assert (device, on_cpu[case][0]) == (GPU, "cpu")
        np.testing.assert_allclose(losses, on_cpu[case][1], rtol=2e-3, err_msg=case)
        assert mrr == pytest.approx(on_cpu[case][2], abs=0.02), case


@pytest.mark.parametrize("optimizer", ["adagrad", "row_adagrad", "row_adam", "adam"])
def test_optimisers_see_the_same_gradients(optimizer, kin):
    watch = trained("uniform", kin, optimizer=optimizer)
    assert np.isfinite(watch.losses).all()
    assert np.mean(watch.losses[-3:]) < np.mean(watch.losses[:3])


def whole_numbers(entities, relations, dim):
    """A model whose scores are whole numbers, the same to the bit everywhere, with many ties."""
    model = DistMult(entities, relations, dim)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randint(-2, 3, p.shape).float())
    return model.eval()


def test_ranks_are_the_same(kin):
    torch.manual_seed(0)
    model, facts = whole_numbers(60, 4, 6), Facts.from_data(kin)
    triples = torch.stack([kin.edge_index[0], kin.edge_type, kin.edge_index[1]], dim=1)  # [E, 3]
    here = rank(model, triples, facts)
    there = rank(model.to(GPU), triples.to(GPU), facts.to(GPU))
    for name in ("optimistic", "pessimistic", "candidates", "side", "triple"):
        assert torch.equal(getattr(here, name), getattr(there, name).cpu()), name
    assert metrics(here) == pytest.approx(metrics(there))
    told = evaluate(model, kin, "test", progress=False).summary()  # a graph on the host, a model on the GPU
    expected = evaluate(model.cpu(), kin, "test", progress=False).summary()
    for rule, of_rule in told["metrics"].items():
        assert of_rule == pytest.approx(expected["metrics"][rule]), rule


@pytest.fixture
def little_memory():
    """A GPU that has 1 GiB beyond what is in use."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**30) / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def test_where_memory_runs_out_ranking_goes_on_in_smaller_blocks(little_memory):
    entities = 1_000_000  # so that scores of all questions are twice as large as the memory
    torch.manual_seed(0)
    model = whole_numbers(entities, 2, 16).to(GPU)
    triples = torch.stack([torch.randint(n, (600,)) for n in (entities, 2, entities)], dim=1)  # [600, 3]
    facts = Facts(*triples.T, entities, 2).to(GPU)
    expected = rank(model, triples.to(GPU), facts, memory_mb=64)
    with pytest.warns(UserWarning, match="memory ran out"):
        found = rank(model, triples.to(GPU), facts, memory_mb=4096)
    assert torch.equal(found.optimistic, expected.optimistic)
    assert torch.equal(found.pessimistic, expected.pessimistic)


def test_where_memory_runs_out_training_goes_on_in_parts(little_memory, kin):
    kin = kin.clone()
    kin.num_nodes = entities = 1_000_000
    kin.entity_names = [f"e{i}" for i in range(entities)]
    torch.manual_seed(0)
    model, watch = RotatE(entities, 4, 8), Watch(Facts.from_data(kin, ("train",)))
    config = TrainConfig(steps=2, batch_size=200, both_sides=True, validate_every=0)
    trainer = Trainer(model, None, OBJECTIVES["k_vs_all"](), kin, config, callbacks=[watch], progress=False)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        trainer.fit()
    assert any("memory ran out" in str(w.message) for w in told)
    assert np.isfinite(watch.losses).all()


def test_half_precision(kin):
    code = (
        "import sys, torch; sys.path[:0] = {paths!r}\n"
        "from conftest import kin\nimport test_gpu\n"
        "watch = test_gpu.trained('mmrns', getattr(kin, '__wrapped__', kin)(), precision={precision!r})\n"
        "assert all(x == x and abs(x) < 1e4 for x in watch.losses), watch.losses"
    )
    for precision in ("bf16", "fp16"):  # accelerate keeps one precision a process
        one = [sys.executable, "-c", code.format(precision=precision, paths=PATHS)]
        done = subprocess.run(one, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_features_on_disk_come_to_the_gpu(kin, tmp_path):
    image = make_features(60, 4, 6)
    path = tmp_path / "image.npy"
    np.save(path, image.values.numpy().astype(np.float16))
    stored = Features(np.load(path, mmap_mode="r"), image.mask, image.row)
    torch.manual_seed(0)
    sampler = MMRNS(60, 16, 8, image=stored, num_negatives=5, pool_size=40, gate_dim=4)
    torch.manual_seed(2)
    config = TrainConfig(steps=4, batch_size=64, validate_every=0)
    trainer = Trainer(RotatE(60, 4, 8), sampler, SelfAdversarial(), kin, config, progress=False)
    assert np.isfinite(trainer.fit().seconds)
    assert all(p.device.type == GPU for p in trainer.sampler.parameters())


def test_a_run_from_a_folder_to_an_answer(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    lines = [f"e{i}\t{name}\te{(i + step) % 50}" for i in range(50) for name, step in (("next", 1), ("far", 9))]
    (folder / "triples.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sampler = SamplerConfig(name="mmrns", negatives=5, pool=30, modalities=("structure",))
    config = RunConfig(
        dataset=str(folder), dim=8, sampler=sampler, train=TrainConfig(steps=20, batch_size=32, validate_every=10)
    )
    Run.train(config, tmp_path / "run", progress=False)
    run = Run.load(tmp_path / "run", progress=False)
    assert next(run.model.parameters()).device.type == GPU
    assert 0 < run.evaluate("test")["metrics"]["realistic"]["mrr"] <= 1
    assert len(run.predict(head="e1", relation="next", k=3)) == 3
    assert len(run.predict(head="e1", tail="e2")) > 0
    assert run.predict(head="e1", relation="next", tail="e2")["known"]
