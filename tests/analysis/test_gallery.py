"""The gallery: what it shows is what was found, text stays text, and bad input works or is told."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from html_page import Page
from torch_geometric.data import Data

from mmkg.analysis import gallery
from mmkg.errors import DataError, UnknownNameError
from mmkg.graph.names import Names
from mmkg.samplers import MMRNS
from mmkg.scorers import RotatE
from mmkg.types import Features


@pytest.fixture(scope="module")
def made(little, tmp_path_factory):
    return gallery(little, tmp_path_factory.mktemp("made") / "g.html", questions=30, k=20, sides=("tail", "head"))


@pytest.fixture(scope="module")
def page(made):
    return Page(made.html)


def test_the_file_is_the_page(made):
    assert made.path.read_text(encoding="utf-8") == made.html
    assert not made.notes


def test_every_negative_of_the_table_is_on_the_page(made, page):
    assert len(page.all("li", "card")) == len(made.table)
    assert len(page.all("article", "question")) == made.table.question.nunique() == 6
    shown = page.text("num")
    told = made.table.sort_values(["question", "lens", "place"])
    for column, numbers in (("image", shown[0::3]), ("text", shown[1::3]), ("structure", shown[2::3])):
        for value, number in zip(told[column], numbers, strict=True):
            assert number == ("–" if value != value else f"{value:+.2f}".replace("-", "−"))


def test_known_truths_are_flagged_with_their_split(made, page):
    flags = page.text("flag")
    assert sorted(flags) == sorted(f"true: {split}" for split in made.table.known if split)
    assert "true: test" in flags  # (e3, kind_of, e2) is a fact of test
    assert len(page.all("li", "flagged")) == (made.table.known != "").sum()
    marked = [int(a["data-known"]) for a in page.all("article")]
    assert sum(marked) == (made.table.known != "").sum()


def test_text_stays_text(made, page, harmful):
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert not page.all("i") or all("style" in a for a in page.all("i"))  # the bars', not those of a description
    assert not [a for _, a in page.elements if any(name.startswith("on") for name in a)]
    for name in harmful:
        assert any(name in text for text in page.text("name")), name
        assert any(a.get("aria-label") == f"Picture of {name}" for a in page.all("svg")) == (name == harmful[1])
    assert any(a.get("data-relation") == "next & <b>" for a in page.all("article"))
    assert "next & <b>" in [text for text, path in page.texts if "option" in path]


def test_nothing_is_fetched(made, page):
    for tag, attrs in page.elements:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert not attrs.get(name) or attrs[name].startswith(("data:", "#")), (tag, attrs)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|WebSocket", made.html)


def test_pictures_stand_once_and_say_what_they_are(little, made, page):
    symbols = [a["id"] for a in page.all("symbol")]
    assert len(symbols) == len(set(symbols))
    uses = [a["href"][1:] for a in page.all("use")]
    assert set(uses) == set(symbols)
    pictured = {e for e in range(24) if e % 3}
    shown = set(made.table.negative) | set(made.table["tail"]) | set(made.table["head"])
    assert {int(s[1:]) for s in symbols} <= pictured & shown
    assert all(a["aria-label"] for a in page.all("svg") if a.get("role") == "img")


def test_attention_is_on_the_pictures_and_under_the_sentences(page):
    for half in ("free", "guided"):
        heats = page.all("image", half)
        assert len(heats) == len(page.all("use"))
        assert all(a["href"].startswith("data:image/png") for a in heats)
    weights = [text for text, path in page.texts if "w" in path]
    assert any(text.endswith("%") for text in weights)
    names = {a["id"] for a in page.all("input")}
    assert {"att-none", "att-free", "att-guided", "known", "search"} <= names


def test_shares_of_an_entity_s_sentences_sum_to_one(little):
    from mmkg.analysis.cards import Texts, make_questions
    from mmkg.analysis.comparison import compare_negatives
    from mmkg.analysis.gallery import lenses_of

    lenses, _ = lenses_of(little)
    table = compare_negatives(lenses, little.data, little.triples("val"), k=4)
    questions = make_questions(table, lenses, Texts(little.dataset), ["N-N"] * 2)
    cards = [card for q in questions for card in q.cards]
    assert len(cards) > 20
    for card in cards:
        assert sum(s.free for s in card.sentences) == pytest.approx(1, abs=1e-5)
        assert all(-1 <= s.guided <= 1 for s in card.sentences)
        assert card.sentences[0].text == Names.of(little.data).entity(card.entity).replace("a  b", "a b")
    assert any(abs(s.guided) == pytest.approx(1) for card in cards for s in card.sentences)
    assert {len(card.sentences) for card in cards} >= {1, 3}


def test_two_runs(little, plain, tmp_path):
    made = gallery(little, tmp_path / "g.html", other=plain, k=3)
    titles = [text for text, path in Page(made.html).texts if path[-1:] == ["h3"]]
    assert {"MMRNS", "Uniform"} <= set(titles)
    own = gallery(little, tmp_path / "own.html", k=3)
    mine, others = (t[t.lens == 1] for t in (own.table, made.table))
    assert others.structure.notna().all()  # as the first run's MMRNS sees them
    assert set(others.positive_score) != set(mine.positive_score)  # but another model scores
    twice = gallery(little, tmp_path / "twice.html", other=little, k=3)
    assert {"MMRNS (mmrns)"} <= {text for text, path in Page(twice.html).texts if path[-1:] == ["h3"]}
    first, second = (twice.table[twice.table.lens == i].negative.tolist() for i in (0, 1))
    assert first == second


def test_a_run_with_uniform_negatives_alone(plain, tmp_path):
    made = gallery(plain, tmp_path / "g.html")
    page = Page(made.html)
    assert "neither similarities nor attention" in "".join(made.notes)
    assert "One sampler is shown" in "".join(page.text("notes"))
    assert not page.all(cls="bars")
    assert not page.all("fieldset")
    assert made.table.lens.unique().tolist() == [0]


def test_relations_and_split_are_chosen(little, tmp_path):
    made = gallery(little, tmp_path / "g.html", relations=["kind_of"], split="train", questions=7)
    assert made.table.relation.nunique() == 1
    assert made.table.question.nunique() == 7
    with pytest.raises(UnknownNameError, match="kind_off"):
        gallery(little, tmp_path / "g.html", relations=["kind_off"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"questions": 0}, "0 questions. Cure: ask for 1 to 300"),
        ({"questions": 301}, "301 questions"),
        ({"sides": ("left",)}, "side 'left'. Cure: choose head or tail"),
        ({"split": "test"}, "choose val or train; test is for the final evaluation"),
        ({"max_mb": 0.1}, "max_mb is 0.1. Cure: give at least 0.25"),
        ({"max_mb": float("nan")}, "max_mb is nan"),
        ({"k": 25}, "25 negatives a question. Cure: ask for 1 to 24"),
        ({"sides": ()}, "no triples to look at"),
    ],
)
def test_bad_arguments_are_told(little, tmp_path, options, told):
    with pytest.raises(DataError, match=re.escape(told)):
        gallery(little, tmp_path / "g.html", **options)
    assert not (tmp_path / "g.html").exists()


def test_runs_of_different_graphs(little, kin, stand_in, tmp_path):
    other = stand_in(kin, RotatE(60, 4, 6), None, tmp_path)
    with pytest.raises(DataError, match="different graphs or splits"):
        gallery(little, tmp_path / "g.html", other=other)


# what is not there ------------------------------------------------------------------------------------------------


@pytest.fixture
def structural(kin, stand_in, tmp_path):
    """A run that looks at structure alone, of a graph without a dataset around it."""
    torch.manual_seed(0)
    sampler = MMRNS(60, 12, 6, num_negatives=4, pool_size="all")
    return stand_in(kin, RotatE(60, 4, 6), sampler, tmp_path)


def test_no_features_no_pictures_no_texts(structural):
    made = gallery(structural)
    page, notes = Page(made.html), " ".join(made.notes)
    assert made.path == structural.folder / "gallery.html"
    assert "does not look at pictures" in notes
    assert "does not look at texts" in notes
    assert "without pictures" in notes
    assert not page.all("fieldset")
    assert not page.all(cls="words")
    assert len(page.all(cls="track")) == len(made.table)  # of structure


def test_an_empty_validation_split(structural):
    structural.data.val_mask &= False
    with pytest.raises(DataError, match=r"no val triples\. Cure: take questions from train"):
        gallery(structural)
    assert gallery(structural, split="train").path.exists()


def test_a_relation_with_one_triple(kin, structural):
    lone = torch.tensor([[7], [30]])
    kin.edge_index, kin.edge_type = torch.cat([kin.edge_index, lone], 1), torch.cat([kin.edge_type, torch.tensor([3])])
    kin.edge_type[-1] = 3
    keep = torch.ones(len(kin.edge_type), dtype=torch.bool)
    keep[:-1] = kin.edge_type[:-1] != 3  # the symmetric relation goes, and one triple of it stays
    for name in ("train_mask", "val_mask", "test_mask"):
        kin[name] = torch.cat([kin[name], torch.tensor([name == "val_mask"])])[keep]
    kin.edge_index, kin.edge_type = kin.edge_index[:, keep], kin.edge_type[keep]
    triples = torch.stack([kin.edge_index[0], kin.edge_type, kin.edge_index[1]], dim=1)
    structural.triples = lambda split: triples[kin[f"{split}_mask"]]
    made = gallery(structural, relations=["twin"])
    assert made.table.question.nunique() == 1
    assert Page(made.html).all("article")[0]["data-category"] == "none"  # train has no triple of it


def test_everything_is_known(stand_in, tmp_path):
    n = 5
    h, t = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
    data = Data(edge_index=torch.stack([h.flatten(), t.flatten()]), edge_type=torch.zeros(n * n, dtype=torch.long))
    data.num_nodes, data.num_relations = n, 1
    data.entity_names, data.relation_names = list("abcde"), ["all"]
    data.train_mask = torch.ones(n * n, dtype=torch.bool)
    data.val_mask = data.test_mask = ~data.train_mask
    run = stand_in(data, RotatE(n, 1, 4), MMRNS(n, 8, 4, num_negatives=2, pool_size="all"), tmp_path)
    with pytest.raises(DataError, match="no sampler found a negative"):
        gallery(run, split="train")


def test_features_whose_regions_are_no_places(little, tmp_path):
    features = little.sampler.views.features
    kept = features["image"]
    try:
        features["image"] = replace(kept, boxes=None)
        made = gallery(little, tmp_path / "g.html")
        assert "no places on a picture" in " ".join(made.notes)
        assert not Page(made.html).all("image", "heat")
        features["image"] = replace(kept, provenance={**kept.provenance, "shuffled": 0})
        made = gallery(little, tmp_path / "g.html")
        assert "dealt out at random" in " ".join(made.notes)
        assert not Page(made.html).all("image", "heat")
        assert Page(made.html).all(cls="w")  # sentences keep theirs
    finally:
        features["image"] = kept


def test_pictures_that_cannot_be_read_or_had(little, tmp_path, monkeypatch):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    monkeypatch.setattr(little.dataset, "image_path", lambda entity: bad)
    notes = " ".join(gallery(little, tmp_path / "g.html").notes)
    assert "cannot be read, such as bad.png: not a picture" in notes

    def gone(entity):
        raise DataError("pictures need the package openmoji", cure="pip install it")

    monkeypatch.setattr(little.dataset, "image_path", gone)
    assert "pictures need the package openmoji. Cure: pip install it" in " ".join(gallery(little, tmp_path / "g").notes)


# size -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loud(tmp_path_factory):
    """Pictures of noise, which no format makes small."""
    import numpy as np
    from PIL import Image

    folder, noise = tmp_path_factory.mktemp("loud"), np.random.default_rng(0)
    for n in range(60):
        Image.fromarray(noise.integers(0, 255, (200, 200, 3), dtype=np.uint8)).save(folder / f"{n}.png")
    return folder


def test_pictures_give_way_first_then_questions(structural, loud, tmp_path):
    sizes = {}
    structural.dataset.image_path = lambda entity: loud / f"{entity}.png"
    for limit in (3, 0.5, 0.25):
        made = gallery(structural, tmp_path / "g.html", sides=("tail", "head"), max_mb=limit)
        assert made.path.stat().st_size <= limit * 1e6
        page = re.search(r"pictures are at most (\d+) pixels", made.html)
        sizes[limit] = int(page[1]), made.table.question.nunique()
        assert f"at most {limit:g} MB" in made.html
    assert sizes[3] == (192, 40)
    assert sizes[0.5][0] < 192
    assert sizes[0.5][1] == 40
    assert sizes[0.25][1] < 40
    assert "questions are left out to stay within 0.25 MB" in " ".join(made.notes)


def test_one_hundred_thousand_entities(stand_in, tmp_path):
    torch.manual_seed(0)
    n, edges = 100_000, 300_000
    data = Data(edge_index=torch.randint(n, (2, edges)), edge_type=torch.randint(40, (edges,)), num_nodes=n)
    data.num_relations = 40
    number = torch.arange(edges)
    data.train_mask, data.val_mask, data.test_mask = number >= 2000, number < 1000, (number >= 1000) & (number < 2000)
    data.entity_names, data.relation_names = [f"e{k}" for k in range(n)], [f"r{k}" for k in range(40)]
    data.descriptions = ["Lorem ipsum dolor sit amet. " * 40] * n
    row = torch.arange(n)
    text = Features(torch.randn(n, 2, 3), torch.ones(n, 2, dtype=torch.bool), row)
    run = stand_in(data, RotatE(n, 40, 4), MMRNS(n, 8, 4, None, text, num_negatives=4, pool_size=50), tmp_path)
    made = gallery(run, questions=40, candidates=5_000, max_mb=2)
    assert made.table.question.nunique() == 40
    assert made.path.stat().st_size < 2e6
    assert "MMRNS looked at 5,000 of 100,000 entities" in " ".join(made.notes)
    assert (made.table[made.table.lens == 0].times < 5_100).all()


def test_many_negatives_of_a_long_name_do_not_fit(kin, structural):
    kin.entity_names = ["x" * 400_000 + str(n) for n in range(60)]
    structural.dataset = SimpleNamespace(topology=kin)
    with pytest.raises(DataError, match=r"one question takes .* MB of 0\.25\. Cure: allow more with max_mb"):
        gallery(structural, max_mb=0.25, questions=2, k=2)
