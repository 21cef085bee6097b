"""The route through transformers, on tiny models with RANDOM weights: shapes and places are tested, not quality."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from mmkg.encoders import VisionEncoder, encode_images
from mmkg.errors import DataError

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "image_size": 56,
    "patch_size": 8,
}


def random_model(kind: str) -> torch.nn.Module:
    """A tiny model with random weights; after it, an entity's features mean nothing."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")
    if kind == "CLIP":
        text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        return transformers.CLIPModel(config(vision_config=SMALL, text_config=text)).eval()
    kind = kind.removesuffix("Vision") + "VisionModel" if kind.endswith("Vision") else f"{kind}Model"
    return getattr(transformers, kind)(config(**SMALL)).eval()


class Recipe:
    """An image processor's settings, as VisionEncoder reads them."""

    do_resize = do_rescale = do_normalize = True
    do_center_crop = False
    size = {"height": 56, "width": 56}  # noqa: RUF012
    resample, rescale_factor = 2, 1 / 255
    image_mean, image_std = [0.5, 0.4, 0.3], [0.5, 0.6, 0.7]


@pytest.fixture
def pictures():
    draw = np.random.default_rng(0)
    return [Image.fromarray(draw.integers(0, 256, (40, 50 + i, 3), dtype=np.uint8)) for i in range(3)]


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [
        ("Beit", 1),
        ("ViT", 1),
        ("DeiT", 2),
        ("Dinov2", 1),
        ("Dinov2WithRegisters", 5),
        ("CLIPVision", 1),
        ("CLIP", 1),
        ("SiglipVision", 0),
    ],
)
def test_tokens_before_the_patches_are_dropped(kind, prefix, pictures):
    model = random_model(kind)
    encoder = VisionEncoder(model, "cpu", processor=Recipe(), name=f"random-{kind}")
    assert (encoder.name, encoder.dim, encoder.grid) == (f"random-{kind}", 16, (7, 7))
    patches = encoder.encode(pictures)
    assert patches.shape == (3, 7, 7, 16)
    pixels = torch.stack([encoder.preprocess(p) for p in pictures])
    body = getattr(model, "vision_model", model)
    with torch.inference_mode():
        states = body(pixel_values=pixels).last_hidden_state
    assert states.shape[1] == prefix + 49
    torch.testing.assert_close(patches[:, 2, 5], states[:, prefix + 2 * 7 + 5])
    assert encoder.encode([]).shape == (0, 7, 7, 16)


@pytest.mark.parametrize("kind", ["Beit", "ViT"])
def test_pixels_are_those_of_the_models_own_processor(kind, pictures, tmp_path):
    processor = getattr(transformers, f"{kind}ImageProcessor")(size={"height": 56, "width": 56}, do_center_crop=False)
    encoder = VisionEncoder(random_model(kind), "cpu", processor=processor)
    # where torchvision is there, transformers resizes by it and rounds some pixels the other way, by one level
    level = 1e-5 if find_spec("torchvision") is None else 1.01 * 2 / 255
    for picture in pictures:
        own = processor(picture, return_tensors="pt")["pixel_values"][0]
        torch.testing.assert_close(encoder.preprocess(picture), own, rtol=1e-5, atol=level)


def test_a_model_that_crops_sees_the_whole_picture_here():
    processor = transformers.CLIPImageProcessor(
        size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}, do_center_crop=True
    )
    encoder = VisionEncoder(random_model("CLIP"), "cpu", processor=processor)
    wide = Image.new("RGB", (200, 50), "white")
    wide.paste((0, 0, 0), (0, 0, 20, 50))  # a centre crop would not show it
    pixels = encoder.preprocess(wide)
    assert pixels.shape == (3, 56, 56)
    assert pixels[:, :, :4].max() < pixels[:, :, 10:].min()


def test_a_folder_is_loaded_without_the_hub_and_features_go_through(tmp_path, make_pictures):
    random_model("Beit").save_pretrained(tmp_path / "random-beit")
    transformers.BeitImageProcessor(size={"height": 56, "width": 56}).save_pretrained(tmp_path / "random-beit")
    encoder = VisionEncoder(tmp_path / "random-beit", "cpu")
    assert encoder.name == "random-beit"
    paths = make_pictures(35)  # three batches
    features = encode_images(paths, encoder, cache=tmp_path / "cache", progress=False)
    assert features.shape == (35, 24, 16)
    otherwise = encode_images(paths[::-1], encoder, batch_size=8, progress=False)
    torch.testing.assert_close(features.values, otherwise.values.flip(0), rtol=0, atol=2e-3)
    again = VisionEncoder(str(tmp_path / "random-beit"), "cpu")
    assert again.fingerprint == encoder.fingerprint
    assert encode_images(paths, again, cache=tmp_path / "cache", progress=False).provenance["encoded"] == 0


def test_fingerprint_tells_weights_and_preprocessing_apart():
    class Darker(Recipe):
        image_mean = (0.1, 0.1, 0.1)

    changed = random_model("ViT")
    with torch.no_grad():
        next(changed.parameters())[0] += 1
    prints = {
        VisionEncoder(model, "cpu", processor=recipe).fingerprint
        for model, recipe in (
            (random_model("ViT"), Recipe()),
            (random_model("ViT"), Recipe()),
            (random_model("ViT"), Darker()),
            (changed, Recipe()),
            (random_model("Beit"), Recipe()),
        )
    }
    assert len(prints) == 4


def test_a_classifiers_body_is_used(pictures):
    torch.manual_seed(0)
    classifier = transformers.ViTForImageClassification(transformers.ViTConfig(**SMALL)).eval()
    encoder = VisionEncoder(classifier, "cpu", processor=Recipe())
    assert encoder.encode(pictures).shape == (3, 7, 7, 16)


def test_a_model_object_needs_its_processor():
    with pytest.raises(DataError, match="processor="):
        VisionEncoder(random_model("ViT"), "cpu")


def test_models_without_patch_tokens_are_refused(pictures):
    resnet = transformers.ResNetModel(transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1]))
    with pytest.raises(DataError, match="patch"):
        VisionEncoder(resnet, "cpu", processor=Recipe())
    swin = transformers.SwinModel(transformers.SwinConfig(embed_dim=8, depths=[1, 1], num_heads=[1, 1], image_size=56))
    with pytest.raises(DataError, match="expected"):
        VisionEncoder(swin, "cpu", processor=Recipe()).encode(pictures)


def test_a_folder_without_processor_or_model(tmp_path):
    random_model("ViT").save_pretrained(tmp_path)
    with pytest.raises(DataError, match="cannot be loaded"):
        VisionEncoder(tmp_path, "cpu")
    assert VisionEncoder(tmp_path, "cpu", processor=Recipe()).dim == 16
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="cannot be loaded"):
        VisionEncoder(tmp_path / "empty", "cpu")


@pytest.mark.parametrize("model", ["nobody/no-such-model", "/no/such/folder"])
def test_unknown_models_say_what_to_do(model):
    with pytest.raises(DataError, match="folder of a saved model"):
        VisionEncoder(model, "cpu")


def test_a_processor_that_takes_the_nearest_pixel_is_obeyed(pictures):
    class Nearest(Recipe):
        resample = 0  # Pillow's number of "nearest" is no lack of one

    model = random_model("ViT")
    given = VisionEncoder(model, "cpu", processor=Nearest()).preprocess(pictures[0])
    pixels = np.asarray(pictures[0].resize((56, 56), Image.Resampling.NEAREST), dtype=np.float32) / 255
    expected = (pixels - np.float32(Recipe.image_mean)) / np.float32(Recipe.image_std)  # [56, 56, 3]
    assert torch.allclose(given, torch.from_numpy(expected).permute(2, 0, 1), atol=1e-6)
