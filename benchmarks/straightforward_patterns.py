"""Relation patterns by sets, dictionaries and loops, written from the definitions: to compare with, not to use."""

from __future__ import annotations

from collections import Counter, defaultdict


def mine(
    triples: list[tuple[int, int, int]],
    num_relations: int,
    *,
    min_support: int = 5,
    min_confidence: float = 0.6,
    min_pca: float = 0.0,
    min_head_coverage: float = 0.0,
    min_antisymmetry: float = 0.95,
) -> dict[tuple[str, int, int, int], tuple]:
    """All patterns of a graph.

    Args:
        triples: Ids (h, r, t); copies are allowed.
        num_relations: Number of relations ``R``; direction r + R is relation r turned round.
        min_support: See :func:`mmkg.graph.mine_patterns`, as for all that follow.
        min_confidence: Least confidence.
        min_pca: Least PCA confidence.
        min_head_coverage: Least head coverage.
        min_antisymmetry: Least confidence of antisymmetric ones.

    Returns:
        By (kind, first, second, head): (support, body, known, PCA confidence, head coverage); None where there is none.
    """
    pairs = defaultdict(set)  # direction -> pairs of different entities
    loops = defaultdict(set)  # relation -> entities
    following = defaultdict(lambda: defaultdict(set))  # direction -> entity -> where it leads
    directions = defaultdict(set)  # pair -> directions
    for h, r, t in triples:
        if h == t:
            loops[r].add(h)
            continue
        for s, x, y in ((r, h, t), (r + num_relations, t, h)):
            pairs[s].add((x, y))
            following[s][x].add(y)
            directions[x, y].add(s)

    def turned(s: int) -> int:
        return s - num_relations if s >= num_relations else s + num_relations

    def by_head(r: int) -> bool:
        return len({x for x, _ in pairs[r]}) >= len({y for _, y in pairs[r]})

    heads = {r: {x for x, _ in pairs[r]} for r in range(num_relations)}
    tails = {r: {y for _, y in pairs[r]} for r in range(num_relations)}

    def count_known(body: set[tuple[int, int]], r: int) -> int:
        if by_head(r):
            return sum(x in heads[r] for x, _ in body)
        return sum(y in tails[r] for _, y in body)

    rules = {}

    def add(kind: str, first: int, second: int, r: int, support: int, body: set[tuple[int, int]]) -> None:
        if support < min_support or support / len(body) < min_confidence:
            return
        known, coverage = count_known(body, r), support / len(pairs[r])
        if support / known >= min_pca and coverage >= min_head_coverage:
            rules[kind, first, second, r] = (support, len(body), known, support / known, coverage)

    used = sorted(s for s in pairs if pairs[s])
    for s in used:
        shared = Counter(r for pair in pairs[s] for r in directions[pair] if r < num_relations and r != s)
        for r, support in shared.items():
            kind = "symmetric" if s == turned(r) else "inverse" if s >= num_relations else "implies"
            add(kind, s, -1, r, support, pairs[s])
    for s1 in used:
        for s2 in used:
            body = set()
            for x, z in pairs[s1]:
                body.update((x, y) for y in following[s2].get(z, ()) if y != x)
            counts = Counter(r for pair in body for r in directions.get(pair, ()) if r < num_relations)
            for r, support in counts.items():
                add("transitive" if s1 == s2 == r else "composition", s1, s2, r, support, body)
    for r in range(num_relations):
        entities = heads[r] | tails[r] | loops[r]
        known = (heads[r] if by_head(r) else tails[r]) | loops[r]
        support = len(loops[r])
        if support >= min_support and support / len(entities) >= min_confidence:
            coverage = support / (len(pairs[r]) + support)
            if support / len(known) >= min_pca and coverage >= min_head_coverage:
                rules["reflexive", r, -1, r] = (support, len(entities), len(known), support / len(known), coverage)
        both = sum((y, x) in pairs[r] for x, y in pairs[r])
        alone = len(pairs[r]) - both
        if alone >= min_support and alone / len(pairs[r]) >= min_antisymmetry:
            known = count_known(pairs[turned(r)], r)
            pca = 1 - both / known if known else None
            rules["antisymmetric", r + num_relations, -1, r] = (alone, len(pairs[r]), known, pca, None)
    return rules
