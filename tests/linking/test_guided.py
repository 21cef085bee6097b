"""Guided linking: the cosines are those of KCA's own views, entity by entity; the sampler stays as it was."""

import pytest
import torch

from mmkg.linking import GuidedLinker, Mentions, link_ranks, neighbour_evidence, with_evidence
from mmkg.samplers import MMRNS
from mmkg.scorers import ComplEx
from mmkg.types import Features

N, R, D = 11, 3, 4


def some(rows, width, present, seed):
    g = torch.Generator().manual_seed(seed)
    values = torch.randn(sum(present), rows, width, generator=g)
    mask = torch.rand(sum(present), rows, generator=g) < 0.7
    mask[:, 0] = True
    at = torch.tensor(present).cumsum(0) - 1
    return Features(values, mask, torch.where(torch.tensor(present), at, -1))


@pytest.fixture
def world():
    image = some(3, 6, [i % 3 > 0 for i in range(N)], 0)
    text = some(2, 5, [i != 4 for i in range(N)], 1)
    torch.manual_seed(0)
    model = ComplEx(N, R, D)
    sampler = MMRNS(N, 2 * D, 2 * D, image, text, num_negatives=2, attention_dim=7, gate_dim=5)
    return sampler, model, {"image": image, "text": text}


def copies(features, ids):
    """Entities' own features, handed in as mentions."""
    return Mentions({m: Features(f.values, f.mask, f.row[ids]) for m, f in features.items()})


@pytest.mark.parametrize("chunk", [2, 100])
def test_scores_are_cosines_of_views(world, chunk):
    sampler, model, features = world
    ids, relation = torch.tensor([1, 4, 3, 2]), torch.tensor([2, 0, 2, 1])
    got = GuidedLinker(sampler.views, model, chunk).scores(copies(features, ids), relation)
    every = torch.arange(N)
    for i, (mention, r) in enumerate(zip(ids.tolist(), relation.tolist(), strict=True)):
        guide = model.relation(torch.tensor([r]))
        views = sampler.views.pairs(every, model.entity(every), guide, every, torch.zeros(N, dtype=torch.long))
        for e in range(N):
            shared = [m for m, f in features.items() if f.present[mention] and f.present[e]]
            cosines = [torch.cosine_similarity(views[m][mention], views[m][e], dim=0) for m in shared]
            expected = torch.stack(cosines).mean() if shared else torch.tensor(-1.0)
            torch.testing.assert_close(got[i, e], expected, atol=1e-5, rtol=1e-5)


def test_a_copy_is_linked_to_its_original_and_nothing_changes(world):
    sampler, model, features = world
    before = {k: v.clone() for k, v in sampler.state_dict().items()}
    ids = torch.arange(N)
    linker = GuidedLinker(sampler.views, model)
    ranks = link_ranks(linker.scores(copies(features, ids), torch.arange(N) % R, "head"), ids)
    assert (ranks.optimistic == 1).all()
    assert all(torch.equal(before[k], v) for k, v in sampler.state_dict().items())


def test_mentions_with_texts_alone(world):
    sampler, model, features = world
    ids = torch.tensor([2, 5])
    linker = GuidedLinker(sampler.views, model)
    text = Mentions({"text": copies(features, ids).features["text"]})
    scores = linker.scores(text, torch.tensor([0, 0]))
    assert torch.isfinite(scores).all()
    assert (scores[:, 4] == -1).all()  # it has no text


def test_a_neighbour_decides_between_namesakes():
    model = ComplEx(3, 1, 2)
    with torch.no_grad():
        model.node_emb.weight[:] = torch.tensor([[1.0, 0, 0, 0], [-1, 0, 0, 0], [1, 0, 0, 0]])
        model.rel_emb.weight[:] = torch.tensor([[3.0, 0, 0, 0]])
    alike = torch.tensor([[0.8, 0.8, 0.1]])
    for side in ("head", "tail"):
        evidence = neighbour_evidence(model, torch.tensor([0]), torch.tensor([2]), side)
        torch.testing.assert_close(evidence.exp().sum(1), torch.ones(1))
        assert with_evidence(alike, evidence).argmax(1).tolist() == [0]
    torch.testing.assert_close(with_evidence(alike, evidence, weight=0.0), (alike / 0.05).log_softmax(1))
    with pytest.raises(ValueError, match="must be above 0"):
        with_evidence(alike, evidence, temperature=0)


def test_bad_input(world):
    sampler, model, features = world
    linker, mentions = GuidedLinker(sampler.views, model), copies(features, torch.tensor([1, 2]))
    with pytest.raises(ValueError, match="give one each"):
        linker.scores(mentions, torch.tensor([0]))
    with pytest.raises(ValueError, match="mentions have sound features"):
        linker.scores(Mentions({"sound": mentions.features["text"]}), torch.tensor([0, 0]))
    with pytest.raises(ValueError, match="text features of another shape"):
        linker.scores(Mentions({"text": some(2, 4, [True, True], 0)}), torch.tensor([0, 0]))
    structure = MMRNS(N, 2 * D, 2 * D, num_negatives=2)
    with pytest.raises(ValueError, match="structure alone"):
        GuidedLinker(structure.views, model)
