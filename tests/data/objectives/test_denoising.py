"""Denoising: the input is the text with spans filled by one mask each, sentences shuffled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainformer.data.objectives.denoising import Denoising
from plainformer.errors import ConfigError

from .tokenizers import draws, ids_of, vocabulary


def inner(vocab, ids):
    """Without the frame."""
    assert ids[: len(vocab.prefix)].tolist() == vocab.prefix.tolist()
    assert ids[len(ids) - len(vocab.suffix) :].tolist() == vocab.suffix.tolist()
    return ids[len(vocab.prefix) : len(ids) - len(vocab.suffix)]


def is_subsequence(part, whole):
    rest = iter(whole)
    return all(token in rest for token in part)


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
@settings(deadline=None, max_examples=60)
@given(
    length=st.integers(1, 120),
    example=st.integers(0, 2**40),
    density=st.floats(0.05, 0.95),
    mean=st.floats(1, 6),
)
def test_labels_are_the_text_and_inputs_what_is_left(kind, length, example, density, mean):
    vocab = vocabulary(kind, "denoise")
    text = ids_of(kind, "denoise")[:length]
    objective = Denoising(vocab, noise_density=density, mean_span_length=mean)
    got = objective(text, draws(example))
    assert inner(vocab, got["labels"]).tolist() == text.tolist()
    damaged = inner(vocab, got["input_ids"])
    masks = damaged == vocab.mask
    assert masks.any()
    assert not (masks[1:] & masks[:-1]).any()
    kept = damaged[~masks]
    assert is_subsequence(kept.tolist(), text.tolist())
    assert len(kept) >= length - max(1, round(density * length))
    assert len(damaged) <= max(length, 1)
    assert got["input_ids"].dtype == got["labels"].dtype == np.int32


def test_the_share_and_the_lengths_are_the_papers():
    vocab, count = vocabulary("bpe", "denoise"), 20_000
    text = np.arange(count, dtype=np.int32) + 1000  # each token known by its place
    damaged = inner(vocab, Denoising(vocab)(text, draws())["input_ids"])
    kept = damaged[damaged != vocab.mask]
    assert len(kept) == round(0.7 * count)
    gaps = np.diff(kept) - 1
    places = np.flatnonzero(damaged == vocab.mask)
    assert abs((count - len(kept)) / len(places) - 3) < 0.1  # tokens a mask
    lengths = gaps[places[1:-1] - np.arange(1, len(places) - 1) - 1]
    assert abs(lengths.var() - 3) < 0.3  # Poisson: variance is the mean
    assert abs((lengths == 0).mean() - np.exp(-3)) < 0.01  # masks put in


def test_sentences_are_shuffled_and_stay_whole():
    vocab = vocabulary("bpe", "denoise")
    text = ids_of("bpe", "denoise")[:100]
    objective = Denoising(vocab, noise_density=1e-9, permute_sentences=True)
    cuts = np.flatnonzero(vocab.ends_sentence[text[:-1]]) + 1
    sentences = sorted(tuple(s) for s in np.split(text, cuts))
    assert len(sentences) > 4
    shuffled = [objective._permuted(text, draws(i)) for i in range(3)]
    assert len({tuple(s) for s in shuffled}) == 3
    for row in shuffled:
        assert sorted(row) == sorted(text)
        joined = ",".join(map(str, row))
        assert all(",".join(map(str, s)) in joined for s in sentences)
    plain = Denoising(vocab)(text, draws())["labels"]
    assert objective(text, draws())["labels"].tolist() == plain.tolist()
    assert objective(text, draws())["input_ids"].tolist() != plain.tolist()


def test_room_for_the_frame():
    assert Denoising(vocabulary("bpe", "denoise")).text_size(10) == 8


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("bpe", {"noise_density": 2}, "noise_density: got 2"),
        ("bpe", {"mean_span_length": 0}, "mean_span_length: got 0"),
        ("char", {}, "which objective denoise needs"),
    ],
)
def test_what_does_not_fit_is_said(kind, options, message):
    with pytest.raises(ConfigError, match=message):
        Denoising(vocabulary(kind, "denoise"), **options)
