"""The loss of a step: both sides are the sum of the sides, and the short way is the same as the long one."""

from dataclasses import replace

import pytest
import torch

from mmkg.graph import Facts
from mmkg.samplers import UniformSampler
from mmkg.scorers import SCORERS
from mmkg.training import N3, KvsAll, Logistic, OneVsAll, StepLoss, TrainConfig
from mmkg.training import step as step_module
from mmkg.training.questions import Question
from mmkg.types import Batch

CONFIG = TrainConfig(both_sides=True, regulariser="n3", regulariser_weight=0.3, relation_weight=0.2, validate_every=0)


def batch(kin, rows):
    triples = torch.stack([kin.edge_index[0], kin.edge_type, kin.edge_index[1]], dim=1)[kin.train_mask][rows]
    return Batch(*triples.unbind(1), torch.linspace(0.5, 2.0, len(triples)))


def asked_of(**batches):
    """Questions at both sides, or one."""
    return [[Question(batch, side)] for side, batch in batches.items()]


def loss_of(kin, name, objective, *, config=CONFIG, reciprocal=True):
    torch.manual_seed(0)
    model = SCORERS[name](60, 4, 8, reciprocal=reciprocal)
    torch.nn.init.normal_(model.node_emb.weight)
    sampler = UniformSampler(60, 5) if objective.needs_negatives else None
    facts = Facts.from_data(kin, ("train",))
    watch = lambda *_: None  # noqa: E731
    return StepLoss(model, sampler, objective, facts, config, torch.Generator().manual_seed(4), watch)


@pytest.mark.parametrize("name", ["complex", "cp", "transe"])
@pytest.mark.parametrize("objective", [OneVsAll(0.1), KvsAll(), Logistic()], ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("reciprocal", [False, True])
def test_both_sides_are_the_sum_of_the_sides(kin, name, objective, reciprocal):
    tails, heads = batch(kin, slice(0, 20)), batch(kin, slice(5, 30))
    step = loss_of(kin, name, objective, reciprocal=reciprocal)
    both = step(asked_of(tail=tails, head=heads), 0)
    apart = loss_of(kin, name, objective, reciprocal=reciprocal)  # whose random negatives begin anew
    one, other = apart(asked_of(tail=tails), 0), apart(asked_of(head=heads), 0)
    assert set(both) == {"objective", "regulariser", "relations"}
    for part, value in both.items():
        torch.testing.assert_close(value, one[part] + other[part])


@pytest.mark.parametrize("name", ["complex", "distmult", "tucker", "quate"])
def test_products_give_the_gradient_of_all_scores(kin, name, monkeypatch):
    asked = asked_of(tail=batch(kin, slice(0, 40)), head=batch(kin, slice(10, 50)))
    config = replace(CONFIG, relation_weight=0.0)
    found = []
    for short in (True, False):
        if not short:
            monkeypatch.setattr(step_module, "scores_by_product", lambda model: False)
        step = loss_of(kin, name, OneVsAll(), config=config)
        total = sum(step(asked, 0).values())
        found.append((total, torch.autograd.grad(total, list(step.model.parameters()))))
    (a, gradients), (b, others) = found
    torch.testing.assert_close(a, b)
    for x, y in zip(gradients, others, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-6)


def test_the_parts_are_what_they_say(kin):
    asked = batch(kin, slice(0, 10))
    step = loss_of(kin, "complex", OneVsAll())
    parts = step(asked_of(tail=asked), 0)
    model = step.model
    scores = model.score_tails(asked.head, asked.relation)
    torch.testing.assert_close(parts["objective"], OneVsAll()(scores, asked.tail, asked.weight))
    embeddings = model.entity(asked.head), model.relation(asked.relation), model.entity(asked.tail)
    torch.testing.assert_close(parts["regulariser"], 0.3 * N3()(model, *embeddings, "tail"))


def test_known_answers_of_k_vs_all_come_from_train_facts(kin):
    class Spy(KvsAll):
        def forward(self, scores, answer, weight=None, *, known):
            self.known, self.answer = known, answer
            return super().forward(scores, answer, weight, known=known)

    spy = Spy()
    asked = batch(kin, slice(0, 30))
    loss_of(kin, "distmult", spy, reciprocal=False)(asked_of(head=asked), 0)
    row, entity = spy.known
    train = {
        tuple(x) for x in torch.stack([kin.edge_index[0], kin.edge_type, kin.edge_index[1]], 1)[kin.train_mask].tolist()
    }
    found = {(int(e), int(asked.relation[b]), int(asked.tail[b])) for b, e in zip(row, entity, strict=True)}
    assert found <= train
    assert {(int(h), int(r), int(t)) for h, r, t in zip(asked.head, asked.relation, asked.tail, strict=True)} <= found
