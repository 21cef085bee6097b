"""Relation patterns: what a graph's relations are like, and which rules lead from one to another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from mmkg.errors import DataError
from mmkg.graph.categories import relation_categories
from mmkg.graph.compositions import compositions
from mmkg.graph.findings import SplitTriples
from mmkg.graph.link_rules import link_rules, looped, one_way
from mmkg.graph.links import Links
from mmkg.graph.pattern_table import COLUMNS, KINDS, Patterns
from mmkg.graph.redundant import redundant
from mmkg.graph.thresholds import Thresholds
from mmkg.memory import shrinking

LEAST_MB = 1.0
"""Working memory below which mining does not go of itself."""


def mine_patterns(
    data,
    *,
    splits: Sequence[str] = ("train",),
    min_support: int = 5,
    min_confidence: float = 0.6,
    min_pca: float = 0.0,
    min_head_coverage: float = 0.0,
    min_antisymmetry: float = 0.95,
    paths: bool = True,
    memory_mb: float = 128,
    progress: bool = False,
) -> Patterns:
    r"""Find the relation patterns of a graph, each with how often it holds.

    A rule :math:`B \Rightarrow r` leads from a *body*, a boolean matrix over pairs of entities, to a relation with
    matrix :math:`A_r` (the *head*). Of a direction :math:`s`, which is a relation or a relation turned round, and of
    :math:`s_1 s_2`, the pairs (x, y) that some z joins, the rules are

    ============= ============================================================ =======================================
    symmetric     :math:`r^{-1}(x, y) \Rightarrow r(x, y)`
    antisymmetric :math:`r^{-1}(x, y) \Rightarrow \neg r(x, y)`                counted over the pairs of r
    reflexive     :math:`r(x, \cdot) \vee r(\cdot, x) \Rightarrow r(x, x)`     counted over entities
    inverse       :math:`r_1^{-1}(x, y) \Rightarrow r_2(x, y)`
    implies       :math:`r_1(x, y) \Rightarrow r_2(x, y)`                      :math:`r_1` is a sub-relation
    transitive    :math:`r(x, z) \wedge r(z, y) \Rightarrow r(x, y)`
    composition   :math:`s_1(x, z) \wedge s_2(z, y) \Rightarrow r(x, y)`       all four directions of the two links
    ============= ============================================================ =======================================

    and their measures, after Galárraga et al. (AMIE, WWW 2013),

    - support :math:`|B \wedge A_r|`: pairs (x, y), each once, for which both hold;
    - confidence :math:`|B \wedge A_r| / |B|`: what is not in the graph counts as false;
    - PCA confidence :math:`|B \wedge A_r| / |\{(x, y) \in B : \exists y'\, A_r(x, y')\}|`: of x we know all or nothing.
      Where r has fewer heads a tail than tails a head (:math:`|\{x\}| < |\{y\}|` over the pairs of r), it is y of which
      we know all or nothing, :math:`\exists x'\, A_r(x', y)`; ``known_side`` says which;
    - head coverage :math:`|B \wedge A_r| / |A_r|`.

    Triples count once. Self-loops count for reflexive relations and nowhere else: each is its own reverse and would
    make any relation look a little symmetric. The entities of a path differ from one another, so that
    :math:`r \circ r^{-1}` is not credited with leading back to where it began. For an antisymmetric relation, PCA
    confidence is one minus that of :math:`r^{-1} \Rightarrow r`, and NaN where PCA can tell of no pair, as no head is
    ever a tail; it has no head coverage. For a reflexive one, PCA asks that x have r on the ``known_side``.

    A rule that says again what another says, because relations are symmetric or one another's inverse or duplicate, is
    kept and marked ``redundant``; see :func:`mmkg.graph.redundant.redundant`. Nothing is sampled: products that cannot
    reach a threshold are left out by exact bounds, and multiplied out in parts that fit in memory otherwise.

    Args:
        data: A PyG ``Data`` with ``edge_index [2, E]``, ``edge_type [E]``, ``train_mask``, ``val_mask``, ``test_mask``
            ``[E]``, ``num_nodes`` and ``num_relations``; names and labels are used if there.
        splits: Whose triples to look at. With others than train, the patterns know held-out truths.
        min_support: Least support of any rule, at least 1.
        min_confidence: Least confidence of all but antisymmetric ones. Where train is 80 % of a graph, even a perfect
            inverse shows for about 80 % of the pairs.
        min_pca: Least PCA confidence of all but antisymmetric ones.
        min_head_coverage: Least head coverage of all but antisymmetric ones.
        min_antisymmetry: Least confidence of antisymmetric ones. It is higher, as absence from a graph with gaps
            already speaks for them.
        paths: Whether to look for rules with a path for a body, which take most of the time.
        memory_mb: Working memory of that; more makes it no faster, and half as much is taken each time that it runs
            out. The graph in numpy (some 150 bytes a triple, twice that while it is built) and the rules come on top.
        progress: Whether to show a bar.

    Returns:
        The patterns.

    Raises:
        DataError: If a threshold or ``memory_mb`` is out of range, a split is unknown, or the graph lacks masks.

    Example:
        >>> from torch_geometric.data import Data
        >>> edges = [(0, 0, 1), (1, 0, 2), (0, 1, 2), (1, 2, 0), (2, 2, 1)]
        >>> h, r, t = torch.tensor(edges).T
        >>> data = Data(edge_index=torch.stack([h, t]), edge_type=r, num_nodes=3, num_relations=3)
        >>> data.train_mask, data.val_mask, data.test_mask = r >= 0, r < 0, r < 0
        >>> data.relation_names = ["parent", "grandparent", "child"]
        >>> found = mine_patterns(data, min_support=1)
        >>> found["composition"].rule.tolist()[0], found["inverse"].rule.tolist()
        ('parent ∘ parent ⇒ grandparent', ['parent⁻¹ ⇒ child', 'child⁻¹ ⇒ parent'])
    """
    if not memory_mb > 0:
        raise DataError(f"memory_mb is {memory_mb}", cure="give more than 0")
    at = Thresholds(min_support, min_confidence, min_pca, min_head_coverage, min_antisymmetry)
    graph = SplitTriples(data)
    links = Links.of(graph, splits)
    begins = np.bincount(links.run_s, minlength=links.directions)  # [2 R], entities from which a direction leads
    known_head = begins[: links.num_relations] >= begins[links.num_relations :]  # [R]
    single = link_rules(links, known_head)
    tables = [single, looped(links, known_head), one_way(links, single, known_head)]
    if paths:
        table = shrinking(
            lambda mb: compositions(links, at, known_head, memory_mb=mb, progress=progress),
            memory_mb,
            min(memory_mb, LEAST_MB),
            "mining compositions",
        )
        own = (table["first"] == table["head"]) & (table["second"] == table["head"])
        tables.append(table.assign(kind=own.map({True: "transitive", False: "composition"}).astype(object)))
    rules = _measured(tables, links, known_head)
    speaks_for = (rules.confidence >= min_confidence) & (rules.pca >= min_pca)
    speaks_for &= rules.head_coverage >= min_head_coverage  # an antisymmetric one has none
    speaks_against = (rules.kind == "antisymmetric") & (rules.confidence >= min_antisymmetry)
    rules = rules[(rules.support >= min_support) & (speaks_for | speaks_against)]
    rules = rules.assign(kind=pd.Categorical(rules.kind, KINDS), redundant=redundant(rules, links.num_relations))
    order = ["kind", "redundant", "support", "confidence", "first", "second", "head"]
    rules = rules.sort_values(order, ascending=[True, True, False, False, True, True, True], ignore_index=True)
    edge_index = torch.stack([torch.cat([graph.triples[s][i] for s in splits]) for i in (0, 2)])
    relation = torch.cat([graph.triples[s][1] for s in splits])
    categories = relation_categories(edge_index, relation, links.num_relations)
    title = f"{graph.title()}; looked at: {', '.join(splits)}"
    return Patterns(rules[list(COLUMNS)], categories, links, graph.names, at, title)


def _measured(tables: list[pd.DataFrame], links: Links, known_head: np.ndarray) -> pd.DataFrame:
    """Rules of all kinds in one table, their counts completed by their measures."""
    tables = [table for table in tables if len(table)] or tables[:1]
    # where the body is a single link there is no second one, and no entity between
    tables = [table.assign(**{name: -1 for name in ("second", "z") if name not in table}) for table in tables]
    tables = [t if "known_support" in t else t.assign(known_support=t.support) for t in tables]
    rules = pd.concat(tables, ignore_index=True)
    relation = rules["head"].to_numpy()
    loops = np.bincount(links.loops[1], minlength=links.num_relations)[relation] * (rules.kind == "reflexive")
    rules["confidence"] = rules.support / rules.body
    rules["pca"] = rules.known_support / rules.known
    rules["known_side"] = np.where(known_head[relation], "head", "tail").astype(object)
    rules["head_coverage"] = (rules.support / (links.size[relation] + loops)).where(rules.kind != "antisymmetric")
    return rules
