"""KCA, similarities and probabilities against the published implementation's numbers (side tail).

``tests/data/kca_reduced.safetensors`` was made from ``reference/kca_rotate`` and ``kca_pairre``: two triples, two
candidates of the pool and the entities they name; features narrowed from 383 and 384 to 50 by the singular vectors of
the input layers (an exact change of basis, ``features V`` and ``U S``); the first 6 outputs of both projections. From
``kca_pairre`` all views and similarities are kept under ``views.``. The full files are tested where the shared folder
is.
"""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sampler_world import Toy, relative

from mmkg.graph.facts import Facts
from mmkg.samplers import MMRNS
from mmkg.samplers.mmrns.distribution import log_mixture
from mmkg.samplers.mmrns.similarity import Grouping
from mmkg.types import Batch, Features

DATA = Path(__file__).parents[1] / "data"
CLOSE = 1e-5
LAYERS = {
    "linear_img": "kca.image_in",
    "linear_text": "kca.text_in",
    "linear_rel1": "kca.image.guide_in",
    "linear_rel2": "kca.text.guide_in",
    "linear_img_project": "kca.image.project",
    "linear_text_project": "kca.text.project",
    "layernorm": "kca.norm",
    "linear1": "gate.first",
    "linear3": "gate.second",
}


def load(path, prefix=""):
    """Tensors below a prefix, in float64."""
    found = {k.removeprefix(prefix): v for k, v in load_file(path).items() if k.startswith(prefix)}
    return {k: v.double() if v.is_floating_point() else v for k, v in found.items()}


def assemble(d, epsilon):
    """(sampler with the published weights, model, facts of no triples, batch)."""
    entities = d["entity_embedding"].shape[0]
    features = {}
    for name in ("image", "text"):
        values = d[f"features.{name}"]
        mask = torch.ones(values.shape[:2], dtype=torch.bool)
        features[name] = Features(values.float(), mask, torch.arange(entities))
    dims = d["entity_embedding"].shape[1], d["relation_embedding"].shape[1]
    sampler = MMRNS(
        entities,
        *dims,
        **features,
        num_negatives=1,
        gate_layers=2,
        positive_image_norm=False,
        detach_norms=True,
        missing="zero",
        epsilon=epsilon,
        epsilon_schedule=False,
    ).double()
    for theirs, ours in LAYERS.items():
        for kind in ("weight", "bias"):
            given, parameter = d[f"weights.{theirs}.{kind}"], sampler.views.get_parameter(f"{ours}.{kind}")
            with torch.no_grad():  # a reduced projection fills the first outputs alone
                parameter.zero_()[: given.shape[0]] = given
    model = Toy(entities, len(d["relation_embedding"]), *dims)
    with torch.no_grad():
        model.e.weight.copy_(d["entity_embedding"])
        model.r.weight[: model.relations] = d["relation_embedding"]
    nothing = torch.zeros(0, dtype=torch.long)
    facts = Facts(nothing, nothing, nothing, entities, model.relations)
    return sampler, model, facts, Batch(*d["positive_triples"].T)


def views_of(sampler, model, batch, pool):
    """Views of the pool in factored form ``[B, P, .]`` and of the positives in pairwise form ``[B, .]``."""
    views = sampler.views
    relations, at = batch.relation.unique(return_inverse=True)
    relation = model.relation(relations, "tail")
    rows = views.kca.encode(views.stored("image", pool), views.stored("text", pool))
    found = {**views.kca.pool(rows, relation), "structure": views.gate.pool(model.entity(pool), relation)}
    ids, entity_at = batch.tail.unique(return_inverse=True)
    positive = views.pairs(ids, model.entity(ids), relation, entity_at, at)
    return {m: v[:, at].transpose(0, 1) for m, v in found.items()}, positive


@pytest.mark.parametrize("name", ["rotate", "pairre"])
def test_reduced(name):
    d = load(DATA / "kca_reduced.safetensors", f"{name}.")
    sampler, model, _, batch = assemble(d, 1.0)
    pool, positive = views_of(sampler, model, batch, d["pool"])
    for m, width in (("image", 6), ("text", 6), ("structure", None)):
        assert relative(pool[m][..., :width], d[f"expected.pool_{m}"]) < CLOSE
        assert relative(positive[m][..., :width], d[f"official_positive.{m}"]) < CLOSE


def test_similarities_and_probabilities_of_given_views():
    d = load(DATA / "kca_reduced.safetensors", "pairre.views.")
    similarities = {}
    for m in ("image", "text", "structure"):
        rows = torch.arange(len(d[m]))  # each row its own relation
        similarities[m] = Grouping(rows, len(rows)).similarities(d[f"positive_{m}"], d[m].transpose(0, 1))
        assert relative(similarities[m], d[f"similarity_{m}"]) < CLOSE
    shared = {m: torch.ones_like(s, dtype=torch.bool) for m, s in similarities.items()}
    for rule in ("corrected", "naive"):
        log_p = log_mixture(similarities, shared, float(d["temperature"]), rule)
        assert relative(3 * log_p.exp(), d["softmax_sum"]) < CLOSE


@pytest.mark.parametrize("chunk_size", [None, 4])
@pytest.mark.parametrize("name", ["rotate", "pairre"])
def test_full(shared, name, chunk_size):
    path = shared / "reference" / f"kca_{name}.safetensors"
    if not path.exists():
        pytest.skip(f"no reference numbers at {path}")
    d = load(path)
    sampler, model, facts, batch = assemble(d, float(d["temperature"]))
    pool, positive = views_of(sampler, model, batch, d["pool"])
    for m in ("image", "text", "structure"):
        kind = "_without_norm_on_independent_branch" if m == "image" else ""
        assert relative(pool[m], d[f"expected.pool_{m}"]) < CLOSE
        assert relative(positive[m], d[f"official_positive.{m}{kind}"]) < CLOSE
    plan = sampler.plan(batch, "tail", facts, pool=d["pool"])
    seen = sampler.see(plan, model, chunk_size=chunk_size)
    for m, kind in (("image", "_vs_official_positive"), ("text", ""), ("structure", "")):
        assert relative(seen.similarities[m], d[f"expected.similarity_{m}{kind}"]) < CLOSE
    assert relative(3 * seen.log_p.exp(), d["expected.softmax_sum_unnormalised"]) < CLOSE


def test_norm_belongs_on_the_positive_by_default():
    # the published departure is an option: without it the positive's image is another one
    d = load(DATA / "kca_reduced.safetensors", "rotate.")
    sampler, model, _, batch = assemble(d, 1.0)
    sampler.views.positive_image_norm = True
    _, positive = views_of(sampler, model, batch, d["pool"])
    assert relative(positive["image"][..., :6], d["official_positive.image"]) > 0.01
    assert relative(positive["text"][..., :6], d["official_positive.text"]) < CLOSE
