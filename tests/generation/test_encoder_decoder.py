"""Encoder-decoders: targets are as without a cache, and sources are read once."""

import numpy as np
import pytest

from plainformer.errors import ConfigError

from .toy import encoder_decoder


@pytest.fixture
def model():
    return encoder_decoder()


@pytest.fixture
def sources(rng):
    return rng.integers(3, 31, (3, 6))


def test_greedy_takes_the_most_probable_token(model, sources):
    found = model.generate(sources, 5)
    assert (found[:, 0] == 2).all()
    for length in range(1, 6):
        logits = model(sources, decoder_input_ids=found[:, :length]).logits.data
        np.testing.assert_array_equal(found[:, length], logits[:, -1].argmax(axis=-1))


@pytest.mark.parametrize(
    "options",
    [{}, {"num_beams": 3}, {"do_sample": True, "seed": 0}, {"eos_token_id": [5, 6]}],
    ids=str,
)
def test_the_cache_changes_no_token(model, sources, options):
    cached, plain = (
        model.generate(sources, 9, use_cache=use, pad_token_id=0, **options)
        for use in (True, False)
    )
    np.testing.assert_array_equal(cached, plain)


def test_sources_and_their_keys_are_computed_once_for_all_beams(model, sources):
    model.generate(sources, 9, num_beams=4)
    assert (model.encodings, model.cross_keys) == (3, 1)


def test_padding_and_lists_of_sources(model, sources):
    rows = [row[:n] for row, n in zip(sources, (6, 2, 4))]
    right, left = np.zeros((3, 6), int), np.zeros((3, 6), int)
    for i, row in enumerate(rows):
        right[i, : len(row)] = left[i, 6 - len(row) :] = row
    for options in ({}, {"num_beams": 2}, {"encoder_no_repeat_ngram_size": 1}):
        wanted = [model.generate(row, 6, **options) for row in rows]
        for given, mask in ((right, right > 0), (left, left > 0), (rows, None)):
            found = model.generate(given, 6, attention_mask=mask, **options)
            np.testing.assert_array_equal(found, wanted)


def test_targets_begin_as_asked(model, sources):
    plain = model.generate(sources, 6)
    with_start = np.concatenate([np.full((3, 1), 2), plain[:, 1:3]], axis=1)
    for begin in (plain[:, 1:3], with_start):
        found = model.generate(sources, 4, decoder_input_ids=begin)
        np.testing.assert_array_equal(found, plain)
    other = model.generate(sources, 4, decoder_start_token_id=9)
    assert (other[:, 0] == 9).all()
    assert (other[:, 1:] != plain[:, 1:5]).any()
    model.config.decoder_start_token_id = None
    np.testing.assert_array_equal(model.generate(sources, 4, bos_token_id=9), other)


def test_lengths_count_the_start_token(model, sources):
    assert model.generate(sources).shape == (3, 21)
    assert model.generate(sources, max_length=5).shape == (3, 5)


def test_several_targets_of_a_source(model, sources):
    found = model.generate(
        sources, 6, do_sample=True, seed=0, num_return_sequences=3, temperature=3.0
    )
    assert found.shape == (9, 7)
    assert len({tuple(row) for row in found[:3].tolist()}) > 1
    one = model.generate(
        sources[0], 6, do_sample=True, seed=0, num_return_sequences=3, temperature=3.0
    )
    assert one.shape == (3, 7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": 60}, "max_new_tokens: a row would have 61 tokens.*encoder-decoder"),
        ({"input_ids": None}, "input_ids: got None, expected the ids of source texts"),
        ({"decoder_input_ids": [[1], [2]]}, "decoder_input_ids: got 2 rows, expected 3"),
        ({"decoder_input_ids": [[1], [2, 3], [4]]}, "decoder_input_ids: got 3 rows, .*one length"),
        ({"decoder_start_token_id": 1, "bos_token_id": 1}, "bos_token_id: has no effect beside"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(model, sources, options, message):
    with pytest.raises(ConfigError, match=message):
        model.generate(**{"input_ids": sources, **options})


def test_a_missing_start_is_named(sources):
    model = encoder_decoder(decoder_start_token_id=None)
    with pytest.raises(ConfigError, match="decoder_start_token_id: got None"):
        model.generate(sources)
