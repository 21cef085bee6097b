"""A run asked about an entity that its graph does not hold: answers, clear errors, and nothing changed or written."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_encoders import FakePictureEncoder, FakeTextEncoder
from PIL import Image

from mmkg.datasets import MultimodalFolder
from mmkg.errors import DataError, UnknownNameError
from mmkg.run import NewEntity, Run, RunConfig, SamplerConfig, predict_new
from mmkg.run.unseen import describe, with_new
from mmkg.samplers import MANS
from mmkg.training import TrainConfig

ENCODERS = {"picture_encoder": FakePictureEncoder(), "text_encoder": FakeTextEncoder()}
TRAIN = TrainConfig(steps=20, batch_size=16, learning_rate=0.05, validate_every=10)


def graph(folder):
    """Twelve fruits and kinds, half of them with a picture; one relation is in validation alone."""
    names = [f"thing {i}" for i in range(12)]
    lines = [f"{names[i]}\tlike\t{names[(i + 1) % 12]}" for i in range(12)] + [
        f"{names[i]}\tis\tthing 0" for i in (1, 2)
    ]
    folder.mkdir()
    (folder / "train.tsv").write_text("\n".join(lines) + "\n")
    (folder / "valid.tsv").write_text("thing 3\tis\tthing 0\nthing 1\tsings to\tthing 2\n")
    (folder / "test.tsv").write_text("thing 4\tis\tthing 0\n")
    (folder / "entities.tsv").write_text("".join(f"{n}\t{n}\tThis is {n}. It is a thing.\n" for n in names))
    (folder / "images").mkdir()
    for i in range(0, 12, 2):
        Image.new("RGB", (20, 20), (i * 20, 0, 255 - i * 20)).save(folder / "images" / f"{names[i]}.png")
    dataset = MultimodalFolder(folder, log=False)
    dataset.encode_text(FakeTextEncoder())
    dataset.encode_images(FakePictureEncoder(), regions=(2, 3))
    return folder


def trained(folder, out, **settings):
    config = RunConfig(str(folder), scorer="complex", dim=4, objective="one_vs_all", train=TRAIN, **settings)
    return Run.train(config, out, progress=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = graph(tmp_path_factory.mktemp("own") / "graph")
    made = trained(folder, tmp_path_factory.mktemp("runs") / "run", fusion="linear")
    return Run.load(made.folder, progress=False)


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (30, 10), (9, 0, 9)).save(tmp_path / "new.png")
    return tmp_path / "new.png"


def files(folder):
    return {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}


def test_a_run_with_fusion_is_loaded_as_it_was_trained(run):
    again = Run.load(run.folder, progress=False)
    torch.testing.assert_close(again.model.entity_table(), run.model.entity_table())
    assert set(run.model.node_emb.pooling) == {"text", "image"}
    assert run.model.node_emb.fusion.maps["text"].weight.abs().sum() > 0


def test_answers(run, picture):
    new = NewEntity(picture, "A new thing.", [("?", "like", "thing 5"), ("thing 3", "like", "?")])
    found = predict_new(run, new, "like", k=12, **ENCODERS)
    assert list(found.columns) == ["rank", "entity", "label", "score", "known"]
    assert len(found) == 12  # every entity but itself
    assert found.score.is_monotonic_decreasing
    assert found[found.known].entity.tolist() == ["thing 5"]
    fresh = predict_new(run, new, "like", k=12, include_known=False, **ENCODERS)
    assert fresh.entity.tolist() == found[~found.known].entity.tolist()
    heads = predict_new(run, new, "like", new_is="tail", k=3, **ENCODERS)
    assert len(heads) == 3
    model, facts = with_new(run, new, **ENCODERS)
    assert facts.num_nodes == 13
    scores = model.score_tails(torch.tensor([12]), torch.tensor([run.data.relation_names.index("like")]))[0]
    best = int(scores[:12].argmax())
    assert found.entity[0] == run.data.entity_names[best]


def test_features_are_made_as_the_datasets_were(run, tmp_path):
    """The picture and text of a known entity, given as new, have the features that it has."""
    folder = tmp_path / "x"
    folder.mkdir()
    Image.new("RGB", (20, 20), (80, 0, 175)).save(folder / "same.png")  # as thing 4
    found = describe(run, NewEntity(folder / "same.png", "thing 4. This is thing 4. It is a thing."), **ENCODERS)
    at = torch.tensor([run.data.entity_names.index("thing 4")])
    torch.testing.assert_close(found["image"][0], run.dataset.features("image").gather(at)[0])
    values, mask = run.dataset.features("text").gather(at)
    torch.testing.assert_close(found["text"][0][:, 1:3], values[:, 1:3])  # "thing 4." has a full stop, the label not
    assert torch.equal(found["text"][1], mask)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16", "CMYK", "F"])
@pytest.mark.parametrize("size", [(1, 1), (300, 2)])
def test_pictures_of_any_size_and_mode(run, tmp_path, mode, size):
    path = tmp_path / ("new.tif" if mode in ("CMYK", "F") else "new.png")
    grey = Image.fromarray(np.full(size[::-1], 7, np.uint16 if mode == "I;16" else np.uint8))
    (grey if mode == "I;16" else grey.convert(mode)).save(path)
    assert len(predict_new(run, NewEntity(path), "like", k=2, **ENCODERS)) == 2


def test_nothing_is_changed_and_nothing_written(run, picture):
    folders = run.folder, run.dataset.home
    before, kept = [files(f) for f in folders], run.evaluate("val")["metrics"]
    state = {k: v.clone() for k, v in run.model.state_dict().items()}
    before = [files(f) for f in folders]
    predict_new(run, NewEntity(picture, "New.", [("?", "like", "thing 5")]), "like", **ENCODERS)
    for bad in (NewEntity(picture.parent / "none.png"), NewEntity(None, " "), NewEntity()):
        with pytest.raises(DataError):
            predict_new(run, bad, "like", **ENCODERS)
    assert [files(f) for f in folders] == before
    assert all(torch.equal(v, state[k]) for k, v in run.model.state_dict().items())
    assert run.evaluate("val")["metrics"] == kept


def broken(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    return tmp_path / "broken.png"


@pytest.mark.parametrize(
    ("new", "relation", "told"),
    [
        (NewEntity(), "like", "nothing is known of the new entity. Cure: give a picture, a text, or both"),
        (NewEntity(text=" \n "), "like", r"the text is empty: ' \\n '. Cure"),
        (NewEntity("missing.png"), "like", "missing.png: picture not usable: no such file. Cure"),
        (NewEntity(text="x"), "sings to", "'sings to' is in no train triple"),
        (NewEntity(text="x", facts=[("?", "sings to", "thing 1")]), "like", "'sings to' is in no train triple"),
        (NewEntity(text="x", facts=[("thing 2", "like", "thing 1")]), "like", "fact 'thing 2|like|thing 1'"),
        (NewEntity(text="x", facts=[("?", "like", "?")]), "like", "fact '?|like|?'"),
        (NewEntity(text="x", facts=[("like", "?")]), "like", r"fact 'like\|\?'"),
    ],
)
def test_bad_input_is_told(run, new, relation, told):
    with pytest.raises(DataError) as error:
        predict_new(run, new, relation, **ENCODERS)
    assert told.replace("\\\\", "\\").replace("\\|", "|").replace("\\?", "?") in str(error.value)


def test_an_unreadable_picture_and_unknown_names(run, tmp_path):
    with pytest.raises(DataError, match=r"broken\.png: picture not usable: .*Cure: give another file"):
        predict_new(run, NewEntity(broken(tmp_path)), "like", **ENCODERS)
    with pytest.raises(UnknownNameError, match=r"unknown relation 'liek'\. Nearest: like"):
        predict_new(run, NewEntity(text="x"), "liek", **ENCODERS)
    with pytest.raises(UnknownNameError, match="unknown entity"):
        predict_new(run, NewEntity(text="x", facts=[("?", "like", "think 1")]), "like", **ENCODERS)
    with pytest.raises(DataError, match="choose head or tail"):
        predict_new(run, NewEntity(text="x"), "like", new_is="relation", **ENCODERS)


def test_another_encoder_is_refused(run, picture):
    other = FakeTextEncoder()
    other.fingerprint = "of other weights"
    with pytest.raises(DataError, match="text features were made by fake-text, not fake-text of these weights"):
        describe(run, NewEntity(text="x"), text_encoder=other)
    with pytest.raises(
        DataError, match=r"image features were made by fake-picture\. Cure: in Python, hand its encoder"
    ):
        describe(run, NewEntity(picture))


def test_runs_that_cannot(run, tmp_path, picture):
    plain = trained(run.config.dataset, tmp_path / "plain")
    with pytest.raises(DataError, match="ComplEx knows entities by their triples alone"):
        predict_new(plain, NewEntity(picture), "like", **ENCODERS)
    text = trained(run.config.dataset, tmp_path / "text", fusion="gated", fuse_with=("text",))
    assert len(predict_new(text, NewEntity(text="x"), "like", k=2, **ENCODERS)) == 2
    with pytest.raises(DataError, match="looks at text alone, not at a new entity's image"):
        predict_new(text, NewEntity(picture), "like", **ENCODERS)


def test_a_fused_run_can_draw_by_exchanged_pictures_and_texts(run, tmp_path):
    sampler = SamplerConfig(name="mans", negatives=3)
    config = replace(run.config, objective="self_adversarial", sampler=sampler)
    made = Run.train(config, tmp_path / "mans", progress=False)
    assert isinstance(made.sampler, MANS)
    with pytest.raises(DataError, match="fuses none"):
        Run.train(replace(config, fusion=None), tmp_path / "none", progress=False)


def test_settings_of_fusion_are_checked(run, tmp_path):
    for settings, told in (({"fusion": "sum"}, "unknown fusion"), ({"fuse_with": ("sound",)}, "'sound'")):
        with pytest.raises(DataError, match=told):
            trained(run.config.dataset, tmp_path / "bad", **{"fusion": "linear", **settings})
    config = RunConfig("worldmoji", root=str(tmp_path), fusion="linear", sampler=SamplerConfig(name="uniform"))
    assert RunConfig.from_dict({**config.__dict__, "sampler": {}, "train": {}, "fuse_with": ["text"]}).fuse_with == (
        "text",
    )
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "train.tsv").write_text("a\tr\tb\nb\tr\ta\n")
    with pytest.raises(DataError, match="no image features here to fuse with"):
        trained(bare, tmp_path / "bad", fusion="linear")
    assert not (tmp_path / "bad").exists()
