"""A checkpoint of another dataset, vocabulary, scorer or sampler is refused, and what differs is told."""

import copy

import pytest
import torch

from mmkg.errors import DataError
from mmkg.samplers import BernoulliSampler, UniformSampler
from mmkg.scorers import ComplEx, DistMult, RotatE, TransE
from mmkg.training import SelfAdversarial, TrainConfig, Trainer


def make(data, folder, scorer=RotatE, dim=8, sampler=UniformSampler, negatives=4, steps=4, **options):
    torch.manual_seed(0)
    model = scorer(data.num_nodes, data.num_relations, dim, **options)
    drawn = sampler(data.num_nodes, negatives)
    config = TrainConfig(steps=steps, batch_size=32, validate_every=2, checkpoint_every=2)
    return Trainer(model, drawn, SelfAdversarial(), data, config, folder=folder, progress=False)


def renamed(kin):
    other = copy.copy(kin)
    other.entity_names = [f"x{n}" if n in ("e03", "e07") else n for n in kin.entity_names]
    return other


def reordered(kin):
    other = copy.copy(kin)
    other.entity_names = kin.entity_names[1:] + kin.entity_names[:1]
    return other


def smaller(kin):
    other = copy.copy(kin)
    other.train_mask = kin.train_mask.clone()
    other.train_mask[0] = False
    return other


def other_triples(kin):
    other = copy.copy(kin)
    other.edge_index = kin.edge_index.clone()
    other.edge_index[:, 0] = other.edge_index[:, 0].flip(0)
    return other


def other_relation(kin):
    other = copy.copy(kin)
    other.relation_names = ["next", "previous", "opposite", "double"]
    return other


CASES = {
    "names": (
        renamed,
        {},
        r"entity_names: gone 'e03', 'e07'; new 'xe03', 'xe07'; first other id 3, 'e03' then, 'xe03'",
    ),
    "order": (reordered, {}, r"entity_names: first other id 0, 'e00' then, 'e01' now"),
    "relations": (other_relation, {}, r"relation_names: gone 'twin'; new 'double'; first other id 3"),
    "count": (smaller, {}, r"dataset train triples: 200, hash \w+ then, 199, hash \w+ now"),
    "triples": (other_triples, {}, r"dataset train triples: 200, hash (\w+) then, 200, hash (?!\1)\w+ now"),
    "scorer": (None, {"scorer": TransE, "dim": 16}, r"model kind: RotatE then, TransE now"),
    "width": (None, {"dim": 16}, r"model shape of node_emb\.weight: \[60, 16\] then, \[60, 32\] now"),
    "margin": (None, {"margin": 9.0}, r"model margin: 6\.0 then, 9\.0 now"),
    "sampler": (None, {"sampler": BernoulliSampler}, r"sampler kind: UniformSampler then, BernoulliSampler now"),
    "negatives": (None, {"negatives": 8}, r"sampler num_negatives: 4 then, 8 now"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_differs_is_told(kin, tmp_path, case):
    change, options, told = CASES[case]
    make(kin, tmp_path).fit()
    other = make(kin if change is None else change(kin), tmp_path, steps=8, **options)
    before = {k: v.clone() for k, v in other.model.state_dict().items()}
    with pytest.raises(DataError, match=told):
        other.fit(resume=True)
    assert all(torch.equal(v, before[k]) for k, v in other.model.state_dict().items())  # nothing was taken over


def test_two_scorers_of_the_same_shapes_are_told_apart(kin, tmp_path):
    make(kin, tmp_path, scorer=DistMult, dim=16).fit()
    with pytest.raises(DataError, match="model kind: DistMult then, ComplEx now"):
        make(kin, tmp_path, scorer=ComplEx, dim=8).fit(resume=True)


def test_what_changes_no_number_may_change(kin, tmp_path):
    make(kin, tmp_path, steps=4).fit()
    other = copy.copy(kin)
    other.test_mask = torch.zeros_like(kin.test_mask)  # training never sees it
    again = make(other, tmp_path, chunk_mb=2.0)
    assert again.fit(resume=True).steps == 4


def test_a_vocabulary_that_was_not_kept_is_told_by_its_hash(kin, tmp_path):
    make(kin, tmp_path).fit()
    (tmp_path / "names.json").write_text("{")
    with pytest.raises(DataError, match=r"dataset entity_names: 60, hash \w+ then, 60, hash \w+ now"):
        make(renamed(kin), tmp_path).fit(resume=True)
