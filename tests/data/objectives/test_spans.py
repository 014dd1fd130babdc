"""Span corruption: input and target hold the text between them, at the paper's lengths."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainformer.data.objectives.spans import SpanCorruption
from plainformer.errors import ConfigError

from .tokenizers import draws, ids_of, vocabulary

OPTIONS = {"noise_density": st.floats(0.05, 0.9), "mean_span_length": st.floats(1, 6)}


def restored(example, sentinels):
    """The text that input and labels stand for: each sentinel replaced by what it names."""
    ids, labels = example["input_ids"].tolist()[:-1], example["labels"].tolist()[:-1]
    spans: dict[int, list[int]] = {}
    for token in labels:
        if token in sentinels:
            span = spans.setdefault(token, [])
        else:
            span.append(token)
    return [t for token in ids for t in (spans[token] if token in sentinels else [token])], spans


@settings(deadline=None, max_examples=60)
@given(length=st.integers(1, 120), example=st.integers(0, 2**40), **OPTIONS)
def test_input_and_labels_hold_the_text(length, example, noise_density, mean_span_length):
    vocab = vocabulary("bpe", "span")
    options = {"noise_density": noise_density, "mean_span_length": mean_span_length}
    objective = SpanCorruption(vocab, 60, **options)
    text = ids_of("bpe", "span")[:length]
    got = objective(text, draws(example))
    noise, spans = objective.counts(length)
    if spans > 100:
        return
    sentinels = vocab.sentinels[:spans].tolist()
    text_again, found = restored(got, sentinels)
    assert text_again == text.tolist()
    assert list(found) == sentinels  # in order, <extra_id_0> first
    assert all(found.values())
    assert sum(map(len, found.values())) == noise
    assert len(got["input_ids"]) == length - noise + spans + 1
    assert len(got["labels"]) == noise + spans + 1
    assert got["input_ids"][-1] == got["labels"][-1] == vocab.end
    assert got["input_ids"].dtype == got["labels"].dtype == np.int32
    inside = np.isin(got["input_ids"], sentinels)
    assert not (inside[1:] & inside[:-1]).any()


def test_lengths_are_t5s():
    """512 tokens of input stand for 568 of text and 114 of labels at density 0.15 and mean 3."""
    objective = SpanCorruption(vocabulary("bpe", "span"), 512)
    assert objective.text_size(512) == 568
    text = np.resize(ids_of("bpe", "span"), 568)
    got = objective(text, draws())
    assert (len(got["input_ids"]), len(got["labels"])) == (512, 114)


@settings(deadline=None, max_examples=60)
@given(block=st.integers(2, 300), **OPTIONS)
def test_a_block_has_room_for_input_and_labels(block, noise_density, mean_span_length):
    objective = SpanCorruption(vocabulary("bpe", "span"), 8)
    objective.density, objective.mean = noise_density, mean_span_length
    length = objective.text_size(block)

    def longest(n):
        noise, spans = objective.counts(n)
        return max(n - noise, noise) + spans + 1

    assert length >= 1 or block == 2
    assert longest(length) <= block or length == 0
    assert longest(length + 1) > block


def test_spans_stand_anywhere():
    """Places inside equally often; the two ends, which fewer spans can reach, half as often."""
    objective = SpanCorruption(vocabulary("bpe", "span"), 20, noise_density=0.3)
    text = np.arange(200, 220, dtype=np.int32)
    counts = np.zeros(20)
    for i in range(2000):
        counts[np.isin(text, objective(text, draws(i))["labels"])] += 1
    assert abs(counts.mean() / 2000 - 0.3) < 1e-9
    assert 0.1 < counts.min() / 2000 < counts.max() / 2000 < 0.4
    assert counts[3:-3].min() / 2000 > 0.3


@pytest.mark.parametrize(
    ("kind", "objective", "options", "message"),
    [
        ("bpe", "span", {"noise_density": 0}, "noise_density: got 0"),
        ("bpe", "span", {"noise_density": 1.0}, "noise_density: got 1.0"),
        ("bpe", "span", {"mean_span_length": 0.5}, "mean_span_length: got 0.5"),
        ("bpe", "clm", {}, "has 0 sentinels <extra_id_0>, ..., but a block of 3000"),
        ("bpe", "span", {}, "has 100 sentinels <extra_id_0>, ..., but a block of 3000"),
        ("char", "clm", {}, "has no end-of-text token"),
    ],
)
def test_what_does_not_fit_is_said(kind, objective, options, message):
    with pytest.raises(ConfigError, match=message):
        SpanCorruption(vocabulary(kind, objective), 3000, **options)
