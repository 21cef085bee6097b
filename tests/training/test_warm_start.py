"""Embeddings go to their namesakes and nowhere else."""

import pytest
import torch

from mmkg.errors import DataError
from mmkg.scorers import DistMult
from mmkg.training import warm_start


def test_matched_by_name():
    model = DistMult(3, 2, 2)
    before = model.node_emb.weight.detach().clone()
    earlier = torch.arange(8.0).reshape(4, 2)
    counts = warm_start(
        model,
        earlier,
        ["d", "b", "x", "a"],
        torch.ones(1, 2),
        ["r2"],
        own_entity_names=["a", "b", "c"],
        own_relation_names=["r1", "r2"],
    )
    assert counts == {"entities": 2, "relations": 1}
    torch.testing.assert_close(model.node_emb.weight.detach(), torch.stack([earlier[3], earlier[1], before[2]]))
    assert model.rel_emb.weight[1].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("width", "names", "message"), [(5, ["a"], "width 5, this model's 2"), (2, ["z"], "not one entity")]
)
def test_strangers_are_refused(width, names, message):
    model = DistMult(1, 1, 2)
    before = model.node_emb.weight.detach().clone()
    with pytest.raises(DataError, match=message):
        warm_start(
            model,
            torch.zeros(1, width),
            names,
            torch.zeros(1, 2),
            ["r"],
            own_entity_names=["a"],
            own_relation_names=["r"],
        )
    assert torch.equal(model.node_emb.weight, before)
