"""What relations say of one another link by link: turned round, implied, never turned round, joined to themselves."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mmkg.graph.links import Links
from mmkg.graph.ragged import Array, add_up, packs, runs, sorted_unique

CELLS = 2**21  # pairs of links looked at together


def overlaps(links: Links) -> pd.DataFrame:
    r"""How many pairs each relation shares with every direction: the sums of :math:`A_s \odot A_r`.

    Args:
        links: Links in both directions.

    Returns:
        One row for each direction ``first`` and relation ``head`` that share a pair and are not the same: ``kind``
        ("symmetric", "inverse" or "implies"), ``support`` (pairs), and ``x`` and ``y``, the first such pair.
    """
    forward = np.flatnonzero(links.s < links.num_relations)  # [E]
    pair = links.x[forward] * links.num_nodes + links.y[forward]  # [E]
    parts = []
    for begin, end in packs(links.times(pair), CELLS):
        place, s = links.between(pair[begin:end])  # [M], [M]
        rule = s * links.num_relations + links.s[forward[begin:end][place]]  # [M]
        rule, first, support = np.unique(rule, return_index=True, return_counts=True)
        parts.append((rule, support, pair[begin:end][place[first]]))
    rule, support, first = add_up(*map(np.concatenate, zip(*parts, strict=True))) if parts else [pair[:0]] * 3
    (s, r), (x, y) = np.divmod(rule, max(links.num_relations, 1)), np.divmod(first, max(links.num_nodes, 1))
    kind = np.where(s < links.num_relations, "implies", np.where(s == links.turn(r), "symmetric", "inverse"))
    found = pd.DataFrame({"kind": kind.astype(object), "first": s, "head": r, "support": support, "x": x, "y": y})
    return found[s != r].reset_index(drop=True)


def link_rules(links: Links, known_head: Array) -> pd.DataFrame:
    r"""Rules :math:`s(x, y) \Rightarrow r(x, y)` between a direction and a relation, all that hold for any pair.

    Args:
        links: Links in both directions.
        known_head: For each relation whether PCA asks that the head be known to have it, or else the tail, ``[R]``.

    Returns:
        The columns of :func:`overlaps`, ``body`` (pairs of the body) and ``known`` (those of them that PCA counts).
    """
    rules = overlaps(links)
    s, r = rules["first"].to_numpy(), rules["head"].to_numpy()
    return rules.assign(body=links.size[s], known=told(links, known_head, s, r))


def told(links: Links, known_head: Array, s: Array, r: Array) -> Array:
    """Pairs of each direction ``s`` of which PCA can tell whether they are in relation ``r``; ``[q]`` each.

    Those are the pairs (x, y) whose x (where ``known_head``; whose y otherwise) has ``r`` with any entity.
    """
    if not len(s):
        return s
    rows = links.rows()
    together = rows @ (rows > 0).astype(np.int64).T  # [2 R, 2 R]: links of the one from where the other has links too
    s, r = (np.where(known_head[r], direction, links.turn(direction)) for direction in (s, r))
    return np.asarray(together[s, r]).ravel()


def one_way(links: Links, rules: pd.DataFrame, known_head: Array) -> pd.DataFrame:
    r"""How far each relation is antisymmetric, :math:`r(x, y) \Rightarrow \neg r(y, x)`.

    Args:
        links: Links in both directions.
        rules: From :func:`link_rules`.
        known_head: As there.

    Returns:
        One row for each relation with links, in the columns of :func:`link_rules`. ``support`` counts pairs that are
        not there turned round, and (x, y) is the first of them, -1 where there is none. ``known`` counts pairs of
        which PCA can tell whether they are there turned round, ``known_support`` those of them that are not.
    """
    size = links.size[: links.num_relations]
    head = np.flatnonzero(size)  # [q]
    both, pair = np.zeros_like(size), np.full((2, links.num_relations), -1)
    symmetric = rules[rules.kind == "symmetric"]
    both[symmetric["head"]] = symmetric.support
    alone = np.flatnonzero((links.s < links.num_relations) & ~links.has(links.y, links.s, links.x))
    alone = alone[np.argsort(links.s[alone], kind="stable")]
    alone = alone[runs(links.s[alone])[0]]
    pair[:, links.s[alone]] = links.x[alone], links.y[alone]
    known = told(links, known_head, links.turn(head), head)
    columns = {"kind": "antisymmetric", "first": links.turn(head), "head": head, "support": (size - both)[head]}
    columns |= {"body": size[head], "known": known, "known_support": known - both[head]}
    return pd.DataFrame(columns | {"x": pair[0, head], "y": pair[1, head]})


def looped(links: Links, known_head: Array) -> pd.DataFrame:
    r"""How far each relation is reflexive: of the entities that have it, those that have it with themselves.

    Args:
        links: Links in both directions.
        known_head: As for :func:`link_rules`.

    Returns:
        One row for each relation with self-loops, in the columns of :func:`link_rules`: ``support`` counts entities
        with a self-loop, ``body`` entities that have the relation on either side, ``known`` those that have it on the
        side that PCA asks for; x and y are the first entity with a self-loop.
    """
    entity, relation = links.loops  # [E''], [E'']
    head, first, support = np.unique(relation, return_index=True, return_counts=True)
    r = links.run_s % max(links.num_relations, 1)  # [G]
    asked = (links.run_s < links.num_relations) == known_head[r] if len(r) else r.astype(bool)  # [G]

    def entities(keep: Array) -> Array:
        """Entities of each relation in some runs or in a self-loop, ``[R]``."""
        has = np.r_[r[keep] * links.num_nodes + links.run_x[keep], relation * links.num_nodes + entity]
        return np.bincount(sorted_unique(has) // max(links.num_nodes, 1), minlength=links.num_relations)

    columns = {"kind": "reflexive", "first": head, "head": head, "support": support}
    columns |= {"body": entities(np.ones_like(asked))[head], "known": entities(asked)[head]}
    return pd.DataFrame(columns | {"x": entity[first], "y": entity[first]})
