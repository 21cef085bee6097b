"""A module that was asked is as it was before, objects and all."""

import numpy as np
import torch

from mmkg.analysis.undisturbed import undisturbed


class Moody(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.register_buffer("kept", torch.zeros(2))
        self.register_buffer("fleeting", torch.zeros(2), persistent=False)
        self.inner = torch.nn.BatchNorm1d(2)
        self.number, self.word, self.nothing = 1, "one", None
        self.array, self.nested = np.zeros(2), {"a": [torch.zeros(1), {1, 2}], "b": (1, 2)}
        self.generator = torch.Generator().manual_seed(1)

    def change(self):
        self.weight.add_(1)
        self.kept.add_(1)
        self.fleeting = torch.ones(5)
        self.inner(torch.randn(4, 2))
        self.number, self.word, self.nothing = 2, "two", []
        self.array += 1
        self.nested["a"][0] += 1
        self.nested["a"][1].add(3)
        self.nested["a"].append(7)
        del self.nested["b"]
        self.new = 3
        self.add_module("later", torch.nn.Linear(1, 1))
        torch.rand(3, generator=self.generator)


def test_everything_is_put_back():
    module = Moody()
    objects = {"weight": module.weight, "kept": module.kept, "fleeting": module.fleeting, "nested": module.nested}
    state, first = module.generator.get_state(), module.nested["a"][0]
    before = torch.get_rng_state()
    with undisturbed(module, torch.device("cpu"), 5):
        assert not torch.is_grad_enabled()
        module.change()
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in objects.items():
        assert getattr(module, name) is value
    assert module.weight.tolist() == [1, 1, 1]
    assert module.kept.tolist() == module.fleeting.tolist() == [0, 0]
    assert "fleeting" not in module.state_dict()
    assert module.inner.running_mean.tolist() == [0, 0]
    assert int(module.inner.num_batches_tracked) == 0
    assert (module.number, module.word, module.nothing) == (1, "one", None)
    assert module.array.tolist() == [0, 0]
    assert module.nested == {"a": [first, {1, 2}], "b": (1, 2)}
    assert first.tolist() == [0]
    assert not hasattr(module, "new")
    assert not hasattr(module, "later")
    assert torch.equal(module.generator.get_state(), state)


def test_a_buffer_that_was_resized_is_put_back():
    module = Moody()
    with undisturbed(module, torch.device("cpu"), 5):
        module.kept.resize_(7).fill_(1)
    assert module.kept.tolist() == [0, 0]


def test_it_is_put_back_after_an_error_too():
    module = Moody()
    try:
        with undisturbed(module, torch.device("cpu"), 5):
            module.change()
            raise KeyError
    except KeyError:
        pass
    assert module.number == 1
    assert module.kept.tolist() == [0, 0]


def test_its_own_random_numbers_come_from_the_seed():
    found = []
    for seed in (1, 1, 2):
        torch.rand(seed)
        with undisturbed(Moody(), torch.device("cpu"), seed):
            found.append(torch.rand(3).tolist())
    assert found[0] == found[1] != found[2]
