"""Training on a small graph with callbacks, and censuses typed in by hand."""

import pandas as pd
import torch

from mmkg.samplers import MMRNS, UniformSampler
from mmkg.scorers import RotatE
from mmkg.training import SelfAdversarial, TrainConfig, Trainer
from mmkg.types import Negatives


class Cached(UniformSampler):
    """A sampler that keeps negatives in buffers and lists and changes all of them whenever it draws.

    It replaces a buffer as well as writing into one, counts in a plain attribute, and uses torch's own random numbers:
    all that could go wrong when somebody asks it beside training.
    """

    def __init__(self, num_entities, num_negatives):
        super().__init__(num_entities, num_negatives)
        self.register_buffer("cache", torch.arange(num_negatives).repeat(num_entities, 1))
        self.register_buffer("age", torch.zeros(num_entities))
        self.calls, self.history, self.by_relation = 0, [torch.zeros(3)], {"last": torch.zeros(2)}

    def sample(self, batch, side, model, facts, generator=None, step=0):
        drawn = super().sample(batch, side, model, facts, generator, step)
        anchor = batch.anchor(side)
        keep = torch.rand(drawn.ids.shape) < 0.5  # not from the generator
        old = self.cache[anchor]
        fits = ~facts.mask(batch, side, old) & (old != batch.answer(side)[:, None])
        ids = torch.where(keep & fits, old, drawn.ids)
        self.cache[anchor] = ids
        self.age = self.age + 1
        self.calls += 1
        self.history.append(ids[0].float())
        self.history[0] += 1
        self.by_relation[f"call {self.calls}"] = ids[:1]
        return Negatives(ids=ids, valid=drawn.valid)


def mmrns(data, **options):
    """A small MMRNS that looks at structure."""
    torch.manual_seed(3)
    options = {"num_negatives": 6, "pool_size": 40, "attention_dim": 4} | options
    return MMRNS(data.num_nodes, 16, 8, **options)


def trainer(data, sampler, *, folder=None, callbacks=(), objective=None, **settings):
    """A trainer of a small RotatE."""
    torch.manual_seed(7)
    model = RotatE(data.num_nodes, data.num_relations, 8)
    config = TrainConfig(**({"steps": 24, "batch_size": 32, "learning_rate": 0.02, "validate_every": 12} | settings))
    objective = objective or SelfAdversarial()
    return Trainer(model, sampler, objective, data, config, folder=folder, callbacks=callbacks, progress=False)


def weights(trained):
    """Parameters and buffers of scorer and sampler."""
    both = (("model", trained.model), ("sampler", trained.sampler))
    return {(name, k): v.clone() for name, module in both for k, v in module.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def hand_made(rows, **constant):
    """A census of a few rows: what is not given has a plain value."""
    plain = {
        "step": 10,
        "epoch": 0,
        "row": 0,
        "h": 0,
        "r": 0,
        "t": 1,
        "side": "tail",
        "source": "sampler",
        "place": 0,
        "negative": 2,
        "probability": float("nan"),
        "score": 0.0,
        "positive_score": 1.0,
        "entropy": float("nan"),
        "in_pool": None,
        "in_train": False,
        "in_val": False,
        "in_test": False,
        "held_out": False,
        "category": "1-1",
        "pattern": "none",
        "patterns": "",
        "degree_given": 1,
        "degree_answer": 1,
        "degree_negative": 1,
    }
    plain |= {name: float("nan") for m in ("image", "text", "structure") for name in (m, f"without_{m}")}
    return pd.DataFrame([plain | constant | row for row in rows])
