"""The audit: planted defects one by one, plain Python sets, and the real benchmarks' known faults."""

import warnings

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from mmkg.errors import DataError
from mmkg.graph import audit, relation_categories, relation_rules
from mmkg.graph.audit_page import percent
from mmkg.graph.inverse import answerable
from mmkg.types import Features

N = 50  # LIKES joins each entity of a ring to the next, KNOWS to the seventh after it
LIKES, KNOWS, NEW = 0, 1, 2
likes = [(i, LIKES, (i + 1) % N) for i in range(N)]
knows = [(i, KNOWS, (i + 7) % N) for i in range(N)]


def graph(train=(), val=(), test=(), num_nodes=N, num_relations=2):
    """A graph of some triples (h, r, t)."""
    rows = torch.tensor([*train, *val, *test], dtype=torch.long).reshape(-1, 3)
    data = Data(edge_index=rows[:, [0, 2]].T, edge_type=rows[:, 1], num_nodes=num_nodes)
    part = torch.tensor([0] * len(train) + [1] * len(val) + [2] * len(test))
    data.num_relations = num_relations
    data.train_mask, data.val_mask, data.test_mask = (part == i for i in range(3))
    return data


def planted(train=(), val=(), test=(), **sizes):
    """A sound graph with some more triples."""
    return graph(likes + knows[20:] + list(train), knows[:10] + list(val), knows[10:20] + list(test), **sizes)


def wrong(found):
    """Counts of what is not in order, by finding."""
    rows = found.findings[found.findings.severity.isin(["problem", "caution"])]
    return dict(zip(rows.finding, rows["count"], strict=True))


def turned(triples, relation):
    return [(t, relation, h) for h, _, t in triples]


def same(triples, relation):
    return [(h, relation, t) for h, _, t in triples]


three = {"num_relations": 3}
PLANTS = {
    "nothing": ({}, {}),
    "copies in train": ({"train": likes[:3]}, {"duplicates in train": 3}),
    "copies in val": ({"val": [*knows[:2], knows[0]]}, {"duplicates in val": 3}),
    "copies in test": ({"test": knows[10:12]}, {"duplicates in test": 2}),
    "train in val": ({"val": likes[:4]}, {"val triples that are also in train": 4}),
    "test in val": ({"val": knows[10:12]}, {"val triples that are also in test": 2}),
    "train in test": ({"test": likes[:5]}, {"test triples that are also in train": 5}),
    "loops": (
        {"train": [(3, LIKES, 3), (4, KNOWS, 4)], "val": [(5, LIKES, 5)]},
        {"self-loops in train": 2, "self-loops in val": 1},
    ),
    "inverse": (
        {"train": turned(likes[:40], NEW), "test": turned(likes[40:44], NEW), **three},
        {"inverse relation pairs": 1, "test triples that a trivial rule answers": 4},
    ),
    "inverse, too few": ({"train": turned(likes[:4], NEW), **three}, {}),
    "duplicate": (
        {"train": same(likes[:40], NEW), "val": same(likes[40:41], NEW), **three},
        {"near-duplicate relation pairs": 1, "val triples that a trivial rule answers": 1},
    ),
    "symmetric": (
        {"train": turned(likes[:40], LIKES), "test": turned(likes[40:43], LIKES)},
        {"symmetric relations": 1, "test triples that a trivial rule answers": 3},
    ),
    "inverse that gives nothing away": ({"train": turned(likes[:40], NEW), **three}, {}),
    "one way": (
        {"train": same(likes[:10], NEW), "test": same(likes[10:12], NEW), **three},
        {},  # NEW gives LIKES away, LIKES does not give NEW away
    ),
    "one way, and the way it goes": (
        {"train": [*same(likes[:10], NEW), (0, NEW, 3)], "val": [(0, LIKES, 3)], **three},
        {"one-way rules between relations": 1, "val triples that a trivial rule answers": 1},
    ),
    "unseen entity": (
        {"val": [(N, LIKES, 0), (N, KNOWS, 1)], "num_nodes": N + 1},
        {"entities unseen in train": 1, "val triples with an unseen entity": 2},
    ),
    "unseen relation": (
        {"test": [(0, NEW, 9)], **three},
        {"relations unseen in train": 1, "test triples with an unseen relation": 1},
    ),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_defect_is_found_with_its_count_and_nothing_else(name):
    plant, expected = PLANTS[name]
    found = audit(planted(**plant))
    assert wrong(found) == expected
    assert (found.findings.advice.str.len() > 20).all()
    shown = found.findings[found.findings.finding.isin(expected)]
    assert (shown.example != "").all()
    assert (shown.share == shown["count"] / shown.of).all()


def test_severity_and_shares_of_a_leak():
    few = audit(planted(train=turned(likes[:40], NEW), test=turned(likes[40:41], NEW), **three))
    many = audit(planted(train=turned(likes[:40], NEW), test=turned(likes[40:44], NEW), **three))
    name = "test triples that a trivial rule answers"
    for found, severity, count, of in ((few, "caution", 1, 11), (many, "problem", 4, 14)):
        row = found.findings.set_index("finding").loc[name]
        assert (row.severity, row["count"], row.of) == (severity, count, of)
        assert found.count("test triples that a rule answers: inverse") == count
        assert found.count("test triples that a rule answers: duplicate") == 0


def test_thresholds_are_arguments():
    data = planted(train=turned(likes[:20], NEW), **three)  # back 1.0, confidence of LIKES => NEW 0.4
    names = ("inverse relation pairs", "one-way rules between relations")
    assert [audit(data).count(name) for name in names] == [0, 1]
    assert [audit(data, min_confidence=0.4).count(name) for name in names] == [1, 0]
    assert [audit(data, min_support=21).count(name) for name in names] == [0, 0]
    assert audit(data, min_support=21).count("relations too small for rules to be judged") == 1


def test_rules_say_support_and_confidence_and_read_no_loops():
    rows = torch.tensor(likes + turned(likes[:20], NEW) + [(7, LIKES, 7), (7, NEW, 7)] + likes[:9])
    rules = relation_rules(rows[:, [0, 2]].T, rows[:, 1], N, 3, min_confidence=0.4)
    assert rules.values.tolist() == [["inverse", LIKES, NEW, 20, 0.4, 1.0], ["inverse", NEW, LIKES, 20, 1.0, 0.4]]


def test_rules_of_relations_that_are_not_there_answer_nothing():
    rules = pd.DataFrame(
        [["duplicate", 0, 3, 9, 1.0, 1.0]], columns=["kind", "body", "head", "support", "confidence", "back"]
    )
    train = tuple(torch.tensor(x) for x in ([0, 0], [0, 1], [1, 1]))  # with two relations, 0 => 3 looks like 1 => 1
    assert not any(mask.any() for mask in answerable(rules, train, train, 2).values())


def test_overlap_is_counted_on_distinct_triples():
    found = audit(planted(val=likes[:4] + likes[:4] + knows[10:13]))
    assert found.count("duplicates in val") == 4
    assert found.count("distinct triples in val") == 17
    assert found.count("val triples that are also in train") == 4
    assert found.count("val triples that are also in test") == 3
    assert found.count("val triples in no other split") == 10
    with pytest.raises(KeyError, match="no finding 'loops'; there are: "):
        found.count("loops")


def test_names_coverage_report_and_set_aside_triples():
    data = planted()
    data.extra_filter = torch.tensor([[1, 1, 2], [0, 0, 1], [9, 9, 9]])
    data.entity_names = ["France\r", *(f"e{i}" for i in range(1, N))]
    data.relation_names = ["likes", "knows"]
    data.descriptions = [" ", *["a text"] * (N - 1)]
    row = torch.arange(N)
    row[:5] = -1
    row[5:] -= 5
    mask = torch.ones(N - 5, 2, dtype=torch.bool)
    mask[3] = False
    features = {"image": Features(torch.zeros(N - 5, 2, 3), mask, row), "text": None}
    report = {"duplicates": {"train": 9}, "text": {"seed": 3}, "bad": {"lines": 2, "none": 0}, "blank_lines": 4}
    report |= {"entities": N, "carriage_returns": 7, "entities_if_carriage_returns_stayed": 1234}
    found = audit(data, features, report)
    assert wrong(found) == {
        "entity names with white space at an end": 1,
        "image rows without content": 1,
        "lines that end with a carriage return": 7,
    }
    for finding, count in {
        "triples set aside for the filter": 2,
        "entities without image": 5,
        "entities without text": N,
        "entities without description": 1,
        "train heads without image": 5,  # of LIKES; those of KNOWS are in val
        "val heads without image": 5,
        "val tails without image": 0,
        "test heads without image": 0,
        "train tails without description": 2,
        "reader: blank lines": 4,
        "reader: bad lines": 2,
    }.items():
        assert found.count(finding) == count, finding
    assert not found.findings.finding.str.contains("seed|none").any()
    page = found.page()
    assert "entity names with white space at an end: 1 of 50 (2.0%)\n      e.g. 'France\\r'\n      -> Strip" in page
    told = "lines that end with a carriage return: 7\n      e.g. left at the tails, they make 1,234 entities of 50\n"
    assert told in page
    assert "\r" not in page  # it would write over the line
    assert all(len(line) <= 100 for line in page.split("\n"))
    share = found.coverage.loc[["image", "text", "description"], "entities"].tolist()
    assert share == pytest.approx([0.9, 0.0, 0.98])
    assert found.coverage.loc["image", "val tail"] == 1.0


def test_degrees_and_categories_are_those_of_train():
    found = audit(planted(train=[(0, KNOWS, 3)]))
    assert found.degrees.loc[[0.0, 1.0]].tolist() == [2, 4]  # entity 0: two of LIKES, one of KNOWS, this one
    expected = relation_categories(planted().edge_index[:, :80], planted().edge_type[:80], 2).category
    assert found.categories.category.tolist() == expected.tolist()
    assert found.count("relations 1-1") == 2


def test_an_empty_graph_and_wrong_input():
    found = audit(graph(num_nodes=0, num_relations=0))
    assert wrong(found) == {"empty splits": 3}
    assert found.severity("empty splits") == "problem"
    assert found.page().startswith("0 entities, 0 relations; triples: train 0, val 0, test 0")
    assert "Looked for and not found" not in found.page()  # there was nothing to look at
    assert audit(graph(train=likes)).count("duplicates in test") == 0
    data = planted()
    with pytest.raises(DataError, match="entity ids run from 0 to 49, expected 0 to 39"):
        audit(graph(likes, num_nodes=40))
    with pytest.raises(DataError, match="image is given for 3 entities, the graph has 50"):
        audit(data, {"image": Features(torch.zeros(3, 1, 1), torch.ones(3, 1, dtype=torch.bool), torch.arange(3))})
    del data.val_mask
    with pytest.raises(DataError, match="the graph has no val_mask"):
        audit(data)


def test_nothing_is_called_absent_that_could_not_be_seen():
    one = audit(graph([(0, 0, 1)], num_nodes=2, num_relations=1))
    assert wrong(one) == {"empty splits": 2}
    assert one.severity("empty splits") == "caution"
    row = one.findings.set_index("finding")
    assert row.loc["empty splits", "example"] == "val, test"
    for finding in ("duplicates in val", "val triples that are also in test", "self-loops in test"):
        assert row.loc[finding, "severity"] == "unjudged", finding
    for finding in ("inverse relation pairs", "symmetric relations", "test triples that a trivial rule answers"):
        assert row.loc[finding, "severity"] == "unjudged", finding  # one pair is too little to know a rule by
    assert row.loc["duplicates in train", "severity"] == "fine"
    assert one.count("relations too small for rules to be judged") == 1
    assert "Not judged, there being nothing to judge by:\n  duplicates in val; " in one.page()

    alone = audit(graph([(i, i, i + 1) for i in range(20)], [(3, 3, 5)], [(3, 4, 5)], 21, 20))  # no relation twice
    assert alone.severity("inverse relation pairs") == alone.severity("symmetric relations") == "unjudged"
    assert alone.severity("val triples that a rule answers: inverse") == "unjudged"
    assert alone.count("relations too small for rules to be judged") == 20

    large = audit(graph(likes, knows[:5], [(1, LIKES, 3)]))  # one relation has pairs enough, two would be a pair
    assert large.severity("symmetric relations") == "fine"
    assert large.severity("inverse relation pairs") == "unjudged"
    assert large.severity("val triples that a trivial rule answers") == "fine"
    assert large.severity("val triples with an unseen relation") == "caution"


def test_reverses_within_and_across_splits():
    back = turned(likes[:40], NEW)
    held = {"val": [*turned(likes[40:42], NEW), (60, LIKES, 61), (61, NEW, 60)], "test": [(62, NEW, 63)]}
    held["val"].append((63, LIKES, 62))
    found = audit(planted(train=back, num_nodes=64, num_relations=3, **held))
    assert found.count("train triples whose reverse is in the same split") == 80  # both ways count
    assert found.count("val triples whose reverse is in the same split") == 2
    assert found.count("test triples whose reverse is in the same split") == 0
    assert found.count("val triples whose reverse is in test") == 1
    assert found.count("val triples that a rule answers: inverse") == 2
    loop = audit(planted(train=[*turned(likes[:40], LIKES), (3, LIKES, 3)]))
    assert loop.count("train triples whose reverse is in the same split") == 80  # not the loop, its own reverse


def test_the_page_tells_rules_tables_and_advice():
    found = audit(planted(train=turned(likes[:40], NEW), test=turned(likes[40:44], NEW), **three))
    page = found.page()
    rule = "relation 0 => relation 2, turned round (40 pairs, confidence 0.80, back 1.00)"
    assert f"  inverse relation pairs: 1 of 3 (33.3%)\n      e.g. {rule}\n      -> Keep one of the two" in page
    assert "  1-1        3 relations  120 of 120 (100.0%)\n" in page
    assert "  0%: 4, 25%: 4, 50%: 5, 75%: 6, 90%: 6, 99%: 6, 100%: 6\n" in page
    many = [(i, r, (i + r + 1) % N) for r in range(6) for i in range(N)]
    back = [(t, r + 6, h) for h, r, t in many]
    found = audit(graph(many + back[5:], test=back[:5], num_relations=12))
    assert found.count("inverse relation pairs") == 6
    assert "      and 3 more\n" in found.page()
    assert (found.rules.shown & (found.rules.finding == "inverse relation pairs")).sum() == 6


def test_tables_are_written(tmp_path):
    data = planted(train=turned(likes[:40], NEW), **three)
    data.entity_names, data.relation_names = [f"é{i}" for i in range(N)], ["likes", "knows", "new"]
    found = audit(data)
    paths = found.save(tmp_path / "new" / "folder")
    names = ["page.txt", "findings.csv", "rules.csv", "categories.csv", "degrees.csv", "coverage.csv"]
    assert [path.name for path in paths] == names
    assert paths[0].read_text(encoding="utf-8") == found.page() + "\n"
    read = pd.read_csv(paths[1], keep_default_na=False)
    assert (
        read[["finding", "count", "of"]].values.tolist() == found.findings[["finding", "count", "of"]].values.tolist()
    )
    rules = pd.read_csv(paths[2])
    assert rules[["body_name", "head_name", "support"]].values.tolist() == [["likes", "new", 40], ["new", "likes", 40]]
    assert pd.read_csv(paths[3]).relation.tolist() == ["likes", "knows", "new"]


def test_what_is_wrong_is_not_rounded_away():
    assert [percent(x) for x in (0, 1e-9, 0.0004, 0.0006, 0.5, 0.9994, 0.9996, 1 - 1e-9, 1)] == [
        "0.0%", "<0.1%", "<0.1%", "0.1%", "50.0%", "99.9%", ">99.9%", ">99.9%", "100.0%",
    ]  # fmt: skip


SMALL, KINDS = (6, 3), ("inverse", "duplicate", "symmetric")
triples = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(0, 5)), max_size=40)


def plain_rules(train, confidence, support):
    """The rules by loops over sets."""
    pairs = [{(h, t) for h, r, t in train if r == k and h != t} for k in range(SMALL[1])]
    rules = {}
    for a in range(SMALL[1]):
        for b in range(SMALL[1]):
            for reverse in (True, False):
                both = {(t, h) if reverse else (h, t) for h, t in pairs[a]} & pairs[b]
                if (a != b or reverse) and len(both) >= support and len(both) / len(pairs[a]) >= confidence:
                    kind = "symmetric" if a == b else "inverse" if reverse else "duplicate"
                    rules[kind, a, b] = len(both), len(both) / len(pairs[a]), len(both) / len(pairs[b])
    return rules


@settings(max_examples=40, deadline=None)
@given(triples, triples, triples, st.sampled_from([0.3, 0.51, 1.0]), st.integers(1, 3))
def test_counts_match_plain_sets(train, val, test, confidence, support):
    data = graph(train, val, test, *SMALL)
    found = audit(data, min_confidence=confidence, min_support=support)
    parts = {"train": train, "val": val, "test": test}
    seen = {e for h, _, t in train for e in (h, t)}, {r for _, r, _ in train}
    rules = plain_rules(train, confidence, support)
    for split, rows in parts.items():
        assert found.count(f"duplicates in {split}") == len(rows) - len(set(rows))
        assert found.count(f"self-loops in {split}") == len({x for x in rows if x[0] == x[2]})
    for a, b in (("val", "train"), ("val", "test"), ("test", "train")):
        assert found.count(f"{a} triples that are also in {b}") == len(set(parts[a]) & set(parts[b]))
    assert found.count("entities unseen in train") == 6 - len(seen[0])
    assert found.count("relations unseen in train") == 3 - len(seen[1])
    columns = (c.tolist() for c in (found.rules.support, found.rules.confidence, found.rules.back))
    keys = zip(found.rules.kind, found.rules.body, found.rules["head"], strict=True)
    assert dict(zip(keys, zip(*columns, strict=True), strict=True)) == rules
    for split in ("val", "test"):
        rows, given_away = set(parts[split]), {kind: set() for kind in KINDS}
        assert found.count(f"{split} triples with an unseen entity") == len(
            {x for x in rows if not {x[0], x[2]} <= seen[0]}
        )
        assert found.count(f"{split} triples with an unseen relation") == len({x for x in rows if x[1] not in seen[1]})
        for kind, a, b in rules:
            for h, r, t in rows:
                body = (h, a, t) if kind == "duplicate" else (t, a, h)
                if r == b and h != t and body in train:
                    given_away[kind].add((h, r, t))
        for kind in KINDS:
            assert found.count(f"{split} triples that a rule answers: {kind}") == len(given_away[kind])
        back = {"inverse": set(), "symmetric": set()}
        for kind, a, b in rules:
            for h, r, t in rows if kind in back else ():
                if r == b and h != t and (t, a, h) in rows:
                    back[kind].add((h, r, t))
        assert found.count(f"{split} triples whose reverse is in the same split") == len(set().union(*back.values()))
        every = set().union(*given_away.values())
        assert found.count(f"{split} triples that a trivial rule answers") == len(every)


# The real files ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(shared, tmp_path_factory):
    """Opens a dataset over the real files, or skips."""
    from mmkg.run import DATASETS

    patch, root = pytest.MonkeyPatch(), tmp_path_factory.mktemp("real")
    patch.setenv("MMKG_RAW", str(shared / "data"))

    def open_real(name, **options):
        kind = DATASETS[name]
        missing = [f for f in kind.required if not (shared / "data" / kind.folder / "raw" / f).is_file()]
        if missing:
            pytest.skip(f"{shared}/data/{kind.folder}/raw holds no {', '.join(missing)}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return kind(root, log=False, **options)

    yield open_real
    patch.undo()


def test_the_published_validation_split_of_db15k(real):
    dataset = real("db15k", split_policy="published")
    found = audit(dataset.topology, report=dataset.report)
    assert found.count("distinct triples in val") == found.count("reader: published validation distinct") == 7481
    assert found.count("val triples that are also in train") == 6584
    assert found.count("val triples that are also in test") == 824
    assert found.count("val triples in no other split") == 73
    assert found.count("test triples that are also in train") == 0
    assert found.count("self-loops in train") == 768
    problems = found.findings[found.findings.severity == "problem"].finding.tolist()
    assert problems[:3] == [
        "duplicates in val",
        "val triples that are also in train",
        "val triples that are also in test",
    ]


def test_the_clean_split_of_db15k(real):
    found = audit(real("db15k").topology)
    assert not (found.findings.severity == "problem").any()
    assert found.count("triples set aside for the filter") == 73


# measured: val and test triples that a rule answers, of test by symmetry; inverse pairs; triples with unseen entities
LEAKS = {
    "fb15k": (37702, 44589, 4296, 459, (0, 0)),
    "fb15k_237": (0, 0, 0, 1, (9, 28)),
    "wn18": (4694, 4692, 1086, 7, (0, 0)),
    "wn18rr": (1069, 1086, 1086, 0, (210, 210)),  # what is left is symmetric, derivationally_related_form above all
}
INVERSE = {"fb15k": (33445, 39510), "fb15k_237": (0, 0), "wn18": (3625, 3606), "wn18rr": (0, 0)}


@pytest.mark.parametrize("name", LEAKS)
def test_leaks_of_the_benchmarks(real, name):
    dataset = real(name)
    found = audit(dataset.topology, report=dataset.report)
    val, test, symmetric, inverse, unseen = LEAKS[name]
    assert found.count("val triples that a trivial rule answers") == val
    assert found.count("test triples that a trivial rule answers") == test
    assert found.count("test triples that a rule answers: symmetric") == symmetric
    assert found.count("inverse relation pairs") == inverse
    assert tuple(found.count(f"{s} triples with an unseen entity") for s in ("val", "test")) == unseen
    assert sum(found.count(f"duplicates in {s}") for s in ("train", "val", "test")) == 0
    by_inverse = [f"{split} triples that a rule answers: inverse" for split in ("val", "test")]
    assert tuple(found.count(finding) for finding in by_inverse) == INVERSE[name]
    absent = name in ("fb15k_237", "wn18rr")
    assert {found.severity(finding) for finding in by_inverse} == {"fine" if absent else "fact"}
    assert found.severity("test triples that a trivial rule answers") == ("fine" if name == "fb15k_237" else "problem")
    ends = "lines that end with a carriage return"
    assert found.count(ends) == (310116 if name == "fb15k_237" else 0)
    told = "left at the tails, they make 27,395 entities of 14,541"
    assert (told in found.findings.set_index("finding").example[ends]) == (name == "fb15k_237")
    found.page()
