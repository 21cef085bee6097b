"""NSCaching: what a cache holds, how it changes, and that it gets harder."""

import pytest
import torch
from sampler_world import counts_p_value, law_p_value, make_world, seeded

from mmkg.graph.facts import Facts
from mmkg.samplers import NSCaching, UniformSampler
from mmkg.samplers.nscaching import first_of_each
from mmkg.scorers import DistMult
from mmkg.training import SelfAdversarial, TrainConfig, Trainer
from mmkg.types import SIDES, Batch


class Fixed(torch.nn.Module):
    """Scores entities whatever the question."""

    def __init__(self, scores):
        super().__init__()
        self.scores, self.asked = scores, 0

    def score_tails(self, head, relation, ids):
        self.asked += len(head)
        return self.scores[ids]

    def score_heads(self, relation, tail, ids):
        self.asked += len(tail)
        return self.scores[ids]


def many_questions(relations=1500):
    """Entity 0 is related to entity 1 by each of many relations: as many questions with six unknown entities."""
    r = torch.arange(relations)
    h, t = torch.zeros_like(r), torch.ones_like(r)
    return Facts(h, r, t, 7, relations), Batch(h, r, t)


@pytest.mark.parametrize("side", SIDES)
def test_the_best_stay_by_the_papers_law(side):
    facts, batch = many_questions()
    scores = torch.tensor([0.3, 0.1, -1.0, 0.5, 2.0, -0.4, 1.2])
    sampler = NSCaching(
        7, 2, facts, cache_size=2, candidates=80
    )  # so many that each entity is nearly surely among them
    sampler.sample(batch, side, Fixed(scores), facts, seeded(2))
    cache, answer = sampler.cached(batch, side, facts), batch.answer(side)[0]
    assert (cache >= 0).all()
    assert (cache[:, 0] != cache[:, 1]).all()
    weight = scores.exp()
    weight[answer] = 0
    assert law_p_value(cache[:, 0], weight) > 0.01
    # and the second one by what the first one left
    left = weight.repeat(7, 1)
    left[torch.arange(7), torch.arange(7)] = 0
    found = torch.zeros(7, 7).index_put((cache[:, 0], cache[:, 1]), torch.ones(len(cache)), accumulate=True)
    rows = found.sum(1) > 0
    assert counts_p_value(found[rows], left[rows]) > 0.01


@pytest.mark.parametrize("side", SIDES)
def test_negatives_are_uniform_over_the_cache_before_its_refresh(side):
    _, facts, batch, *_ = make_world()
    sampler = NSCaching(40, 20_000, facts, cache_size=6, candidates=5)
    model = Fixed(torch.randn(40, generator=seeded(1)))
    sampler.sample(batch, side, model, facts, seeded(1))
    before = sampler.cached(batch, side, facts)
    drawn = sampler.sample(batch, side, model, facts, seeded(2))
    assert not torch.equal(before, sampler.cached(batch, side, facts))
    weight = torch.zeros(len(batch), 40).scatter(1, before, 1.0)
    assert (weight.sum(1) == 6).all()
    found = torch.stack([torch.bincount(row, minlength=40) for row in drawn.ids])
    assert counts_p_value(found, weight) > 0.01
    assert drawn.log_prob.exp().allclose(torch.tensor(1 / 6))


def test_only_visited_caches_change_and_only_in_training():
    _, facts, batch, *_ = make_world()
    sampler = NSCaching(40, 3, facts, cache_size=4, candidates=4, refresh_every=2)
    model = Fixed(torch.randn(40, generator=seeded(1)))
    sampler.eval()
    drawn = sampler.sample(batch, "tail", model, facts, seeded())
    assert drawn.valid.all()
    assert (sampler.tail_cache == -1).all()
    assert model.asked == 0
    sampler.train()
    sampler.sample(batch, "tail", model, facts, seeded())
    filled = (sampler.tail_cache >= 0).all(1)
    questions = len({(int(h), int(r)) for h, r in zip(batch.head, batch.relation, strict=True)})
    assert filled.sum() == (sampler.tail_visits == 1).sum() == questions
    assert (sampler.head_cache == -1).all()
    assert model.asked == 0  # the first of two visits
    first = sampler.tail_cache.clone()
    sampler.sample(batch, "tail", model, facts, seeded(1))
    assert model.asked == questions
    assert not torch.equal(first, sampler.tail_cache)
    assert torch.equal(first[~filled], sampler.tail_cache[~filled])


def test_questions_without_a_cache_get_uniform_negatives():
    facts = make_world(entities=12, triples=20)[1]
    strangers = Batch(torch.arange(12), torch.full((12,), 3), torch.arange(12))
    sampler = NSCaching(12, 5000, facts)
    keys = set(sampler.tail_keys.tolist())
    new = [row for row in range(12) if row * 4 + 3 not in keys]
    assert new
    drawn = sampler.sample(strangers, "tail", Fixed(torch.randn(12)), facts, seeded())
    for row in new:
        assert law_p_value(drawn.ids[row], (torch.arange(12) != row).double()) > 0.001
    assert sampler.cached(strangers, "tail", facts)[new].eq(-1).all()


def test_fewer_entities_than_the_cache_has_room_for():
    facts, batch = many_questions(3)
    sampler = NSCaching(7, 9, facts, cache_size=30, candidates=30)
    for seed in range(3):
        drawn = sampler.sample(batch, "tail", Fixed(torch.randn(7)), facts, seeded(seed))
        assert drawn.valid.all()
    cache = sampler.cached(batch, "tail", facts)
    for row in cache:
        assert sorted(row[row >= 0].tolist()) == [0, 2, 3, 4, 5, 6]


def test_first_of_each():
    ids = torch.randint(5, (20, 9), generator=seeded())
    mask = first_of_each(ids)
    for row, keep in zip(ids, mask, strict=True):
        assert sorted(row[keep].tolist()) == sorted(set(row.tolist()))


def mean_scores(model, sampler, facts, side):
    """Mean score of the cached, and of uniform negatives of the same questions."""
    batch = Batch(*facts.triples())
    cache = sampler.cached(batch, side, facts)
    others = UniformSampler(facts.num_nodes, 50).sample(batch, side, None, facts, seeded(9)).ids
    score = model.score_tails if side == "tail" else model.score_heads
    asked = (batch.head, batch.relation) if side == "tail" else (batch.relation, batch.tail)
    with torch.no_grad():
        return [float(score(*asked, ids)[ids >= 0].mean()) for ids in (cache, others)]


@pytest.mark.parametrize("side", SIDES)
def test_the_cache_of_a_standing_model_gets_harder(side, kin):
    facts = Facts.from_data(kin)
    torch.manual_seed(1)
    model = DistMult(60, 4, 8, initial_std=1.0)
    sampler, generator = NSCaching(60, 4, facts, cache_size=10, candidates=10), seeded(4)
    hardness = []
    for _ in range(12):
        sampler.sample(Batch(*facts.triples()), side, model, facts, generator)
        hardness.append(mean_scores(model, sampler, facts, side)[0])
    easy = mean_scores(model, sampler, facts, side)[1]
    assert hardness[0] > easy
    assert hardness[3] > hardness[0] + 0.5
    assert min(hardness[6:]) > hardness[0] + 1.0


def test_the_cache_of_a_model_in_training_is_harder_than_chance(kin):
    torch.manual_seed(2)
    model = DistMult(60, 4, 16)
    trainer = Trainer(
        model,
        NSCaching(60, 4, Facts.from_data(kin), cache_size=10, candidates=10),
        SelfAdversarial(),
        kin,
        TrainConfig(steps=150, batch_size=100, learning_rate=0.03, validate_every=0),
        progress=False,
    )
    trainer.fit()
    for side in SIDES:
        cached, others = mean_scores(model, trainer.sampler, trainer.facts, side)
        assert cached > others + 0.5


def test_bad_arguments():
    facts, _ = many_questions(3)
    with pytest.raises(ValueError, match="cache_size is 0"):
        NSCaching(7, 2, facts, cache_size=0)
    with pytest.raises(ValueError, match="facts of 7 entities"):
        NSCaching(8, 2, facts)
    assert "cache_size=50, refresh_every=1" in repr(NSCaching(7, 2, facts))
