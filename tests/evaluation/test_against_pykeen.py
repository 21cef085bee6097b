"""Ranks against PyKEEN's evaluator, where PyKEEN is installed (``pip install pykeen==1.11.1``)."""

import pytest
import torch

from mmkg.evaluation import rank
from mmkg.graph import Facts
from mmkg.scorers import ComplEx, DistMult, RotatE, TransE

pytest.importorskip("pykeen", reason="PyKEEN is not installed; it is an optional opponent of this test")

N, R = 60, 4


@pytest.mark.parametrize("kind", [TransE, DistMult, ComplEx, RotatE])
@pytest.mark.parametrize("ties", [False, True])
def test_ranks_equal_pykeens(kind, ties):
    from pykeen.evaluation import RankBasedEvaluator
    from pykeen.evaluation.evaluator import create_sparse_positive_filter_, filter_scores_

    torch.manual_seed(0)
    model = kind(N, R, 4)
    if ties:
        with torch.no_grad():
            for p in model.parameters():
                p.copy_(torch.randint(-1, 2, p.shape))
    triples = torch.unique(torch.stack([torch.randint(high, (500,)) for high in (N, R, N)], dim=1), dim=0)
    test = triples[torch.randperm(len(triples))[:150]]
    ranks = rank(model, test, Facts(*triples.unbind(1), N, R))
    for i, (target, column) in enumerate((("head", 0), ("tail", 2))):
        with torch.no_grad():
            scores = model.score_tails(*test[:, :2].T) if column == 2 else model.score_heads(*test[:, 1:].T)
        true = scores.gather(1, test[:, column, None])
        positive, _ = create_sparse_positive_filter_(test, triples, filter_col=column)
        scores = filter_scores_(scores, positive)
        scores[torch.arange(len(test)), test[:, column]] = true[:, 0]
        evaluator = RankBasedEvaluator(filtered=True)
        evaluator.process_scores_(hrt_batch=test, target=target, scores=scores, true_scores=true)
        for kind_of_rank in ("optimistic", "realistic", "pessimistic"):
            theirs = torch.as_tensor(evaluator.ranks[target, kind_of_rank][0]).double()
            assert torch.equal(ranks.under(kind_of_rank)[i * 150 : (i + 1) * 150], theirs), kind_of_rank
