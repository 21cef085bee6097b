"""Hard negatives of a sampler on a small graph, as a table and as a picture."""

import matplotlib
import pandas as pd
import pytest
import torch
from PIL import Image

from mmkg.analysis import draw_negatives, hard_negatives, named, spread, told
from mmkg.errors import DataError
from mmkg.graph import Facts
from mmkg.samplers import MMRNS
from mmkg.scorers import RotatE


@pytest.fixture
def table(kin):
    torch.manual_seed(0)
    model = RotatE(kin.num_nodes, 4, 6)
    sampler = MMRNS(kin.num_nodes, 12, 6, num_negatives=4, pool_size="all", attention_dim=4)
    triples = torch.stack([kin.edge_index[0], kin.edge_type, kin.edge_index[1]], dim=1)[kin.val_mask][:7]
    train, every = Facts.from_data(kin), Facts.from_data(kin, ("train", "val", "test"))
    return hard_negatives(sampler, model, triples, train, every, k=5, batch_size=3), model, train, every


def test_places_probabilities_and_flags(kin, table):
    rows, model, train, every = table
    assert len(rows) == 7 * 2 * 5
    for (h, r, t, side), part in rows.groupby(["head", "relation", "tail", "side"]):
        assert part.place.tolist() == [1, 2, 3, 4, 5]
        assert part.probability.is_monotonic_decreasing
        for _, row in part.iterrows():
            triple = (h, r, row.negative) if side == "tail" else (row.negative, r, t)
            ids = [torch.tensor([int(x)]) for x in triple]
            assert not train.contains(*ids)
            assert bool(every.contains(*ids)) == row.held_out
            assert float(model(*ids).detach()) == pytest.approx(row.score, abs=1e-5)
    assert rows.image.isna().all()
    assert rows.structure.notna().all()


def test_names_and_words(kin, table):
    rows = table[0]
    readable = named(rows, kin.entity_names, kin.relation_names)
    assert readable.negative[0] == kin.entity_names[rows.negative[0]]
    words = told(rows, kin.entity_names, kin.relation_names)
    assert sum(bool(w["question"]) for w in words) == 14
    assert words[0]["question"].startswith("?, ")  # the head side comes first
    assert words[0]["image"] == ""


def test_the_picture_is_drawn(kin, table, tmp_path):
    picture = tmp_path / "one.png"
    Image.new("RGB", (8, 8), "red").save(picture)
    rows = table[0].groupby(["head", "relation", "tail", "side"], sort=False).head(3).head(9)
    out = draw_negatives(
        rows,
        [f"$ {name} $ [x]" for name in kin.entity_names],
        kin.relation_names,
        lambda entity: picture if entity % 2 else None,
        tmp_path / "out.png",
        title="Hard negatives",
        caption="of a small graph",
    )
    with Image.open(out) as image:
        assert image.size[0] > 400
        assert len(image.convert("RGB").getcolors(10**6)) > 50


def test_grey_pictures_are_grey_and_unreadable_ones_stop_nothing(kin, table, tmp_path):
    rows, names = table[0].head(3), (kin.entity_names, kin.relation_names)
    grey = Image.linear_gradient("L").resize((20, 20))
    files = {kind: tmp_path / f"{kind}.png" for kind in ("L", "RGB")}
    drawn = {}
    for kind, file in files.items():
        grey.convert(kind).save(file)
        with Image.open(draw_negatives(rows, *names, lambda _, f=file: f, tmp_path / "out.png", dpi=60)) as image:
            drawn[kind] = image.convert("RGB").tobytes()
    assert drawn["L"] == drawn["RGB"]
    files["L"].write_bytes(b"no picture")
    assert draw_negatives(rows, *names, lambda _: files["L"], tmp_path / "out.png", dpi=60).stat().st_size > 0


def test_drawing_leaves_matplotlib_as_it_was(kin, table, tmp_path):
    before = matplotlib.get_backend()
    matplotlib.use("svg")
    try:
        draw_negatives(table[0].head(2), kin.entity_names, kin.relation_names, lambda _: None, tmp_path / "out.png")
        assert matplotlib.get_backend() == "svg"
    finally:
        matplotlib.use(before)
    with pytest.raises(DataError, match="no negatives to draw"):
        draw_negatives(table[0].head(0), kin.entity_names, kin.relation_names, lambda _: None, tmp_path / "out.png")


def test_spread_takes_triples_from_all_over():
    triples = torch.arange(30).reshape(10, 3)
    assert spread(triples, 6)[-1].tolist() == [24, 25, 26]  # not the first six
    assert torch.equal(spread(triples, 12), triples)
    assert spread(triples[:0], 2).shape == (0, 3)
    assert spread(triples, 2)[:, 0].tolist() == [0, 15]
    pictured = torch.zeros(31, dtype=torch.bool)
    pictured[[3, 5, 9, 11, 12]] = True
    assert spread(triples, 5, pictured).tolist() == [[3, 4, 5], [9, 10, 11]]
    assert len(spread(triples, 3, torch.zeros(31, dtype=torch.bool))) == 3  # nothing pictured: any will do


def test_named_keeps_the_rest():
    frame = pd.DataFrame({"head": [0], "relation": [0], "tail": [1], "negative": [1], "probability": [0.5]})
    assert named(frame, ["a", "b"], ["r"]).to_dict("records") == [
        {"head": "a", "relation": "r", "tail": "b", "negative": "b", "probability": 0.5}
    ]


def test_nothing_to_look_at(kin, table):
    _, model, train, every = table
    sampler = MMRNS(kin.num_nodes, 12, 6, num_negatives=4, pool_size="all", attention_dim=4)
    with pytest.raises(DataError, match="no triples to look at"):
        hard_negatives(sampler, model, torch.zeros(0, 3, dtype=torch.long), train, every)
    for k in (0, kin.num_nodes + 1):
        with pytest.raises(DataError, match=f"{k} negatives a question. Cure: ask for 1 to 60"):
            hard_negatives(sampler, model, torch.zeros(1, 3, dtype=torch.long), train, every, k=k)
