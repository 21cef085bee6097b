"""Distances from one table by compiled kernels, and their gradients, against plain autograd."""

import pytest
import torch
from equations import all_scores
from test_scorers import B, N, R, ask, build

from mmkg.scorers import SCORERS, DistanceScorer, kernels, shared_table
from mmkg.scorers.pairs import pairs


@pytest.fixture
def ids():
    g = torch.Generator().manual_seed(1)
    return tuple(torch.randint(high, (B,), generator=g) for high in (N, R, N))


@pytest.fixture
def eager_to_compile(monkeypatch):
    """Compile whatever the size, and forget afterwards."""
    for name, value in {"LEAST_WORK": 0, "LEAST_TRAINING": 0, "LEAST_QUERIES": 1}.items():
        monkeypatch.setattr(shared_table, name, value)
    for name, value in {"QUERIES": 8, "TABLE_BYTES": 1500, "_kernels": {}}.items():
        monkeypatch.setattr(kernels, name, value)


@pytest.mark.parametrize("name", ["rotate", "pairre"])  # each costs some seconds of a compiler's time
@pytest.mark.usefixtures("eager_to_compile")
def test_a_compiled_kernel_gives_the_same_scores(name, ids):
    model, (h, r, t) = build(name), ids
    with torch.no_grad():
        found = [ask(model, side, *ids) for side in ("tail", "head")]
    if kernels._kernels[model.distance] is None:
        pytest.skip("no C++ compiler here")
    for side, scores in zip(("tail", "head"), found, strict=True):
        torch.testing.assert_close(scores, torch.from_numpy(all_scores(model, name, h, r, t, side)))


@pytest.mark.parametrize("name", [n for n, kind in SCORERS.items() if issubclass(kind, DistanceScorer)])
@pytest.mark.usefixtures("eager_to_compile")
def test_without_a_compiler_the_blocks_take_over(name, ids, monkeypatch, recwarn):
    calls = []

    def compile_nothing(function, **_):
        def fail(*_):
            calls.append(function)
            raise RuntimeError("no working C++ compiler found")

        return fail

    monkeypatch.setattr(torch, "compile", compile_nothing)
    model = build(name)
    with torch.no_grad():
        first, second = (ask(model, "tail", *ids) for _ in range(2))
    assert len(calls) == 1  # tried once, then never again
    torch.testing.assert_close(first, torch.from_numpy(all_scores(model, name, *ids, "tail")))
    assert torch.equal(first, second)
    assert not recwarn.list
    ask(model, "tail", *ids).sum().backward()
    assert len(calls) == 1


SIZES = [(33, 50, 7), (19, 2, 33), (9, 129, 16), (2, 2, 2), (32, 32, 32)]  # of 1 would be compiled anew, each


def random_parts(name, size, dtype):
    """A distance and parts of queries, candidates and relations with numbers that are not all apart."""
    model, (b, n, d) = SCORERS[name](2, 1, size[2]), size
    torch.manual_seed(b * n * d)
    query, candidates = torch.randn(b, d), torch.randn(n, d)
    query[0] = candidates[-1]  # a distance of zero for some
    counts = {"rotate": (2, (d, d), 0), "protate": (2, (d, d), 0), "transd": (1, (d, 1), 1)}
    queries, tables, relations = counts.get(name, (1, (d,), int(name in ("pairre", "transh"))))
    parts = (
        tuple(query * (i + 1) for i in range(queries)),
        tuple(candidates[:, :w] * (i + 1) for i, w in enumerate(tables)),
        tuple(torch.randn(b, d) for _ in range(relations)),
    )
    return model.distance, *(tuple(x.to(dtype).requires_grad_() for x in p) for p in parts)


@pytest.mark.parametrize(("name", "dtype"), [("rotate", torch.float32), ("pairre", torch.float64)], ids=str)
@pytest.mark.usefixtures("eager_to_compile")
def test_gradients_of_kernels_are_those_of_plain_autograd(name, dtype):
    for size in SIZES:
        distance, *parts = random_parts(name, size, dtype)
        tensors = [x for part in parts for x in part]
        weight = torch.randn(size[:2], dtype=dtype)
        expected = pairs(distance, *parts)  # [B, n]
        plain = torch.autograd.grad(expected, tensors, weight)
        found = shared_table.by_kernel(distance, *parts)
        if found is None:
            assert kernels._kernels[distance] is None
            pytest.skip("no C++ compiler here")
        torch.testing.assert_close(found, expected)
        ours = torch.autograd.grad(found, tensors, weight)
        for one, other in zip(ours, plain, strict=True):
            assert one.isfinite().all()
            scale = max(1.0, float(other.abs().max()))
            torch.testing.assert_close(one / scale, other / scale)
    assert kernels._kernels[distance] is not None  # no size was one too many for the compiler


@pytest.mark.usefixtures("eager_to_compile")
def test_only_what_wants_a_gradient_gets_one():
    distance, query, table, relation = random_parts("pairre", (20, 30, 4), torch.float64)
    table = tuple(x.detach() for x in table)
    found = shared_table.by_kernel(distance, query, table, relation)
    expected = torch.autograd.grad(pairs(distance, query, table, relation).sum(), (*query, *relation))
    if found is None:
        pytest.skip("no C++ compiler here")
    for one, other in zip(torch.autograd.grad(found.sum(), (*query, *relation)), expected, strict=True):
        torch.testing.assert_close(one, other)
    assert {work.__name__ for work, _ in kernels._kernels[distance]} == {"pairs", "of_questions"}


@pytest.mark.usefixtures("eager_to_compile")
def test_half_precision_with_gradient_is_left_to_blocks():
    distance, *parts = random_parts("rotate", (20, 30, 4), torch.bfloat16)
    assert shared_table.by_kernel(distance, *parts) is None
    assert not kernels._kernels


@pytest.mark.usefixtures("eager_to_compile")
def test_a_gradient_that_cannot_be_compiled_is_computed_all_the_same(monkeypatch):
    def compile_nothing_but_forward(function, **_):
        def run(*args):
            if function.__name__ != "pairs":
                raise RuntimeError("the disk is full")
            return function(*args)

        return run

    monkeypatch.setattr(torch, "compile", compile_nothing_but_forward)
    distance, *parts = random_parts("rotate", (20, 30, 4), torch.float64)
    tensors = [x for part in parts for x in part]
    found = torch.autograd.grad(shared_table.by_kernel(distance, *parts).sum(), tensors)
    for one, other in zip(found, torch.autograd.grad(pairs(distance, *parts).sum(), tensors), strict=True):
        torch.testing.assert_close(one, other)
    assert shared_table.by_kernel(distance, *parts) is None  # from then on by blocks
