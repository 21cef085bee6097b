"""The report: its tables are those of the audit and of the patterns, and odd graphs work or are told."""

import numpy as np
import pytest
import torch
from html_page import Page
from torch_geometric.data import Data

from mmkg.analysis import log_plot, report
from mmkg.analysis.pattern_drawing import WIDTH, draw_pattern_graph
from mmkg.datasets import MultimodalFolder, from_triples
from mmkg.errors import DataError
from mmkg.graph import mine_patterns


@pytest.fixture
def family():
    """parent and child are inverse, grandparent is composed, twin is symmetric."""
    triples = []
    for n in range(30):
        triples += [(f"a{n}", "parent", f"b{n}"), (f"b{n}", "parent", f"c{n}"), (f"a{n}", "grandparent", f"c{n}")]
        triples += [(f"b{n}", "child", f"a{n}"), (f"c{n}", "child", f"b{n}")]
        triples += [(f"a{n}", "twin", f"c{n}"), (f"c{n}", "twin", f"a{n}")]
    return from_triples([*triples, ("a0", "alone", "b9")])


def test_the_tables_are_those_that_were_found(family, tmp_path):
    made = report(family, tmp_path / "r.html", k=3)
    page = Page(made.html)
    assert made.path.read_text(encoding="utf-8") == made.html
    rules = page.text("rule")
    for kind in ("symmetric", "inverse", "composition"):
        told = made.patterns.table(kind, redundant=False)
        assert len(told), kind
        assert set(told.rule.head(3)) <= set(rules)
    assert len(page.all("tr", "relation")) == 5
    assert "5 relations, 211 triples (100.0%)" in " ".join(t for t, path in page.texts if "kinds" in path)
    tiles = page.text("tiles")
    assert tiles[:4] == [f"{family.num_nodes:,}", "entities", "5", "relations"]
    for _, row in made.audit.findings[made.audit.findings.severity == "caution"].iterrows():
        assert row.finding in page.text("findings")


def test_the_network_has_every_relation_and_rule(family, tmp_path):
    made = report(family, tmp_path / "r.html")
    graph = made.patterns.pattern_graph()
    drawing = draw_pattern_graph(graph)
    assert {n.name for n in drawing.nodes} == set(graph)
    assert len(drawing.edges) == graph.number_of_edges() > 3
    assert (drawing.relations, drawing.rules) == (0, 0)
    for node in drawing.nodes:
        assert node.radius <= node.x <= WIDTH - node.radius
        assert node.radius <= node.y <= drawing.height - node.radius - 15
    for n, one in enumerate(drawing.nodes):
        for other in drawing.nodes[:n]:
            assert np.hypot(one.x - other.x, one.y - other.y) > one.radius + other.radius
    told = [e.told for e in drawing.edges]
    assert any(t.startswith("parent → child: inverse 100%") for t in told)
    assert any("parent → grandparent: composes" in t and "∘" in t for t in told)
    page = Page(made.html)
    assert len(page.all("path", "edge")) == len(drawing.edges)
    assert len(page.all("circle")) == len(drawing.nodes)
    again = draw_pattern_graph(graph)
    assert again == drawing


def test_a_large_network_is_cut_to_what_is_surest():
    rng = np.random.default_rng(0)
    triples = [(f"e{n}", f"r{r}", f"e{(n + 1) % 40}") for r in range(60) for n in range(40) if rng.random() < 0.9]
    graph = mine_patterns(from_triples(triples), paths=False).pattern_graph()
    drawing = draw_pattern_graph(graph, most_nodes=20, most_edges=30)
    assert len(drawing.nodes) == 20 or len(drawing.edges) == 30
    assert len(drawing.nodes) + drawing.relations == 60
    assert len(drawing.edges) + drawing.rules == graph.number_of_edges()


def test_text_stays_text(little, tmp_path, harmful):
    made = report(little.dataset, tmp_path / "r.html", min_support=1, min_confidence=0.1)
    page = Page(made.html)
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert not [a for _, a in page.elements if any(name.startswith("on") for name in a)]
    assert any("next & <b>" in text for text in page.text("relation"))
    assert any(harmful[0] in text or harmful[1] in text for text, _ in page.texts)
    for tag, attrs in page.elements:
        assert not attrs.get("href") or attrs["href"].startswith(("data:", "#")), (tag, attrs)


def test_coverage_is_that_of_the_features(little, tmp_path):
    made = report(little.dataset, tmp_path / "r.html")
    cells = [text for text, path in Page(made.html).texts if path[-1:] == ["td"] and text.strip().endswith("%")]
    told = [f"{100 * share:.1f}%" for _, row in made.audit.coverage.iterrows() for share in row]
    assert [c.strip() for c in cells] == told
    assert made.audit.coverage.loc["image", "entities"] == pytest.approx(16 / 24)


def test_a_dataset_without_pictures_and_texts(tmp_path):
    (tmp_path / "g").mkdir()
    (tmp_path / "g/train.tsv").write_text("a\tr\tb\nb\tr\tc\n", encoding="utf-8")
    made = report(MultimodalFolder(tmp_path / "g", log=False), tmp_path / "r.html")
    page = Page(made.html)
    assert "Report on g" in page.text("title")
    assert "empty splits" in " ".join(page.text("findings"))
    assert [text for text in page.text("soft") if text == "None."]


@pytest.mark.parametrize("edges", [0, 1])
def test_next_to_nothing(tmp_path, edges):
    data = Data(edge_index=torch.zeros(2, edges, dtype=torch.long), edge_type=torch.zeros(edges, dtype=torch.long))
    data.num_nodes, data.num_relations = 2, 1
    data.train_mask = torch.ones(edges, dtype=torch.bool)
    data.val_mask = data.test_mask = ~data.train_mask
    made = report(data, tmp_path / "r.html")
    assert ("Train has no triple." in made.html) == (edges == 0)
    assert "Report on a graph" in made.html
    assert "without pictures, texts and descriptions" in made.html


def test_two_relations_of_one_name(family, tmp_path):
    family.relation_names = family.relation_labels = ["same"] * 5
    made = report(family, tmp_path / "r.html")
    assert "two relations have the same name. Cure: give each its own" in " ".join(made.notes)
    assert "There is nothing to draw." in made.html


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"k": 0}, "0 rules of each kind. Cure: ask for at least 1"),
        ({"min_support": 0}, "min_support is 0"),
        ({"min_confidence": 2}, "min_confidence is 2"),
    ],
)
def test_bad_arguments(family, tmp_path, options, told):
    with pytest.raises(DataError, match=told.replace(".", r"\.")):
        report(family, tmp_path / "r.html", **options)
    assert not (tmp_path / "r.html").exists()


def test_one_hundred_thousand_entities_and_many_relations(tmp_path):
    torch.manual_seed(0)
    n, edges, relations = 100_000, 200_000, 2_500
    data = Data(edge_index=torch.randint(n, (2, edges)), edge_type=torch.randint(relations, (edges,)), num_nodes=n)
    data.num_relations = relations
    number = torch.arange(edges)
    data.train_mask, data.val_mask, data.test_mask = number >= 2000, number < 1000, (number >= 1000) & (number < 2000)
    data.relation_names = [f"{'very ' * 100}long {r}" for r in range(relations)]
    made = report(data, tmp_path / "r.html")
    assert "The table shows the 2,000 of 2,500 relations with most triples." in made.notes
    assert made.path.stat().st_size < 3e6


# curves -----------------------------------------------------------------------------------------------------------


def numbers(path):
    return [tuple(map(float, point.split())) for point in path[1:].removesuffix("h0").split("L")]


def test_curves_lie_where_the_logarithms_say():
    plot = log_plot.log_plot({"a": (np.array([1, 10, 100]), np.array([1, 0.1, 0.01]))}, shares=True)
    (x1, y1), (x2, y2), (x3, y3) = numbers(plot.curves["a"])
    assert (x1, x3) == (log_plot.LEFT, log_plot.WIDTH - log_plot.RIGHT)
    assert (y1, y3) == (log_plot.TOP, log_plot.HEIGHT - log_plot.BOTTOM)
    assert x2 == pytest.approx((x1 + x3) / 2)
    assert y2 == pytest.approx((y1 + y3) / 2)
    assert [label for _, label in plot.x_ticks] == ["1", "10", "100"]
    assert [label for _, label in plot.y_ticks] == ["1 %", "10 %", "100 %"]
    assert plot.x_ticks[1][0] == pytest.approx(x2)


def test_few_points_of_many_and_one_alone():
    counts = np.random.default_rng(0).zipf(1.5, 50_000)
    x, y = log_plot.survival(counts)
    assert y[0] == 1
    assert (np.diff(y) < 0).all()
    found = numbers(log_plot.log_plot({"a": (x, y)}).curves["a"])
    assert 50 < len(found) <= log_plot.MOST_POINTS + 2
    assert found[-1][0] == pytest.approx(log_plot.LEFT + (log_plot.WIDTH - log_plot.LEFT - log_plot.RIGHT)
                                         * np.log10(x[-1]) / np.ceil(np.log10(x[-1])), abs=0.1)  # fmt: skip
    alone = log_plot.log_plot({"a": (np.array([5]), np.array([5])), "none": (np.array([]), np.array([]))})
    assert alone.curves["a"].endswith("h0")
    assert list(alone.curves) == ["a"]
    assert log_plot.log_plot({}) is None
