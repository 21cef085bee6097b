"""Three small puzzles of knowledge graph completion, on graphs typed in by hand.

Is a cat an animal, when the graph says only that it is a mammal and that mammals are animals? The model has seen other
chains closed, and finds the missing link more plausible than any that leads out of the kingdom:

>>> kinds = chains(mammal=["dog", "cow", "mouse"], bird=["sparrow", "owl", "duck"], fish=["trout", "carp"])
>>> trees = chains("plant", tree=["oak", "elm", "pine"], flower=["rose", "tulip", "daisy"])
>>> animals = train([*kinds, *trees, ("cat", "isA", "mammal")])
>>> animals.answers("cat", "isA", k=1)
['animal']

Is France the capital of Rome? The model knows five capitals, and holds this for less plausible than each of them:

>>> capitals = train([(city, "isCapitalOf", country) for city, country in CAPITALS])
>>> doubtful = capitals.score("France", "isCapitalOf", "Rome")
>>> all(capitals.score(city, "isCapitalOf", country) > doubtful for city, country in CAPITALS)
True

Where does the banana grow? It is a tropical fruit, and tropical fruits grow in the tropics:

>>> fruits = train(
...     [(fruit, "isA", "tropical fruit") for fruit in ("banana", "mango", "papaya", "guava")]
...     + [(fruit, "growsIn", "the tropics") for fruit in ("mango", "papaya", "guava")]
...     + [(fruit, "isA", "pome fruit") for fruit in ("apple", "pear", "quince")]
...     + [(fruit, "growsIn", "temperate lands") for fruit in ("apple", "pear", "quince")]
... )
>>> fruits.answers("banana", "growsIn", k=1)
['the tropics']
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mmkg.datasets import find_entity, find_relation, from_triples
from mmkg.evaluation import compare, top_k
from mmkg.graph import Facts
from mmkg.scorers import ComplEx
from mmkg.training import OneVsAll, TrainConfig, Trainer

CAPITALS = [("Paris", "France"), ("Rome", "Italy"), ("Madrid", "Spain"), ("Lisbon", "Portugal"), ("Vienna", "Austria")]


def chains(top: str = "animal", **kinds: list[str]) -> list[tuple[str, str, str]]:
    """Facts ``x isA kind``, ``kind isA top`` and ``x isA top``."""
    facts = [(kind, "isA", top) for kind in kinds]
    for kind, members in kinds.items():
        facts += [(member, "isA", kind) for member in members] + [(member, "isA", top) for member in members]
    return facts


@dataclass
class Answerer:
    """A trained model that answers by name."""

    model: ComplEx
    data: object
    facts: Facts

    def answers(self, head: str, relation: str, k: int) -> list[str]:
        """The k best new tails."""
        h, r = find_entity(self.data, head), find_relation(self.data, relation)
        return [self.data.entity_names[i] for i in top_k(self.model, h, r, "tail", k, self.facts).ids.tolist()]

    def score(self, head: str, relation: str, tail: str) -> float:
        """Score of a triple; the higher, the more plausible."""
        ids = find_entity(self.data, head), find_relation(self.data, relation), find_entity(self.data, tail)
        return compare(self.model, *ids, self.facts)["score"]


def train(triples: list[tuple[str, str, str]], seed: int = 0) -> Answerer:
    """Train a small ComplEx on a handful of facts; the penalty makes it see what things share, not learn by heart."""
    data = from_triples(triples)
    torch.manual_seed(seed)
    model = ComplEx(data.num_nodes, data.num_relations, 16)
    config = TrainConfig(
        steps=300, batch_size=64, learning_rate=0.02, weight_decay=0.02, validate_every=0, subsampling=False, seed=seed
    )
    Trainer(model, None, OneVsAll(), data, config, progress=False).fit()
    return Answerer(model, data, Facts.from_data(data))


if __name__ == "__main__":
    import doctest

    failed, tried = doctest.testmod()
    print(f"{tried - failed} of {tried} steps of the three puzzles came out as written")
    raise SystemExit(bool(failed))
