"""Texts to features: shapes, order, resuming, and what is refused."""

import pytest
import torch
from fake_encoders import FakeTextEncoder

from mmkg.encoders import encode_texts
from mmkg.errors import DataError, NumericsError

TEXTS = [[f"Sentence {s} of entity {i}." for s in range(i % 6)] for i in range(60)]  # 0 to 5 sentences, 6 batches


def expected(sentence: str) -> torch.Tensor:
    return FakeTextEncoder().encode([sentence])[0].half()


def test_every_sentence_is_in_its_place():
    features = encode_texts(TEXTS, FakeTextEncoder(), batch_size=7, progress=False)
    present = [i for i, t in enumerate(TEXTS) if t]
    assert features.shape == (len(present), 4, 5)
    assert features.values.dtype == torch.float16
    assert features.boxes is None
    assert features.present.nonzero().flatten().tolist() == present
    values, mask = features.gather(torch.arange(len(TEXTS)))
    for i, sentences in enumerate(TEXTS):
        assert mask[i].tolist() == [s < len(sentences) for s in range(4)]
        for s, sentence in enumerate(sentences[:4]):
            torch.testing.assert_close(values[i, s].half(), expected(sentence), rtol=0, atol=0)
        assert not features.present[i] or (features.values[features.row[i], len(sentences[:4]) :] == 0).all()
    about = features.provenance
    assert (about["entities"], about["present"], about["absent"]) == (60, 50, 10)
    assert about["sentences_dropped"] == 10
    assert about["sentences"] == int(features.mask.sum())


@pytest.mark.parametrize("batch_size", [1, 13, 1000])
def test_batch_size_changes_nothing(batch_size):
    one = encode_texts(TEXTS, FakeTextEncoder(), batch_size=7, progress=False)
    other = encode_texts(TEXTS, FakeTextEncoder(), batch_size=batch_size, progress=False)
    assert torch.equal(one.values, other.values)
    assert torch.equal(one.mask, other.mask)
    assert torch.equal(one.row, other.row)


def test_equal_sentences_are_encoded_once():
    encoder = FakeTextEncoder()
    features = encode_texts([["same"], ["same", " same "], ["other"]] * 20, encoder, batch_size=4, progress=False)
    assert sorted(encoder.seen) == ["other", "same"]
    assert features.provenance["distinct"] == features.provenance["encoded"] == 2


def test_a_stopped_run_goes_on_where_it_was(tmp_path):
    stopped = FakeTextEncoder(stop_at=3)
    with pytest.raises(KeyboardInterrupt):
        encode_texts(TEXTS, stopped, cache=tmp_path, batch_size=16, progress=False)
    assert len(stopped.seen) == 32
    rest = FakeTextEncoder()
    features = encode_texts(TEXTS, rest, cache=tmp_path, batch_size=16, progress=False)
    everything = {s for t in TEXTS for s in t[:4]}
    assert sorted(stopped.seen + rest.seen) == sorted(everything)
    assert torch.equal(features.values, encode_texts(TEXTS, FakeTextEncoder(), progress=False).values)
    again = FakeTextEncoder()
    assert encode_texts(TEXTS, again, cache=tmp_path, progress=False).provenance["encoded"] == 0
    assert again.calls == 0


def test_another_encoder_shares_nothing(tmp_path):
    encode_texts(TEXTS, FakeTextEncoder(), cache=tmp_path, progress=False)
    other = FakeTextEncoder()
    other.fingerprint = "fake-text-2"
    encode_texts(TEXTS, other, cache=tmp_path, progress=False)
    assert other.calls > 0


@pytest.mark.parametrize("texts", [[], [[], []], [["", "  "]]])
def test_no_text_at_all(texts):
    features = encode_texts(texts, FakeTextEncoder(), progress=False)
    assert features.shape == (0, 4, 5)
    assert not features.present.any()
    values, mask = features.gather(torch.arange(len(texts)))
    assert values.shape == (len(texts), 4, 5)
    assert not mask.any()


def test_odd_characters(tmp_path):
    texts = [["\ud800 a lone surrogate", "Zoë", "日本", "😀"]]
    encoder = FakeTextEncoder()
    encoder.encode = lambda sentences: torch.ones(len(sentences), 5)
    assert encode_texts(texts, encoder, cache=tmp_path, progress=False).mask.all()


@pytest.mark.parametrize("texts", [["not a list"], [["fine"], [1]]])
def test_texts_that_are_no_lists_of_strings_are_refused(texts):
    with pytest.raises(DataError, match="split_sentences"):
        encode_texts(texts, FakeTextEncoder(), progress=False)


@pytest.mark.parametrize("options", [{"max_sentences": 0}, {"batch_size": 0}])
def test_numbers_out_of_range(options):
    with pytest.raises(DataError, match="at least 1"):
        encode_texts(TEXTS, FakeTextEncoder(), progress=False, **options)


@pytest.mark.parametrize(("value", "said"), [(70_000.0, "65504"), (float("nan"), "nan"), (float("inf"), "inf")])
def test_values_that_float16_cannot_hold_are_an_error(value, said):
    encoder = FakeTextEncoder()
    whole = encoder.encode
    encoder.encode = lambda sentences: (
        whole(sentences) + torch.tensor([value if "bad" in s else 0 for s in sentences])[:, None]
    )
    with pytest.raises(NumericsError, match=rf"{said}.*'the bad one'"):
        encode_texts([["good"], ["fine", "the bad one"]], encoder, progress=False)


def test_progress_bar_is_silent_on_request(capsys):
    encode_texts(TEXTS, FakeTextEncoder(), progress=False)
    assert capsys.readouterr().err == ""
    encode_texts(TEXTS, FakeTextEncoder(), progress=True)
    assert "fake-text" in capsys.readouterr().err
