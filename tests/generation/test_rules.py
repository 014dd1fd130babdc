"""Rules of arguments: values are read once, ids are those of the vocabulary, memory is lazy."""

from typing import Any

import numpy as np
import pytest

from plainformer.errors import ConfigError, DTypeError, ShapeError
from plainformer.generation import GenerationConfig, beam_search, context, decode
from plainformer.generation.call import Call
from plainformer.generation.config import OPTIONS
from plainformer.generation.processors import bounded_power
from plainformer.nn import KeyValueCache
from plainformer.options import options_of
from tests.models.tiny import make

from .toy import decoder, encoder_decoder

PROMPT = [[3, 7, 12], [4, 9, 1]]


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("num_beams", np.int64(3), 3),
        ("temperature", np.float32(0.5), 0.5),
        ("length_penalty", 2, 2.0),
        ("do_sample", np.True_, True),
        ("eos_token_id", np.array([3, 4]), [3, 4]),
        ("eos_token_id", np.int32(3), [3]),
        ("sequence_bias", {(1, 2): np.float32(-1)}, [([1, 2], -1.0)]),
        ("exponential_decay_length_penalty", [np.int8(2), 3], (2, 3.0)),
    ],
)
def test_values_are_read_as_plain_ones(name, value, read):
    found = OPTIONS[name].read(value)
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exponential_decay_length_penalty": 5}, r"got 5, expected \(new tokens, factor\)"),
        ({"eos_token_id": [[1], [2, 3]]}, r"got \[\[1\], \[2, 3\]\], expected ids of at least 0"),
        ({"eos_token_id": 31}, "got id 31, the vocabulary has 31 ids"),
        ({"pad_token_id": 31}, "got id 31, the vocabulary has 31 ids"),
        ({"bos_token_id": 31, "input_ids": None}, "got id 31, the vocabulary has 31 ids"),
        ({"sequence_bias": [[[40], 1.0]]}, "got id 40, the vocabulary has 31 ids"),
        ({"sequence_bias": [[[], 1.0]]}, r"expected \[\[ids, float\], ...\]"),
        ({"sequence_bias": [[[1], np.nan]]}, r"expected \[\[ids, float\], ...\]"),
        ({"generation_config": {}}, "got {}, expected a GenerationConfig; options of a dict"),
        ({"max_new_tokens": 10**12}, "got 1000000000000, expected int, at least 1"),
        ({"max_time": np.nan}, "got nan, expected float, above 0"),
        ({"repetition_penalty": 1e300}, "expected float, at least 1e-09 and at most 1000000000"),
        ({"num_beams": 10**6}, "expected int, at least 1 and at most 4096"),
        (
            {"seed": 2**64, "do_sample": True},
            "expected int, at least 0 and at most 18446744073709551615",
        ),
        ({"early_stopping": np.ones(2)}, "expected bool or 'never' or None"),
        ({"logits_processor": len}, "expected a list of callables"),
        ({"stopping_criteria": 5}, "expected a list of callables"),
        ({"prefix_allowed_tokens_fn": [1]}, "expected a callable"),
        ({"tokenizer": 5, "stop_strings": "a"}, "expected an object with decode"),
        ({"streamer": 5}, "expected an object with put, end"),
        ({"past_key_values": {}}, "expected an object with batch, capacity, lengths, reorder"),
        ({"typical_p": np.ones(2)}, "which is not supported"),
        ({"length_penalty": 10**400, "num_beams": 2}, "expected float, a finite number"),
    ],
    ids=str,
)
def test_a_wrong_value_is_named(options, message):
    name = next(iter(options))
    with pytest.raises(ConfigError, match=f"{name}: .*{message}"):
        decoder().generate(**{"input_ids": PROMPT, **options})


@pytest.mark.parametrize("penalty", [10**12, -(10**12), 1e300, 40, -40])
def test_a_huge_length_penalty_is_no_integer_power(penalty):
    rows = decoder().generate(PROMPT, 6, num_beams=3, length_penalty=penalty, eos_token_id=[2, 5])
    assert rows.shape[0] == 2
    assert np.isfinite(bounded_power(7.0, float(penalty)))
    assert bounded_power(7.0, 2.0) == 49.0


def test_what_callables_return_is_looked_at():
    model = decoder()
    for own in (lambda ids, x: x[:1], lambda ids, x: None):
        with pytest.raises(ShapeError, match="logits_processor: returned"):
            model.generate(PROMPT, 3, logits_processor=[own])
    with pytest.raises(ShapeError, match=r"stopping_criteria: returned \(5,\)"):
        model.generate(PROMPT, 3, stopping_criteria=[lambda ids, scores: [True] * 5])
    for own in (lambda i, ids: [99], lambda i, ids: "a", lambda i, ids: [[1]]):
        with pytest.raises(ConfigError, match="prefix_allowed_tokens_fn: got"):
            model.generate(PROMPT, 3, prefix_allowed_tokens_fn=own)


@pytest.mark.parametrize("ids", ["abc", {"a": 1}, [[1.5]], [["a"]], [[[1], [2, 3]]], object()])
def test_prompts_of_another_kind_are_named(ids):
    with pytest.raises((DTypeError, ShapeError), match="input_ids: got"):
        decoder().generate(ids, 3)
    with pytest.raises((DTypeError, ShapeError), match="attention_mask"):
        decoder().generate(PROMPT, 3, attention_mask=ids)


def test_ids_of_files_that_mean_none_are_none():
    model = decoder(eos_token_id=50256, pad_token_id=-1)
    wanted = decoder().generate([[3, 7], [4, 9]], 5)
    np.testing.assert_array_equal(model.generate([[3, 7], [4, 9]], 5), wanted)
    model.generation_config = GenerationConfig(eos_token_id=[99, 5], pad_token_id=77)
    rows = model.generate([[3, 7], [4, 9]], 20)
    same = decoder().generate([[3, 7], [4, 9]], 20, eos_token_id=5)
    np.testing.assert_array_equal(rows, same)


def test_scores_that_are_kept_change_no_draw():
    """They are filtered, and what is drawn from is filtered once."""
    options = {"do_sample": True, "temperature": 0.5, "top_k": 6, "seed": 3}
    plain = decoder().generate(PROMPT, 10, **options)
    for extra in ({}, {"renormalize_logits": True}):
        kept = decoder().generate(
            PROMPT, 10, return_dict_in_generate=True, output_scores=True, **options, **extra
        )
        np.testing.assert_array_equal(kept.sequences, plain)
        for scores, column in zip(kept.scores, kept.sequences[:, 3:].T):
            assert (np.isfinite(scores).sum(axis=1) == 6).all()
            assert np.isfinite(scores[np.arange(2), column]).all()


class TestLength:
    """Any number of tokens may be asked for; memory is taken as they are written."""

    @pytest.mark.parametrize(
        "options", [{}, {"do_sample": True, "seed": 2}, {"num_beams": 3}], ids=str
    )
    @pytest.mark.parametrize("make_model", [decoder, encoder_decoder])
    def test_room_that_grows_changes_no_token(self, make_model, options, monkeypatch):
        model = make_model()
        wanted = model.generate(PROMPT, 12, eos_token_id=[2, 5], **options)
        for module in (decode, beam_search):
            monkeypatch.setattr(module, "FIRST_COLUMNS", 2)
        monkeypatch.setattr(context, "FIRST_CAPACITY", 2)
        found = model.generate(PROMPT, 12, eos_token_id=[2, 5], **options)
        np.testing.assert_array_equal(found, wanted)
        assert found.shape[1] > 6  # so that the room has grown

    @pytest.mark.parametrize("beams", [1, 3])
    def test_room_of_t5_grows(self, beams, monkeypatch):
        model = make("t5", "seq2seq-lm", eos_token_id=None)
        wanted = model.generate(PROMPT, 15, num_beams=beams)
        monkeypatch.setattr(context, "FIRST_CAPACITY", 3)
        np.testing.assert_array_equal(model.generate(PROMPT, 15, num_beams=beams), wanted)

    @pytest.mark.parametrize("beams", [1, 2])
    def test_two_billion_tokens_may_be_asked_for(self, beams):
        model = make("t5", "seq2seq-lm", eos_token_id=None)
        stop = [lambda ids, scores: ids.shape[1] >= 5]
        rows = model.generate(PROMPT, 2**31 - 1, num_beams=beams, stopping_criteria=stop)
        assert rows.shape == (2, 5)
        steps = decoder().stream([3], 2**31 - 1)
        assert [len(next(steps)) for _ in range(20)] == [1] * 20

    def test_a_cache_that_grows_keeps_what_it_holds(self):
        model = decoder()
        cache, large = model.new_cache(2, 4), model.new_cache(2, 9)
        for one in (cache, large):
            model.next_logits(np.array(PROMPT), one)
        cache.grow(9)
        assert cache.capacity == 9
        for token in (5, 6, 7):
            new = np.full((2, 1), token)
            found, wanted = (model.next_logits(new, one) for one in (cache, large))
            np.testing.assert_array_equal(found, wanted)
        assert isinstance(cache, KeyValueCache)


def test_every_rule_says_what_it_wants():
    for name, option in (OPTIONS | options_of(Call)).items():
        if option.kind is Any and option.rule is None:
            continue  # ids, which have errors of their own
        with pytest.raises(ConfigError) as error:
            option.read(...)
        assert str(error.value) == f"{name}: got Ellipsis, expected {option.wanted}"
