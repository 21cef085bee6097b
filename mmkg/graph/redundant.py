"""Which rules say again what another rule says, by way of symmetric, inverse and duplicate relations."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from mmkg.graph.ragged import Array


def same_meaning(rules: pd.DataFrame, num_relations: int) -> Array:
    r"""Classes of directions that mutual rules take for the same.

    Where :math:`s \Rightarrow r` and :math:`r \Rightarrow s` are both among the rules, s and r are one class, and so
    are s and r turned round. A symmetric relation is in one class with itself turned round. Classes are closed: what
    two directions share with a third makes them the same, though they may agree less with one another.

    Args:
        rules: Columns ``kind``, ``first`` (direction) and ``head`` (relation).
        num_relations: Number of relations ``R``.

    Returns:
        Class of each direction, ``[2 R]``.
    """
    size = 2 * num_relations
    turn = np.r_[num_relations:size, :num_relations]
    single = rules[rules.kind.isin(["symmetric", "inverse", "implies"])]
    body, head = single["first"].to_numpy(), single["head"].to_numpy()
    body, head = np.r_[body, turn[body]], np.r_[head, turn[head]]
    implies = sparse.csr_matrix((np.ones(len(body), dtype=bool), (body, head)), shape=(size, size))
    return connected_components(implies.multiply(implies.T), directed=False)[1] if size else np.zeros(0, dtype=int)


def redundant(rules: pd.DataFrame, num_relations: int) -> Array:
    r"""Rules that say again what a better one says.

    - Of :math:`r_1 \Rightarrow r_2` and :math:`r_1^{-1} \Rightarrow r_2`, where :math:`r_1` or :math:`r_2` is
      symmetric, the one with less support.
    - Of compositions (transitive relations among them) that become the same when each direction stands for its class
      of :func:`same_meaning`, all but the best: the transitive before others, then by support, then by confidence.

    Args:
        rules: Columns ``kind``, ``first`` and ``second`` (directions, -1 for none), ``head`` (relation), ``support``
            and ``confidence``.
        num_relations: Number of relations ``R``.

    Returns:
        Mask, one for each rule.
    """
    result = np.zeros(len(rules), dtype=bool)
    if not len(rules):
        return result
    turn = np.r_[num_relations : 2 * num_relations, :num_relations]
    order = rules.assign(place=np.arange(len(rules)), late=rules.kind.isin(["composition", "inverse"])).sort_values(
        ["late", "support", "confidence"], ascending=[True, False, False], kind="stable"
    )
    symmetric = rules.loc[rules.kind == "symmetric", "head"]
    pairs = order[order.kind.isin(["implies", "inverse"])]
    pairs = pairs.assign(first=pairs["first"] % num_relations).sort_values("support", ascending=False, kind="stable")
    pairs = pairs[pairs["first"].isin(symmetric) | pairs["head"].isin(symmetric)]
    result[pairs.place[pairs.duplicated(["first", "head"])]] = True
    paths = order[order.kind.isin(["transitive", "composition"])]
    means = same_meaning(rules, num_relations)
    s1, s2, r = (paths[c].to_numpy() for c in ("first", "second", "head"))
    forth = np.stack([means[s1], means[s2], means[r]])  # [3, q]
    back = np.stack([means[turn[s2]], means[turn[s1]], means[turn[r]]])  # [3, q], the same rule turned round
    weight = np.array([[4 * num_relations**2], [2 * num_relations], [1]])
    same = np.minimum((forth * weight).sum(0), (back * weight).sum(0))  # [q]
    result[paths.place[pd.Series(same, index=paths.index).duplicated()]] = True
    return result
