"""The attention that is shown is the one that KCA uses: its weighted sums are the straightforward form's views."""

import pytest
import torch
from sampler_world import make_world, relative

from mmkg.samplers import MMRNS
from mmkg.samplers.mmrns.attention import attention


def build(world, **options):
    model, _, _, image, text = world
    given = {"image": image, "text": text} | {k: options.pop(k) for k in ("image", "text") if k in options}
    torch.manual_seed(1)
    sampler = MMRNS(40, 6, 6, **given, num_negatives=2, pool_size=20, attention_dim=9, **options).double()
    with torch.no_grad():  # weights of ones would hide a Norm that is left out
        sampler.views.kca.norm.weight.uniform_(0.5, 2)
        sampler.views.kca.norm.bias.uniform_(-1, 1)
    relation = model.relation(torch.arange(40) % 4, "tail").detach()  # [40, d_r]
    return sampler, torch.arange(40), relation


def content(views, name, ids):
    """Encoded rows ``[n, R, a]`` with null rows where an entity has none."""
    layer, null = getattr(views.kca, f"{name}_in"), getattr(views.kca, f"null_{name}")
    if layer is None:
        return null.expand(len(ids), -1, -1)
    values, mask = views.features[name].gather(ids)
    mask = torch.ones_like(mask) if views.zero_rows else mask
    rows = torch.nn.functional.leaky_relu(values.double() @ layer.weight.T + layer.bias, 0.1)
    return rows if null is None else torch.where(mask.any(1)[:, None, None], rows, null)


def summed(views, name, found, ids):
    """KCA's view of a modality, from the weights that are shown."""
    kca, rows = views.kca, content(views, name, ids)  # [n, J, a]
    total = 0
    for half in ("free", "guided"):
        weights = getattr(found, f"{name}_{half}")  # [n, J, O]
        total = total + (0 if weights is None else kca.norm(weights.transpose(1, 2) @ rows))
    other = "text" if name == "image" else "image"
    mask = getattr(found, f"{other}_mask")  # [n, O]
    mask = mask | ~mask.any(1, keepdim=True)  # null rows all count
    branch = getattr(kca, name)
    return (total * mask[..., None]).flatten(1) @ branch.project.weight.T + branch.project.bias


@pytest.mark.parametrize(
    "options",
    [{}, {"use_guide": False}, {"use_free": False}, {"missing": "zero"}, {"image": None}, {"text": None}],
    ids=str,
)
@torch.no_grad()
def test_weighted_sums_are_the_views(oracle, options):
    world = make_world()
    sampler, ids, relation = build(world, **options)
    views = sampler.views
    given = []
    for name in ("image", "text"):
        if name not in views.features:
            given.append(None)
            continue
        values, mask = views.features[name].gather(ids)
        mask = torch.ones_like(mask) if views.zero_rows else mask
        given.append((values.double()[:, None], mask[:, None]))  # [n, 1, R, D], each under its own relation
    expected = oracle.kca_views(views.kca, *given, relation)
    found = attention(views, ids, relation)
    for name, view in expected.items():
        has = views.present(name, ids)
        assert has.sum() > 10
        assert relative(summed(views, name, found, ids)[has], view[has, 0]) < 1e-10
    for name in {"image", "text"} - set(expected):
        assert getattr(found, f"{name}_free") is None
        assert found.over(name, "guided") is None


def test_weights_of_what_there_is():
    world = make_world()
    sampler, ids, relation = build(world)
    found, views = attention(sampler.views, ids, relation), sampler.views
    for name in ("image", "text"):
        has, mask = views.present(name, ids), getattr(found, f"{name}_mask")
        assert torch.equal(mask, views.features[name].row_mask(ids))
        free, guided = found.over(name, "free"), found.over(name, "guided")
        assert torch.allclose(free.sum(1), has.double())
        assert not free[~mask].any()
        assert not guided[~mask].any()
        assert (guided[mask] < 0).any()
        assert (guided[mask] > 0).any()


def test_only_the_guided_half_depends_on_the_relation():
    sampler, ids, relation = build(make_world())
    one, other = (attention(sampler.views, ids, r) for r in (relation, relation.roll(1, 0)))
    assert torch.equal(one.image_free, other.image_free)
    assert not torch.equal(one.image_guided, other.image_guided)
    assert not torch.equal(one.text_guided, other.text_guided)


def test_structure_alone_has_no_attention():
    model = make_world()[0]
    sampler = MMRNS(40, 6, 6, num_negatives=2, pool_size=20)
    with pytest.raises(ValueError, match="structure alone"):
        attention(sampler.views, torch.arange(2), model.relation(torch.arange(2), "tail"))
