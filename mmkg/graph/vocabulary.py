"""Whether two graphs mean the same by an id."""

from __future__ import annotations

import hashlib
import json


def vocabulary(data) -> dict[str, int | str | None]:
    """What ids of a graph mean, in a form that can be kept and compared.

    Args:
        data: Graph with ``num_nodes`` and ``num_relations``, and ``entity_names`` and ``relation_names`` if it has any.

    Returns:
        ``entities`` and ``relations`` (how many), and ``names`` (a hash of all names in order; None where the graph has
        none). Triples and splits do not matter.

    Example:
        >>> from torch_geometric.data import Data
        >>> vocabulary(Data(num_nodes=2, num_relations=1))
        {'entities': 2, 'relations': 1, 'names': None}
    """
    entities, relations = getattr(data, "entity_names", None), getattr(data, "relation_names", None)
    told = None
    if entities is not None and relations is not None:
        text = json.dumps([list(entities), list(relations)])
        told = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return {"entities": int(data.num_nodes), "relations": int(data.num_relations), "names": told}
