"""From what a person types to an id, and from an id to what a person reads."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from mmkg.errors import DataError, UnknownNameError


@dataclass(frozen=True)
class Names:
    """What to call entities and relations; those of a graph without names go by their number.

    Args:
        entities: ``N`` names, or None.
        relations: ``R`` names, or None.
    """

    entities: Sequence[str] | None = None
    relations: Sequence[str] | None = None

    @classmethod
    def of(cls, graph) -> Names:
        """Labels of a dataset or ``Data``; its names for want of labels, or where two relations have the same label."""
        entities = getattr(graph, "entity_labels", None) or getattr(graph, "entity_names", None)
        relations, labels = getattr(graph, "relation_names", None), getattr(graph, "relation_labels", None)
        return cls(entities, labels if labels and len(set(labels)) == len(labels) else relations)

    def entity(self, number: int) -> str:
        """An entity's name."""
        return self.entities[number] if self.entities else f"entity {number}"

    def relation(self, number: int) -> str:
        """A relation's name."""
        return self.relations[number] if self.relations else f"relation {number}"

    def direction(self, s: int, num_relations: int) -> str:
        """A relation's name, with a raised -1 where it is turned round (``s`` is r + R); empty where ``s`` is -1."""
        if s < 0:
            return ""
        return self.relation(s) if s < num_relations else f"{self.relation(s - num_relations)}⁻¹"

    def triple(self, head: int, relation: int, tail: int) -> str:
        """A triple by name."""
        return f"({self.entity(head)}, {self.relation(relation)}, {self.entity(tail)})"

    def link(self, x: int, s: int, y: int, num_relations: int) -> str:
        """A link in a direction as the triple that it is in the graph."""
        return self.triple(x, s, y) if s < num_relations else self.triple(y, s - num_relations, x)


def find_entity(graph, name: str | int) -> int:
    """Id of an entity.

    Args:
        graph: A dataset or ``Data`` with ``entity_names`` and, if there are any, ``entity_labels``; or a list of names.
            A ``Data`` without names is asked by number, or as :class:`Names` shows it ("entity 7").
        name: Its id in the raw files, its label, either without regard to case, or its number.

    Raises:
        UnknownNameError: If there is none; the error names the nearest.
        DataError: If a label fits several entities; the error lists them.
    """
    return _find("entity", *_lists(graph, "entity", "num_nodes"), name)


def find_relation(graph, name: str | int) -> int:
    """Id of a relation, as :func:`find_entity` does it with ``relation_names`` and ``relation_labels``."""
    return _find("relation", *_lists(graph, "relation", "num_relations"), name)


def _lists(graph, kind: str, count: str) -> tuple[Sequence[str], Sequence[str]]:
    if isinstance(graph, (list, tuple)):
        return graph, graph
    ids = getattr(graph, f"{kind}_names", None)
    if ids is None:
        ids = [f"{kind} {number}" for number in range(int(getattr(graph, count)))]
    return ids, getattr(graph, f"{kind}_labels", None) or ids


def _find(kind: str, ids: Sequence[str], labels: Sequence[str], name: str | int) -> int:
    if not isinstance(name, str):
        name = int(name)  # numpy's and torch's integers as well
        if not 0 <= name < len(ids):
            raise UnknownNameError(kind, str(name), [f"0 to {len(ids) - 1}"] if ids else [])
        return name
    for same in (lambda text: text, str.casefold):
        for texts in (ids, labels):
            wanted = same(name)
            found = [at for at, text in enumerate(texts) if same(text) == wanted]
            if len(found) > 1:
                shown = ", ".join(ids[at] for at in found[:8]) + (", …" if len(found) > 8 else "")
                raise DataError(f"{kind} {name!r} may be one of {len(found)}: {shown}", cure="give the id")
            if found:
                return found[0]
    folded = {
        text.casefold(): text for texts in (ids, labels) for text in texts
    }  # labels win: they are read more easily
    near = difflib.get_close_matches(name.casefold(), folded, n=5, cutoff=0.6)
    raise UnknownNameError(kind, name, [folded[text] for text in near])
