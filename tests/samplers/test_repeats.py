"""One seed is one step, to the bit, however many threads add up its gradients."""

import pytest
import torch
from sampler_world import make_features, seeded

from mmkg.graph.facts import Facts
from mmkg.samplers import MMRNS
from mmkg.scorers import SCORERS
from mmkg.training import SelfAdversarial
from mmkg.types import SIDES, Batch

ENTITIES, RELATIONS, ROWS = 600, 40, 128


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def a_step(name, side, **options):
    """Ids and gradients of a whole step, large enough that PyTorch divides its sums among threads."""
    torch.manual_seed(0)
    h, r, t = (torch.randint(n, (8 * ENTITIES,)) for n in (ENTITIES, RELATIONS, ENTITIES))
    facts, batch = Facts(h, r, t, ENTITIES, RELATIONS), Batch(h[:ROWS], r[:ROWS], t[:ROWS])
    model = SCORERS[name](ENTITIES, RELATIONS, 32)
    widths = model.node_emb.weight.shape[1], model.rel_emb.weight.shape[1]
    features = make_features(ENTITIES, 24, 48, 0.1), make_features(ENTITIES, 4, 32, 0.1)
    sampler = MMRNS(ENTITIES, *widths, *features, pool_size=400, **options)
    negatives = sampler.sample(batch, side, model, facts, seeded(1))
    given = (batch.relation, batch.tail) if side == "head" else (batch.head, batch.relation)
    scores = getattr(model, f"score_{side}s")(*given, negatives.embeddings)  # [B, K]
    positive = model.score_triples(batch.head, batch.relation, batch.tail, side)  # [B]
    loss = SelfAdversarial(0.5)(positive, scores, negatives.valid) + sampler.loss(negatives, scores, positive)
    loss.backward()
    parameters = {**dict(model.named_parameters()), **dict(sampler.named_parameters())}
    return negatives.ids, {key: p.grad for key, p in parameters.items() if p.grad is not None}


@pytest.mark.parametrize("name", ["rotate", "complex", "transe"])
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("options", [{}, {"pool": "typed"}, {"relaxation": "shared", "chunk_size": 150}], ids=str)
def test_a_step_repeats_to_the_bit(two_threads, name, side, options):
    ids, gradients = a_step(name, side, **options)
    assert gradients
    for _ in range(3):
        other_ids, others = a_step(name, side, **options)
        assert torch.equal(ids, other_ids)
        assert [key for key, value in gradients.items() if not torch.equal(value, others[key])] == []
