"""Decoding: cached equals uncached, sampling follows its options and seed, rows end."""

import numpy as np
import pytest

from plainformer.errors import ConfigError, DTypeError, ShapeError
from plainformer.generation import Sampling, TextStreamer
from plainformer.models import GPT2Config, GPT2LMHeadModel
from plainformer.nn import KeyValueCache

SIZES = {"vocab_size": 31, "n_positions": 16, "n_embd": 12, "n_layer": 2, "n_head": 3}


@pytest.fixture(scope="module")
def model():
    """Weights large enough that the most probable token depends on the whole context."""
    made = GPT2LMHeadModel(GPT2Config(**SIZES, initializer_range=0.5, eos_token_id=None), seed=4)
    return made.eval()


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
        ],
        ids=str,
    )
    def test_options_without_effect_or_sense_are_refused(self, model, options, message):
        with pytest.raises(ConfigError, match=message):
            model.generate([1, 2], **options)

    @pytest.mark.parametrize(
        ("prompt", "error", "message"),
        [
            ([[1, 2], [3]], ShapeError, "rows of several lengths"),
            ([], ShapeError, "at least one token"),
            ([0.5], DTypeError, "got dtype float64"),
            ([[[1]]], ShapeError, "expected .batch, tokens."),
        ],
        ids=str,
    )
    def test_a_wrong_prompt_is_named(self, model, prompt, error, message):
        with pytest.raises(error, match=f"input_ids: .*{message}"):
            model.generate(prompt, 3)


class Bytes:
    """A tokenizer whose ids are UTF-8 bytes."""

    def decode(self, ids):
        return bytes(ids).decode("utf-8", errors="replace")


class TestTextStreamer:
    def stream(self, prompt, tokens, **options):
        written = []
        streamer = TextStreamer(Bytes(), written.append, **options)
        streamer.put(np.array([list(prompt.encode())]))
        for token in tokens:
            streamer.put(np.array([token]))
        streamer.end()
        return written

    def test_text_is_written_as_it_comes(self):
        assert self.stream("ab", b"cd") == ["ab", "c", "d", ""]

    def test_a_character_is_written_when_it_is_whole(self):
        assert self.stream("x", "é".encode()) == ["x", "é", ""]

    def test_an_unfinished_character_is_shown_in_the_end(self):
        assert "".join(self.stream("x", "é".encode()[:1])) == "x\ufffd"

    def test_the_prompt_can_be_left_out(self):
        assert "".join(self.stream("ab", b"cd", skip_prompt=True)) == "cd"

    def test_several_rows_are_refused(self):
        with pytest.raises(ShapeError, match="got 2 rows"):
            TextStreamer(Bytes(), print).put(np.zeros((2, 3), int))


class TestSampling:
    PROBABILITIES = np.array([0.1, 0.4, 0.2, 0.25, 0.05])

    def shares(self, draws=40_000, **options):
        """How often each token is drawn."""
        logits = np.log(self.PROBABILITIES).astype(np.float32)
        rng = np.random.Generator(np.random.Philox(key=[1, 3]))
        drawn = Sampling(**options).draw(np.tile(logits, (draws, 1)), rng)
        return np.bincount(drawn, minlength=5) / draws

    def wanted(self, kept, power=1.0):
        p = np.where(np.isin(np.arange(5), kept), self.PROBABILITIES, 0) ** power
        p[~np.isin(np.arange(5), kept)] = 0
        return p / p.sum()

    @pytest.mark.parametrize(
        ("options", "kept", "power"),
        [
            ({}, [0, 1, 2, 3, 4], 1),
            ({"top_k": 2}, [1, 3], 1),
            ({"top_p": 0.7}, [1, 2, 3], 1),
            ({"top_p": 0.6}, [1, 3], 1),
            ({"temperature": 0.5}, [0, 1, 2, 3, 4], 2),
            ({"temperature": 0.5, "top_k": 4, "top_p": 0.8}, [1, 3], 2),
        ],
        ids=str,
    )
    def test_tokens_are_drawn_as_often_as_they_should(self, options, kept, power):
        shares = self.shares(**options)
        np.testing.assert_allclose(shares, self.wanted(kept, power), atol=0.01)
        assert not shares[[i for i in range(5) if i not in kept]].any()

    def test_impossible_tokens_are_never_drawn(self):
        logits = np.array([[-np.inf, 0.0, -np.inf]], np.float32)
        rng = np.random.Generator(np.random.Philox(key=[1, 3]))
        assert {int(Sampling().draw(logits, rng)[0]) for _ in range(50)} == {1}

    def test_rows_are_drawn_apart(self):
        logits = np.full((2, 3), -50.0, np.float32)
        logits[0, 2] = logits[1, 0] = 0
        rng = np.random.Generator(np.random.Philox(key=[1, 3]))
        assert Sampling().draw(logits, rng).tolist() == [2, 0]
