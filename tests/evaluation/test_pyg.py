"""PyG's own KGE models are ranked as what they are."""

import pytest
import torch
from torch_geometric.nn import kge

from mmkg.evaluation import compare, rank, top_k
from mmkg.evaluation.pyg import ByTriples, adapted
from mmkg.graph import Facts

N, R, D = 23, 4, 5


class Product(kge.KGEModel):
    """A model that is none of the stock ones."""

    def forward(self, head_index, rel_type, tail_index):
        return (self.node_emb(head_index) * self.rel_emb(rel_type)).sum(-1) * self.node_emb(tail_index).sum(-1)


MODELS = {
    "transe": lambda: kge.TransE(N, R, D),
    "transe 2": lambda: kge.TransE(N, R, D, margin=3.0, p_norm=2.0),
    "transe 3": lambda: kge.TransE(N, R, D, p_norm=3.0),
    "distmult": lambda: kge.DistMult(N, R, D),
    "complex": lambda: kge.ComplEx(N, R, D),
    "rotate": lambda: kge.RotatE(N, R, D, margin=2.0),
    "another": lambda: Product(N, R, D),
}


@pytest.fixture
def triples():
    g = torch.Generator().manual_seed(0)
    return torch.stack([torch.randint(high, (60,), generator=g) for high in (N, R, N)], dim=1)


@pytest.mark.parametrize("name", MODELS)
def test_all_scores_are_the_models_own(name, triples, monkeypatch):
    monkeypatch.setattr("mmkg.evaluation.pyg.TRIPLES", 100)
    torch.manual_seed(0)
    model = MODELS[name]()
    asked = adapted(model)
    assert isinstance(asked, ByTriples) == (name in ("transe 3", "another"))
    h, r, t = triples.unbind(1)
    every, own = torch.arange(N).expand(60, -1), torch.randint(N, (60, 7))
    with torch.no_grad():
        tails = model(h[:, None].expand(-1, N).flatten(), r[:, None].expand(-1, N).flatten(), every.flatten())
        heads = model(every.flatten(), r[:, None].expand(-1, N).flatten(), t[:, None].expand(-1, N).flatten())
        torch.testing.assert_close(asked.score_tails(h, r), tails.reshape(60, N))
        torch.testing.assert_close(asked.score_heads(r, t), heads.reshape(60, N))
        torch.testing.assert_close(asked.score_tails(h, r, own), tails.reshape(60, N).gather(1, own))
        torch.testing.assert_close(asked.score_heads(r, t, own[0]), heads.reshape(60, N)[:, own[0]])


@pytest.mark.parametrize("name", MODELS)
def test_ranks_follow_from_the_models_scores(name, triples):
    torch.manual_seed(0)
    model = MODELS[name]().train()
    if name in ("distmult", "complex", "another"):  # few values: many ties; the others round where they normalise
        with torch.no_grad():
            for p in model.parameters():
                p.copy_(torch.randint(-1, 2, p.shape))
    facts = Facts(*triples[:50].unbind(1), N, R)
    found = rank(model, triples, facts)
    assert model.training
    h, r, t = triples.unbind(1)
    for i in range(60):
        with torch.no_grad():
            scores = model(h[i].expand(N), r[i].expand(N), torch.arange(N)).double()
        known = {x[2] for x in triples[:50].tolist() if x[:2] == triples[i, :2].tolist()} - {int(t[i])}
        rivals = [float(scores[e]) for e in range(N) if e not in known and e != int(t[i])]
        target = float(scores[t[i]])
        above = sum(x > target + 1e-6 for x in rivals)
        level = sum(abs(x - target) <= 1e-6 for x in rivals)
        place = [int(found.optimistic[60 + i]), int(found.pessimistic[60 + i])]
        if name.startswith("transe"):  # normalised vectors often tie but for rounding
            assert 1 + above <= place[0] <= place[1] <= 1 + above + level
        else:
            assert place == [1 + above, 1 + above + level]


def test_questions_can_be_asked_too(triples):
    torch.manual_seed(0)
    model, facts = kge.ComplEx(N, R, D), Facts(*triples.unbind(1), N, R)
    assert len(top_k(model, 0, 0, "tail", 3, facts).ids) == 3
    with torch.no_grad():
        expected = float(model(*triples[:1].unbind(1)))
    assert compare(model, *triples[0].tolist(), facts)["score"] == pytest.approx(expected)


def test_a_look_leaves_the_random_stream_alone(triples):
    torch.manual_seed(0)
    model, facts = kge.DistMult(N, R, D), Facts(*triples.unbind(1), N, R)
    before = torch.get_rng_state()
    rank(model, triples, facts)
    assert torch.equal(torch.get_rng_state(), before)
