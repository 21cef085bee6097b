"""A batch in parts teaches what it teaches at once, whatever its triples weigh and its entities lack."""

import pytest
import torch

from benchmarks.synthetic import synthetic_graph
from mmkg.samplers import MMRNS
from mmkg.scorers import DistMult
from mmkg.training import SelfAdversarial, TrainConfig, Trainer
from mmkg.types import Features

ENTITIES, PRESENT = 300, 170


def begun(parts: int) -> Trainer:
    """A trainer whose batches are in so many parts; its triples differ in weight, and pictures are with the first."""
    torch.manual_seed(0)
    data = synthetic_graph(ENTITIES)
    model = DistMult(ENTITIES, data.num_relations, 8).double()
    row = torch.where(torch.arange(ENTITIES) < PRESENT, torch.arange(ENTITIES), -1)
    image = Features(torch.randn(PRESENT, 2, 5), torch.ones(PRESENT, 2, dtype=torch.bool), row)
    sampler = MMRNS(ENTITIES, *model.widths(), image, num_negatives=4, pool_size=31, attention_dim=4, beta=1.0).double()
    config = TrainConfig(steps=1, batch_size=23, validate_every=0, regulariser="n3", regulariser_weight=0.1)
    trainer = Trainer(model, sampler, SelfAdversarial(), data, config, progress=False)
    trainer.gradients.parts = parts
    return trainer


@pytest.mark.parametrize("parts", [2, 5, 40])  # more than there are triples, too
def test_parts_add_up_to_the_whole(parts):
    told = []
    for trainer in (begun(1), begun(parts)):
        asked = trainer.questions.next(0)
        assert len(asked[0][0].batch.weight.unique()) > 3
        found = trainer.gradients(asked, 0)
        slopes = [p.grad.to_dense() for m in trainer.modules.values() for p in m.parameters() if p.grad is not None]
        told.append((found, slopes))
    (whole, expected), (found, slopes) = told
    assert set(whole) == {"objective", "sampler", "regulariser"}
    torch.testing.assert_close(found, whole, rtol=1e-6, atol=1e-7)  # weights are float32
    torch.testing.assert_close(slopes, expected, rtol=1e-5, atol=1e-7)
