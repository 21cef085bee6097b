"""MANS: mixtures as computed by hand, and the law of modalities and donors."""

import pytest
import torch
from sampler_world import counts_p_value, make_features, make_world, seeded

from mmkg.samplers import MANS, UniformSampler
from mmkg.scorers import FUSIONS, ComplEx, DistMult, FusedEntities, fuse
from mmkg.training import SelfAdversarial, TrainConfig, Trainer
from mmkg.types import SIDES

N, R, D = 25, 4, 6


def fused(fusion="linear", kind=DistMult, **options):
    """A model of which some entities lack one modality or both, with every weight at random."""
    torch.manual_seed(5)
    both = {"image": make_features(N, 3, 7, 0.4), "text": make_features(N, 2, 5, 0.4)}
    model = fuse(kind(N, R, D), both, fusion=fusion, **options)
    for p in model.parameters():
        torch.nn.init.normal_(p)
    return model, both


def world():
    _, facts, batch, *_ = make_world(entities=N, triples=50)
    return facts, batch


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("attention", [False, True])
def test_mixtures_are_fusions_of_the_donors_features(fusion, attention):
    model, features = fused(fusion, attention=attention)
    facts, batch = world()
    answer = batch.answer("tail")
    drawn = MANS(N, 10, share=1.0).sample(batch, "tail", model, facts, seeded())
    table, met = model.node_emb, set()
    assert isinstance(table, FusedEntities)
    for row in range(len(batch)):
        own = {m: f.present[answer[row]] for m, f in features.items()}
        for k in range(10):
            donor, ways = drawn.ids[row, k], []
            for exchanged in features:
                if not own[exchanged] or not features[exchanged].present[donor]:
                    continue
                giver = {m: donor if m == exchanged else answer[row] for m in features}
                given = {m: f.gather(giver[m][None]) for m, f in features.items()}
                ways.append(table.encode(given, table.weight[answer[row]][None])[0])
            if not any(own.values()):
                ways = [model.entity(donor)]
            close = [bool(torch.allclose(drawn.embeddings[row, k], way, atol=1e-5)) for way in ways]
            assert any(close)
            met.add((len(ways), any(own.values())))
    assert met == {(1, True), (2, True), (1, False)}


@pytest.mark.parametrize("side", SIDES)
def test_law_of_modalities_and_donors(side):
    model, features = fused()
    facts, batch = world()
    drawn = MANS(N, 20_000, share=1.0).sample(batch, side, model, facts, seeded(2))
    known, answer = facts.mask(batch, side), batch.answer(side)
    law = torch.zeros(len(batch), N)
    for row in range(len(batch)):
        of = [~known[row] & f.present for f in features.values() if f.present[answer[row]]]
        of = [w for w in of if w.any()] or [~known[row]]
        law[row] = sum(w.double() / w.sum() for w in of) / len(of)
    found = torch.stack([torch.bincount(row, minlength=N) for row in drawn.ids])
    assert counts_p_value(found, law) > 0.01
    assert drawn.valid.all()
    only_text = MANS(N, 500, share=1.0, modalities=["text"]).sample(batch, side, model, facts, seeded(2))
    holds = features["text"].present
    assert holds[only_text.ids[holds[answer]]].all()
    # of one modality the law is uniform, and so is the log-probability
    left = (~known & holds).sum(1)
    assert torch.allclose(only_text.log_prob[holds[answer], 0].exp(), 1 / left[holds[answer]])


def test_log_prob_is_that_of_modality_and_donor():
    model, features = fused()
    facts, batch = world()
    drawn = MANS(N, 400, share=1.0).sample(batch, "tail", model, facts, seeded(2))
    known, answer = facts.mask(batch, "tail"), batch.tail
    for row in range(len(batch)):
        of = [~known[row] & f.present for f in features.values() if f.present[answer[row]]]
        chances = {round(1 / (len(of) * int(w.sum())), 5) for w in of} or {round(1 / int((~known[row]).sum()), 5)}
        assert {round(float(x), 5) for x in drawn.log_prob[row].exp().unique()} == chances


def test_shares_and_stages():
    model, _ = fused()
    facts, batch = world()
    uniform = UniformSampler(N, 8).sample(batch, "tail", None, facts, seeded(4))
    hybrid = MANS(N, 8, share=0.25).sample(batch, "tail", model, facts, seeded(4))
    assert torch.equal(hybrid.ids[:, 2:], uniform.ids[:, 2:])
    assert torch.allclose(hybrid.embeddings[:, 2:], model.entity(uniform.ids[:, 2:]), atol=1e-5)
    assert not torch.allclose(hybrid.embeddings[:, :2], model.entity(hybrid.ids[:, :2]), atol=1e-1)
    two_stages = MANS(N, 8, share=1.0, until=5)
    assert two_stages.sample(batch, "tail", model, facts, seeded(4), 4).embeddings is not None
    ordinary = two_stages.sample(batch, "tail", model, facts, seeded(4), 5)
    assert ordinary.embeddings is None
    assert torch.equal(ordinary.ids, uniform.ids)


def test_gradient_reaches_structure_maps_and_both_entities():
    model, features = fused(kind=ComplEx)
    facts, batch = world()
    drawn = MANS(N, 4, share=1.0, modalities=["image"]).sample(batch, "tail", model, facts, seeded(4))
    has = features["image"].present[batch.tail]
    scores = model.score_tails(batch.head, batch.relation, drawn.candidates)
    scores[has].sum().backward()
    assert (model.node_emb.weight.grad[batch.tail[has]] != 0).any(1).all()  # structure is the answer's own
    assert (model.node_emb.fusion.maps["image"].weight.grad != 0).any()


def test_a_model_learns_whose_picture_is_whose(kin):
    # in the end true triples score above those with somebody else's picture, which chance does not give
    torch.manual_seed(1)
    image = make_features(60, 1, 16, 0.0, 0.0)
    model = fuse(DistMult(60, 4, 16), {"image": image})
    sampler = MANS(60, 8, share=0.5)
    config = TrainConfig(steps=200, batch_size=200, learning_rate=0.02, validate_every=0)
    trainer = Trainer(model, sampler, SelfAdversarial(), kin, config, progress=False)

    def wins():
        batch = trainer.batches.next()
        with torch.no_grad():
            drawn = MANS(60, 20, share=1.0).sample(batch, "tail", model, trainer.facts, seeded(1))
            true = model.score_triples(batch.head, batch.relation, batch.tail)
            wrong = model.score_tails(batch.head, batch.relation, drawn.embeddings)
        return float((true[:, None] > wrong).float().mean())

    assert wins() < 0.6
    trainer.fit()
    assert wins() > 0.8


def test_needs_fused_entities():
    facts, batch = world()
    with pytest.raises(ValueError, match="DistMult has none: give them to it by"):
        MANS(N, 4).sample(batch, "tail", DistMult(N, R, D), facts)
    model, _ = fused()
    with pytest.raises(ValueError, match="the model has no 'audio'"):
        MANS(N, 4, modalities=["audio"]).sample(batch, "tail", model, facts)
    with pytest.raises(ValueError, match="share is 2"):
        MANS(N, 4, share=2)
    with pytest.raises(ValueError, match="until is -1"):
        MANS(N, 4, until=-1)
    with pytest.raises(ValueError, match="no modalities"):
        MANS(N, 4, modalities=[])
    assert "share=0.5" in repr(MANS(N, 4))
