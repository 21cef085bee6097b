"""Plain linking: cosines of means over the modalities that both have, by hand; and ranks of them."""

import math

import pytest
import torch
from linking_world import features

from mmkg.evaluation import metrics
from mmkg.linking import Mentions, PlainLinker, link_ranks

TEXT = features([[[1.0, 0.0]], [[0.0, 1.0], [0.0, 3.0]], [[1.0, 1.0]], None])
IMAGE = features([[[1.0, 0.0, 0.0]], None, [[0.0, 0.0, 2.0]], [[0.0, 1.0, 0.0]]])


def test_means_over_shared_modalities():
    linker = PlainLinker({"text": TEXT, "image": IMAGE})
    both = Mentions(
        {"text": features([[[2.0, 0.0]], None], 2), "image": features([[[1.0, 0.0, 1.0]], [[0.0, 5.0, 0.0]]])}
    )
    half = math.sqrt(0.5)
    expected = [[(1 + half) / 2, 0.0, (half + half) / 2, 0.0], [0.0, -1.0, 0.0, 1.0]]
    torch.testing.assert_close(linker.scores(both), torch.tensor(expected))


def test_a_mention_is_the_entity_that_it_equals():
    linker = PlainLinker({"text": TEXT})
    scores = linker.scores(Mentions({"text": features([[[0.0, 9.0]], [[1.0, 1.0]]])}))
    ranks = link_ranks(scores, torch.tensor([1, 2]))
    assert metrics(ranks)["hits@1"] == 1.0
    assert ranks.candidates.tolist() == [4, 4]


def test_ranks_with_ties():
    ranks = link_ranks(torch.tensor([[0.5, 0.5, 0.9, 0.1]]), torch.tensor([1]))
    assert (ranks.optimistic.tolist(), ranks.pessimistic.tolist(), ranks.realistic.tolist()) == ([2], [3], [2.5])
    with pytest.raises(ValueError, match="NaN"):
        link_ranks(torch.tensor([[0.5, torch.nan]]), torch.tensor([0]))
    with pytest.raises(ValueError, match="give"):
        link_ranks(torch.ones(2, 3), torch.tensor([0]))


def test_everything_follows_the_features_device():
    mentions = Mentions({"text": features([[[0.0, 9.0]], [[1.0, 1.0]]])})
    with torch.device("meta"):  # a new tensor that names no device would lie there
        ranks = link_ranks(PlainLinker({"text": TEXT}).scores(mentions), torch.tensor([1, 2], device="cpu"))
    assert {x.device.type for x in vars(ranks).values()} == {"cpu"}


def test_bad_input():
    with pytest.raises(ValueError, match="no features to link by"):
        PlainLinker({})
    linker = PlainLinker({"text": TEXT})
    with pytest.raises(ValueError, match="mentions have image features, the graph has text"):
        linker.scores(Mentions({"image": features([[[1.0, 0.0, 0.0]]])}))
    with pytest.raises(ValueError, match="3 wide, the graph's are 2"):
        linker.scores(Mentions({"text": features([[[1.0, 0.0, 0.0]]])}))
    with pytest.raises(ValueError, match="mention 1 has no text"):
        Mentions({"text": features([[[1.0, 0.0]], None])})
    with pytest.raises(ValueError, match="the same mentions"):
        Mentions({"text": TEXT, "image": features([[[1.0]]])})
    with pytest.raises(ValueError, match="one modality or more"):
        Mentions({})
