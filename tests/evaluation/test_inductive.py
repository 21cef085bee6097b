"""Ranks of what is asked about unseen entities: among all, on both sides, told apart by who is asked for."""

import pytest
import torch

from mmkg.evaluation import RelationFrequency, rank_unseen, unseen_summary
from mmkg.graph import Facts

N, R = 5, 1
TRAIN = torch.tensor([[0, 0, 1], [2, 0, 1], [0, 0, 2]])
FACTS = Facts(*TRAIN.unbind(1), N, R)
UNSEEN = torch.tensor([False, False, False, True, True])


def test_groups_say_who_is_asked_for():
    questions = torch.tensor([[3, 0, 1], [0, 0, 4]])
    ranks, groups = rank_unseen(RelationFrequency(FACTS), questions, Facts(*questions.unbind(1), N, R), UNSEEN)
    told = list(zip(groups["asked for"], groups["side"], ranks.realistic.tolist(), strict=True))
    by_question = {(int(t), s): (a, r) for (a, s, r), t in zip(told, ranks.triple, strict=True)}
    assert by_question[0, "tail"] == ("known", 1.0)  # 1 is the most frequent tail
    assert by_question[1, "tail"] == ("unseen", 4.0)  # after 1 and 2, level with three others: 3 .. 5
    assert by_question[0, "head"][0] == "unseen"
    assert by_question[1, "head"] == ("known", 1.0)
    rows = {(x["grouping"], x["label"]): x["count"] for x in unseen_summary(ranks, groups)["breakdown"]}
    assert rows == {("asked for", "known"): 2, ("asked for", "unseen"): 2, ("side", "head"): 2, ("side", "tail"): 2}


@pytest.mark.parametrize("triple", [[0, 0, 1], [3, 0, 4]])
def test_a_triple_of_none_or_two_is_refused(triple):
    with pytest.raises(ValueError, match="not one unseen entity"):
        rank_unseen(RelationFrequency(FACTS), torch.tensor([triple]), FACTS, UNSEEN)
