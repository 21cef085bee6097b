"""More entities than were trained on: scores as if they had been there, and nothing else changes."""

import pytest
import torch

from mmkg.evaluation import rank
from mmkg.graph import Facts
from mmkg.scorers import SCORERS, Extended

N, R = 9, 3


@pytest.mark.parametrize("name", SCORERS)
def test_scores_are_those_of_a_larger_model(name):
    torch.manual_seed(0)
    large, small = SCORERS[name](N + 2, R, 4).double().eval(), SCORERS[name](N, R, 4).double().eval()
    state = large.state_dict()
    table = state.pop("node_emb.weight")
    small.load_state_dict({**state, "node_emb.weight": table[:N]})
    extended = Extended(small, table[N:])
    h, r, t = torch.tensor([0, N, N + 1]), torch.tensor([0, 1, 2]), torch.tensor([N + 1, 3, N])
    torch.testing.assert_close(extended(h, r, t), large(h, r, t))
    torch.testing.assert_close(extended.score_tails(h, r), large.score_tails(h, r))
    torch.testing.assert_close(extended.score_heads(r, t), large.score_heads(r, t))
    some = torch.tensor([N, 2])
    torch.testing.assert_close(extended.score_tails(h, r, some), large.score_tails(h, r, some))
    torch.testing.assert_close(extended.score_heads(r, t, some), large.score_heads(r, t, some))


def test_asking_leaves_the_scorer_in_its_mode():
    for training in (True, False):
        model = SCORERS["complex"](N, R, 4).train(training)
        rank(
            Extended(model, torch.zeros(1, 8)), torch.tensor([[0, 0, N]]), Facts(*[torch.empty(0).long()] * 3, N + 1, R)
        )
        assert model.training is training


def test_embeddings_that_do_not_fit():
    model = SCORERS["complex"](N, R, 4)
    with pytest.raises(ValueError, match="expected"):
        Extended(model, torch.zeros(2, 7))
    with pytest.raises(ValueError, match="NaN"):
        Extended(model, torch.full((1, 8), torch.nan))
