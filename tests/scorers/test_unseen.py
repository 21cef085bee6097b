"""Unseen entities: embeddings that fit what is known of them, and a scorer that stays as it was."""

import pytest
import torch

from mmkg.errors import DataError
from mmkg.evaluation import rank
from mmkg.graph import Facts
from mmkg.scorers import FUSIONS, SCORERS, ComplEx, Extended, UnseenEntities, adaptation, fuse
from mmkg.types import Features

N, R, D, NEW = 20, 3, 4, 3
G = torch.Generator().manual_seed(0)
NEW_FEATURES = {
    "text": (torch.randn(NEW, 2, 5, generator=G), torch.tensor([[True, True], [True, False], [True, False]])),
    "image": (torch.randn(NEW, 1, 6, generator=G), torch.tensor([[True], [False], [True]])),
}
SUPPORT = torch.tensor([[N, 0, 1], [3, 1, N], [N + 1, 2, 5]])
TRIPLES = torch.stack([torch.randint(0, n, (40,), generator=G) for n in (N, R, N)], 1)


def model_of(name="complex", fusion="linear", seed=0):
    torch.manual_seed(seed)
    text = Features(torch.randn(N, 2, 5), torch.ones(N, 2, dtype=torch.bool), torch.arange(N))
    half = torch.where(torch.arange(N) % 2 == 0, torch.arange(N) // 2, -1)
    image = Features(torch.randn(N // 2, 1, 6), torch.ones(N // 2, 1, dtype=torch.bool), half)
    model = fuse(SCORERS[name](N, R, D), {"text": text, "image": image}, fusion=fusion)
    with torch.no_grad():
        for parameter in model.node_emb.fusion.parameters():
            parameter.normal_(std=0.3)
    return model.eval()


@pytest.mark.parametrize("name", ["complex", "rotate", "transe", "tucker", "transd"])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_triples_become_more_plausible(name, fusion):
    unseen = UnseenEntities(model_of(name, fusion))
    scores = []
    for steps in (0, 60):
        model = Extended(unseen.scorer, unseen.embed(NEW_FEATURES, SUPPORT, steps=steps))
        among = model.score_tails(SUPPORT[:, 0], SUPPORT[:, 1]).detach().log_softmax(1)
        scores.append(float(among.gather(1, SUPPORT[:, 2:]).mean()))
    assert scores[1] > scores[0]


def test_without_triples_it_is_projection_and_fusion():
    unseen = UnseenEntities(model_of())
    vectors, present = unseen.fused.pooled(NEW_FEATURES)
    expected = unseen.fused.fusion(unseen.projection(vectors, present), vectors, present)
    torch.testing.assert_close(unseen.embed(NEW_FEATURES), expected.detach())
    mean = unseen.fused.encode(NEW_FEATURES).detach()  # the mean of all entities' structure
    torch.testing.assert_close(unseen.embed(NEW_FEATURES, structure="mean"), mean)


def test_a_known_entity_described_again_is_close_to_itself():
    """With structure that follows from features, a copy of a known entity gets its embedding."""
    model = model_of()
    with torch.no_grad():
        vectors, _ = model.node_emb.pooling["text"](torch.arange(N))
        model.node_emb.weight.copy_(vectors @ torch.randn(5, 2 * D))
    unseen = UnseenEntities(model)
    copies = {m: pool.pooled[:NEW, None] for m, pool in model.node_emb.pooling.items()}
    masks = {m: pool.present[:NEW, None] for m, pool in model.node_emb.pooling.items()}
    got = unseen.embed({m: (copies[m], masks[m]) for m in copies})
    torch.testing.assert_close(got, model.entity_table()[:NEW].detach(), atol=0.05, rtol=0.05)


@pytest.mark.parametrize("training", [True, False])
def test_nothing_that_was_learned_changes(training):
    model = model_of("tucker").train(training)
    facts = Facts(*TRIPLES.unbind(1), N, R)
    before, state = rank(model, TRIPLES, facts), {k: v.clone() for k, v in model.state_dict().items()}
    embeddings = UnseenEntities(model).embed(NEW_FEATURES, SUPPORT, steps=5)
    extended = Extended(model, embeddings)
    rank(extended, SUPPORT, Facts(*SUPPORT.unbind(1), N + NEW, R))
    after = rank(model, TRIPLES, facts)
    assert torch.equal(before.optimistic, after.optimistic)
    assert torch.equal(before.pessimistic, after.pessimistic)
    assert all(torch.equal(state[k], v) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert model.training is training
    # nor among more candidates: what a known entity scores does not depend on who else is there
    model.eval()
    tails = model.score_tails(TRIPLES[:, 0], TRIPLES[:, 1])
    torch.testing.assert_close(extended.score_tails(TRIPLES[:, 0], TRIPLES[:, 1])[:, :N], tails)


def test_entities_do_not_depend_on_who_is_embedded_with_them():
    unseen = UnseenEntities(model_of())
    together = unseen.embed(NEW_FEATURES, SUPPORT, steps=10)
    first = {m: (v[:1], k[:1]) for m, (v, k) in NEW_FEATURES.items()}
    torch.testing.assert_close(unseen.embed(first, SUPPORT[:2], steps=10), together[:1], atol=1e-5, rtol=1e-4)
    without = unseen.embed(NEW_FEATURES, SUPPORT[:2], steps=10)
    torch.testing.assert_close(without[1:], unseen.embed(NEW_FEATURES)[1:])  # no triples: where they began


def test_blocks_do_not_change_the_result(monkeypatch):
    unseen = UnseenEntities(model_of())
    whole = unseen.embed(NEW_FEATURES, SUPPORT, steps=5)
    monkeypatch.setattr(adaptation, "LOGITS_AT_ONCE", 1)
    torch.testing.assert_close(unseen.embed(NEW_FEATURES, SUPPORT, steps=5), whole, atol=1e-5, rtol=1e-4)


def test_a_stronger_pull_stays_closer():
    unseen = UnseenEntities(model_of())
    start = unseen.embed(NEW_FEATURES)
    far, near = (unseen.embed(NEW_FEATURES, SUPPORT, steps=100, pull=pull) for pull in (0.0, 100.0))
    assert (near - start).norm() < (far - start).norm() / 3


def test_a_scorer_without_modalities_says_that_it_cannot():
    with pytest.raises(DataError, match=r"ComplEx knows entities by their triples alone.*Cure: train with pictures"):
        UnseenEntities(ComplEx(N, R, D))


@pytest.mark.parametrize("triple", [[0, 0, 1], [N, 0, N + 1], [N + NEW, 0, 1], [-1, 0, N]])
def test_support_needs_one_known_and_one_new_entity(triple):
    with pytest.raises(ValueError, match="one known entity"):
        UnseenEntities(model_of()).embed(NEW_FEATURES, torch.tensor([triple]))


@pytest.mark.parametrize("options", [{"structure": "zero"}, {"steps": -1}, {"rate": 0}, {"pull": -1}])
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match="see embed's Args"):
        UnseenEntities(model_of()).embed(NEW_FEATURES, **options)
    with pytest.raises(ValueError, match="this model knows text, image"):
        UnseenEntities(model_of()).embed({"sound": NEW_FEATURES["text"]})
