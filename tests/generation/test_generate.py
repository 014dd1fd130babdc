"""Decoding: cached equals uncached, sampling follows its options and seed, rows end."""

import numpy as np
import pytest

from plainformer.errors import ConfigError, DTypeError, NonFiniteError, ShapeError
from plainformer.generation import TextStreamer
from plainformer.models import GPT2Config, GPT2LMHeadModel
from plainformer.nn import KeyValueCache

from .toy import SIZES, Words, decoder


@pytest.fixture(scope="module")
def model():
    return decoder()


@pytest.fixture
def prompts(rng):
    return rng.integers(0, 31, (3, 5))


class TestCache:
    def test_logits_equal_those_without_a_cache(self, model, rng):
        ids = rng.integers(0, 31, (2, 16))
        whole = model(ids).logits.data
        cache, start = KeyValueCache(2, 2, 16), 0
        for length in (5, 1, 1, 3, 6):  # a prompt, single tokens, and chunks after a prompt
            part = model(ids[:, start : start + length], cache=cache).logits.data
            np.testing.assert_allclose(part, whole[:, start : start + length], atol=1e-5)
            start += length
        assert cache.lengths.tolist() == [16, 16]

    @pytest.mark.parametrize("options", [{}, {"do_sample": True, "seed": 3}], ids=str)
    @pytest.mark.parametrize("new_tokens", [1, 11, 40], ids=["one", "to the end", "far beyond"])
    def test_tokens_equal_those_without_a_cache(self, model, prompts, options, new_tokens):
        cached, plain = (
            model.generate(prompts, new_tokens, use_cache=use, **options) for use in (True, False)
        )
        np.testing.assert_array_equal(cached, plain)
        assert cached.shape == (3, 5 + new_tokens)

    def test_more_tokens_than_positions_are_refused(self, model, prompts):
        cache = KeyValueCache(2, 3, 20)
        model(prompts, cache=cache)
        with pytest.raises(ShapeError, match=r"got 17 tokens in a sequence.*n_positions = 16"):
            model(np.zeros((3, 12), int), cache=cache)

    def test_left_padded_rows_equal_rows_alone(self, model, prompts):
        mask = np.ones_like(prompts)
        mask[1, :3] = 0
        cache = model.new_cache(3, 16)
        model(prompts, mask, cache=cache)
        y = model(prompts[:, :2], cache=cache).logits.data
        alone = model.new_cache(1, 16)
        model(prompts[1:2, 3:], cache=alone)
        assert y[1:2].tobytes() == model(prompts[1:2, :2], cache=alone).logits.data.tobytes()


class TestGenerate:
    def test_greedy_takes_the_most_probable_token(self, model, prompts):
        ids = model.generate(prompts, 3)
        for end in (5, 6, 7):
            wanted = model(ids[:, :end]).logits.data[:, -1].argmax(axis=-1)
            np.testing.assert_array_equal(ids[:, end], wanted)
        np.testing.assert_array_equal(ids[:, :5], prompts)

    def test_one_row_comes_back_as_one_row(self, model, prompts):
        one = model.generate(prompts[0].tolist(), 3)
        np.testing.assert_array_equal(one, model.generate(prompts, 3)[0])
        assert one.dtype == np.int64

    def test_two_calls_draw_two_texts_and_tell_their_seeds(self, model, prompts, caplog):
        options = {"do_sample": True, "temperature": 5.0}
        told = {"return_dict_in_generate": True}
        with caplog.at_level("INFO", "plainformer"):
            one, two = (model.generate(prompts, 9, **options, **told) for _ in range(2))
        assert one.seed != two.seed
        assert not np.array_equal(one.sequences, two.sequences)
        assert [f"seed={output.seed}" in caplog.text for output in (one, two)] == [True, True]
        for output in (one, two):
            again = model.generate(prompts, 9, seed=output.seed, **options)
            np.testing.assert_array_equal(again, output.sequences)
        assert model.generate(prompts, 9, seed=7, **options, **told).seed == 7
        assert model.generate(prompts, 9, **told).seed is None
        beams = model.generate(prompts, 9, num_beams=2, **options, **told)
        again = model.generate(prompts, 9, num_beams=2, seed=beams.seed, **options)
        np.testing.assert_array_equal(again, beams.sequences)
        one, two = (np.concatenate(list(model.stream(prompts[0], 9, **options))) for _ in range(2))
        assert not np.array_equal(one, two)

    def test_the_seed_decides_what_is_drawn(self, model, prompts):
        first, again, other = (
            model.generate(prompts, 9, do_sample=True, seed=seed).tolist() for seed in (1, 1, 2)
        )
        assert first == again
        assert first != other

    def test_one_candidate_is_greedy(self, model, prompts):
        greedy = model.generate(prompts, 5)
        for options in ({"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-4}):
            drawn = model.generate(prompts, 5, do_sample=True, **options)
            np.testing.assert_array_equal(drawn, greedy)

    def test_an_ended_row_is_padded_while_others_go_on(self, model, prompts):
        free = model.generate(prompts, 8)
        end = int(free[0, 6])
        ended = model.generate(prompts, 8, eos_token_id=end, pad_token_id=30)
        for row, plain in zip(ended, free):
            stop = [*np.flatnonzero(plain[5:] == end), len(plain) - 6][0] + 6
            np.testing.assert_array_equal(row[:stop], plain[:stop])
            assert np.all(row[stop:] == 30)
        padded = model.generate(prompts, 8, eos_token_id=[end])
        assert padded[0, -1] == end  # without a padding id the end itself fills up

    def test_generation_stops_when_all_rows_have_ended(self, model, prompts):
        end = int(model.generate(prompts[0], 1)[-1])
        assert len(model.generate(prompts[0], 20, eos_token_id=end)) == 6

    def test_the_configuration_ends_rows_too(self, prompts):
        config = GPT2Config(**SIZES, initializer_range=0.5, eos_token_id=None)
        model = GPT2LMHeadModel(config, seed=4)
        config.eos_token_id = int(model.generate(prompts[0], 1)[-1])
        assert len(model.generate(prompts[0], 20)) == 6
        assert len(model.generate(prompts[0], 20, eos_token_id=())) == 25

    def test_a_streamer_gets_prompt_and_tokens(self, model, prompts):
        class Recorder:
            def __init__(self):
                self.values, self.ended = [], False

            def put(self, value):
                self.values.append(value.copy())

            def end(self):
                self.ended = True

        recorder = Recorder()
        ids = model.generate(prompts, 4, streamer=recorder)
        assert recorder.ended
        np.testing.assert_array_equal(recorder.values[0], prompts)
        np.testing.assert_array_equal(np.stack(recorder.values[1:], axis=1), ids[:, 5:])

    def test_the_mode_is_left_as_it_was_and_dropout_is_off(self, prompts):
        model = GPT2LMHeadModel(GPT2Config(**SIZES), seed=1)
        first = model.generate(prompts, 4)
        assert model.training
        np.testing.assert_array_equal(first, model.eval().generate(prompts, 4))
        assert not model.training

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"temperature": 0.5}, "temperature: has no effect without do_sample=True"),
            ({"top_k": 3}, "top_k: has no effect"),
            ({"top_p": 0.5}, "top_p: has no effect"),
            ({"seed": 3}, "seed: has no effect"),
            ({"do_sample": True, "temperature": 0.0}, "temperature: got 0.0"),
            ({"do_sample": True, "top_k": 0}, "top_k: got 0"),
            ({"do_sample": True, "top_p": 1.5}, "top_p: got 1.5"),
            ({"max_new_tokens": 0}, "max_new_tokens: got 0"),
            ({"max_new_tokens": 2.5}, "max_new_tokens: got 2.5"),
            ({"max_new_tokens": 3, "max_length": 9}, "max_length: has no effect beside"),
            ({"max_length": 2}, "max_length: got 2, but 2 tokens are there"),
            ({"min_new_tokens": 2}, "min_new_tokens: has no effect without an eos_token_id"),
            ({"do_sample": "false"}, "do_sample: got 'false', expected bool"),
            ({"repetition_penalty": "2"}, "repetition_penalty: got '2', expected float"),
            ({"num_beams": True}, "num_beams: got True, expected int"),
            ({"do_sample": True, "seed": -1}, "seed: got -1"),
            ({"num_beams": 0}, "num_beams: got 0"),
            ({"length_penalty": 2.0}, "length_penalty: has no effect without num_beams"),
            ({"early_stopping": True}, "early_stopping: has no effect without num_beams"),
            ({"num_beams": 2, "early_stopping": "soon"}, "early_stopping: got 'soon'"),
            ({"num_return_sequences": 2}, "num_return_sequences: got 2, but greedy"),
            ({"num_beams": 2, "num_return_sequences": 3}, "expected at most num_beams 2"),
            ({"num_beams": 2, "max_new_tokens": 40}, "max_new_tokens: a row would have 42"),
            ({"do_sample": True, "min_p": 2.0}, "min_p: got 2.0"),
            ({"repetition_penalty": 0.0}, "repetition_penalty: got 0.0"),
            ({"no_repeat_ngram_size": -1}, "no_repeat_ngram_size: got -1"),
            ({"output_scores": True}, "output_scores: has no effect without return_dict"),
            ({"renormalize_logits": True}, "renormalize_logits: has no effect"),
            ({"bos_token_id": 1}, "bos_token_id: has no effect beside input_ids"),
            ({"decoder_start_token_id": 1}, "decoder_start_token_id: has no effect"),
            ({"decoder_input_ids": [1]}, "decoder_input_ids: has no effect"),
            ({"tokenizer": Words()}, "tokenizer: has no effect without stop_strings"),
            ({"stop_strings": "x"}, "tokenizer: got None"),
            ({"stop_strings": [""], "tokenizer": Words()}, "stop_strings: got"),
            ({"bad_words_ids": [3]}, "bad_words_ids: got .3., expected a list of lists"),
            ({"bad_words_ids": [[31]]}, "bad_words_ids: got id 31, the vocabulary has 31"),
            ({"suppress_tokens": [-1]}, r"suppress_tokens: got \[-1\]"),
            ({"sequence_bias": [[3]]}, "sequence_bias: got"),
            ({"eos_token_id": "x"}, "eos_token_id: got 'x'"),
            ({"force_words_ids": [[1] * 30]}, "force_words_ids: 30 tokens"),
            (
                {"penalty_alpha": 0.6},
                "penalty_alpha: got 0.6, which is not supported; that is contrast",
            ),
            (
                {"num_beam_groups": 2},
                "num_beam_groups: got 2, which is not supported; that is group",
            ),
            ({"typical_p": 0.5}, "typical_p: got 0.5, which is not supported"),
            (
                {"temprature": 0.5},
                "temprature: not an argument of generate; did you mean temperature",
            ),
            ({"num_beams": 2, "streamer": TextStreamer(Words(), print)}, "streamer: beam search"),
        ],
        ids=str,
    )
    def test_options_without_effect_or_sense_are_refused(self, model, options, message):
        with pytest.raises(ConfigError, match=message):
            model.generate([1, 2], **options)

    @pytest.mark.parametrize(
        ("prompt", "error", "message"),
        [
            ([[1, 2], [0.5]], DTypeError, "got dtype float64"),
            ([[1, 2], []], ShapeError, "at least one token"),
            ([[1, 2], [[3], [4]]], ShapeError, r"got a row of shape"),
            ([], ShapeError, "at least one token"),
            ([0.5], DTypeError, "got dtype float64"),
            ([[[1]]], ShapeError, "expected .batch, tokens."),
        ],
        ids=str,
    )
    def test_a_wrong_prompt_is_named(self, model, prompt, error, message):
        with pytest.raises(error, match=f"input_ids: .*{message}"):
            model.generate(prompt, 3)

    def test_a_model_that_gives_nan_is_named(self, model, monkeypatch):
        nan = np.full((1, 31), np.nan, np.float32)
        monkeypatch.setattr(model, "next_logits", lambda ids, cache: nan, raising=False)
        for options in ({}, {"do_sample": True}):
            with pytest.raises(NonFiniteError, match="logits: got NaN"):
                model.generate([1], 3, **options)

    def test_banning_every_token_is_an_error(self, model):
        with pytest.raises(ConfigError, match="every token of a row is ruled out"):
            model.generate([1], 3, suppress_tokens=list(range(31)))


class TestPadding:
    """A row is the same alone, beside padding on its left, and in a list of rows."""

    @pytest.fixture
    def rows(self, rng):
        return [rng.integers(1, 31, n) for n in (5, 2, 4, 1)]

    @pytest.fixture
    def padded(self, rows):
        ids = np.zeros((4, 5), int)
        for row, target in zip(rows, ids):
            target[5 - len(row) :] = row
        return ids, ids > 0

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"repetition_penalty": 1.5, "no_repeat_ngram_size": 2},
            {"encoder_repetition_penalty": 1.5, "encoder_no_repeat_ngram_size": 2},
            {"num_beams": 3, "eos_token_id": 7},
            {"max_new_tokens": 30},
        ],
        ids=str,
    )
    def test_tokens_equal_those_of_single_rows(self, model, rows, padded, options):
        options = {"max_new_tokens": 9, **options}
        ids, mask = padded
        together = model.generate(ids, attention_mask=mask, pad_token_id=0, **options)
        np.testing.assert_array_equal(together[:, :5], ids)
        for row, found in zip(rows, together):
            alone = model.generate(row, pad_token_id=0, **options)[len(row) :]
            np.testing.assert_array_equal(found[5 : 5 + len(alone)], alone)
            assert not found[5 + len(alone) :].any()

    def test_logits_equal_those_of_single_rows(self, model, rows, padded):
        options = {"max_new_tokens": 20, "return_dict_in_generate": True, "output_logits": True}
        together = model.generate(padded[0], attention_mask=padded[1], **options).logits
        assert len(together) == 20
        for i, row in enumerate(rows):
            alone = model.generate(row, **options).logits
            for step, wanted in zip(together, alone):
                np.testing.assert_allclose(step[i], wanted[0], atol=1e-5)

    def test_a_list_of_rows_is_padded_on_the_left(self, model, rows, padded):
        wanted = model.generate(padded[0], 6, attention_mask=padded[1], pad_token_id=0)
        found = model.generate([row.tolist() for row in rows], 6, pad_token_id=0)
        np.testing.assert_array_equal(found, wanted)

    def test_padding_elsewhere_is_moved_to_the_left(self, model, rows, padded):
        right = np.full((4, 5), 9)
        for row, target in zip(rows, right):
            target[: len(row)] = row
        mask = np.arange(5) < np.array([[len(row)] for row in rows])
        found = model.generate(right, 6, attention_mask=mask, pad_token_id=0)
        wanted = model.generate(padded[0], 6, attention_mask=padded[1], pad_token_id=0)
        np.testing.assert_array_equal(found, wanted)

    def test_the_padding_id_at_the_ends_is_padding_without_a_mask(self, model, padded):
        wanted = model.generate(padded[0], 6, attention_mask=padded[1], pad_token_id=0)
        np.testing.assert_array_equal(model.generate(padded[0], 6, pad_token_id=0), wanted)
        inside = np.array([[4, 0, 5]])  # a token like others
        found = model.generate(inside, 6, pad_token_id=0)
        np.testing.assert_array_equal(found, model.generate(inside, 6))
        ends = model.generate(padded[0], 6, pad_token_id=0, eos_token_id=0)
        assert (ends[1] != wanted[1]).any()  # here it could be a real end

    def test_a_wrong_mask_is_named(self, model, padded):
        with pytest.raises(ShapeError, match=r"attention_mask: got shape .1, 2., expected .4, 5."):
            model.generate(padded[0], attention_mask=[[1, 1]])
        with pytest.raises(ShapeError, match="attention_mask: input_ids has rows of several"):
            model.generate([[1, 2], [3]], attention_mask=[[1, 1], [0, 1]])
        with pytest.raises(ShapeError, match="row 1 has no token but padding"):
            model.generate(padded[0], attention_mask=np.arange(4)[:, None] != np.ones((4, 5)))


class TestBatches:
    def test_ended_rows_leave_the_batch(self, model, rng):
        """Each computed batch is at most twice what still runs, and nothing else changes."""
        prompts = rng.integers(0, 31, (8, 3))
        free = model.generate(prompts, 14)
        ends = sorted({int(token) for token in [*free[:3, 4], *free[3:7, 6]]} - {0})
        sizes = []
        inner = type(model).next_logits

        class Counting(type(model)):
            def next_logits(self, ids, cache):
                sizes.append(len(ids))
                return inner(self, ids, cache)

        model.__class__ = Counting
        options = {"eos_token_id": ends, "pad_token_id": 0}
        try:
            output = model.generate(prompts, 14, return_dict_in_generate=True, **options)
        finally:
            model.__class__ = Counting.__bases__[0]
        for step, size in enumerate(sizes):
            running = np.count_nonzero(output.lengths > step)
            assert running <= size < 2 * running
        assert sizes[-1] < 8
        for row, found in zip(prompts, output.sequences):
            alone = model.generate(row, 14, **options)
            np.testing.assert_array_equal(found[: len(alone)], alone)

    def test_draws_of_a_row_do_not_depend_on_the_ends_of_others(self, model, prompts):
        options = {"do_sample": True, "seed": 5, "pad_token_id": 0}
        free = model.generate(prompts, 10, **options)
        end = int(free[0, 6])
        ended = model.generate(prompts, 10, eos_token_id=end, **options)
        for row, plain in zip(ended, free):
            length = next((i for i in range(5, 15) if plain[i] == end), 14) + 1
            np.testing.assert_array_equal(row[: min(length, len(row))], plain[: len(row)][:length])

    def test_several_texts_are_drawn_for_a_prompt(self, model, prompts):
        options = {"do_sample": True, "seed": 5, "temperature": 2.0}
        found = model.generate(prompts, 6, num_return_sequences=4, **options)
        assert found.shape == (12, 11)
        np.testing.assert_array_equal(found[:, :5], prompts.repeat(4, axis=0))
        assert len({tuple(row) for row in found[:4].tolist()}) > 1
        wanted = model.generate(prompts.repeat(4, axis=0), 6, **options)
        np.testing.assert_array_equal(found, wanted)

    def test_a_decoder_starts_from_its_first_id(self, model):
        wanted = model.generate([3], 5)
        np.testing.assert_array_equal(model.generate(None, 5, bos_token_id=3), wanted)
        with pytest.raises(ConfigError, match="input_ids: got None, and there is no bos_token_id"):
            model.generate(None, 5)

    def test_the_output_says_how_it_came_about(self, model, prompts):
        plain = model.generate(prompts, 6, eos_token_id=[2, 9], pad_token_id=0)
        output = model.generate(
            prompts, 6, eos_token_id=[2, 9], pad_token_id=0, repetition_penalty=1.0,
            return_dict_in_generate=True, output_scores=True, output_logits=True,
        )  # fmt: skip
        np.testing.assert_array_equal(output.sequences, plain)
        steps = output.sequences.shape[1] - 5
        assert len(output.scores) == len(output.logits) == steps == output.lengths.max()
        best = np.stack([scores.argmax(axis=-1) for scores in output.scores], axis=1)
        for row, found, length in zip(best, output.sequences[:, 5:], output.lengths):
            np.testing.assert_array_equal(row[:length], found[:length])
        drawn = model.generate(
            prompts, 6, do_sample=True, top_k=3, return_dict_in_generate=True, output_scores=True
        )
        assert all((np.isfinite(scores).sum(axis=1) == 3).all() for scores in drawn.scores)
        for row, column in zip(drawn.scores, drawn.sequences[:, 5:].T):
            assert np.isfinite(row[np.arange(3), column]).all()

    def test_lengths_count_the_prompt_or_not(self, model, prompts):
        assert model.generate(prompts).shape == (3, 25)
        assert model.generate(prompts, max_length=9).shape == (3, 9)
        end = int(model.generate(prompts[0], 1)[-1])
        for options in ({"min_new_tokens": 4}, {"min_length": 9}):
            found = model.generate(prompts[0], 12, eos_token_id=end, **options)
            assert end not in found[5:9]

    def test_time_ends_rows(self, model, prompts):
        assert model.generate(prompts, 100, max_time=1e-9).shape == (3, 6)
