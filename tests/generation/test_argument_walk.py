"""Every argument of `generate`: another value changes the output, or raises, by name."""

import inspect

import numpy as np
import pytest

from plainformer.errors import ConfigError
from plainformer.generation import GenerationConfig, TextStreamer
from plainformer.generation import generate as function
from plainformer.generation.call import Call
from plainformer.generation.config import FIELDS
from plainformer.options import names_of

from .toy import Words, decoder, encoder_decoder

PROMPT = [[3, 7, 12, 3, 7], [4, 9, 1, 4, 2]]
BEAMS = {"num_beams": 4, "eos_token_id": list(range(0, 31, 2)), "repetition_penalty": 1.5}
DRAWN = {"do_sample": True, "temperature": 2.0, "seed": 0}


def end():
    """The first token that greedy decoding writes, as an end."""
    return {"eos_token_id": int(decoder().generate(PROMPT[0], 1)[-1])}


# Argument: a value, and the arguments beside which it does something.
CHANGES = {
    "input_ids": ([[3, 7, 12, 3, 8], PROMPT[1]], {}),
    "attention_mask": ([[0, 0, 1, 1, 1], [1] * 5], {}),
    "seed": (5, DRAWN),
    "generation_config": (GenerationConfig(max_new_tokens=4), {"max_new_tokens": None}),
    "logits_processor": ([lambda ids, logits: -logits], {}),
    "stopping_criteria": ([lambda ids, scores: ids.shape[1] > 6], {}),
    "prefix_allowed_tokens_fn": (lambda prompt, ids: [1, 2], {}),
    "max_new_tokens": (5, {}),
    "max_length": (9, {"max_new_tokens": None}),
    "min_new_tokens": (3, end()),
    "min_length": (8, end()),
    "max_time": (1e-9, {}),
    "do_sample": (True, {}),
    "num_beams": (4, {"repetition_penalty": 1.5}),
    "num_return_sequences": (2, BEAMS),
    "length_penalty": (-2.0, BEAMS),
    "early_stopping": (True, {**BEAMS, "length_penalty": 2.0}),
    "temperature": (3.0, {"do_sample": True, "seed": 0}),
    "top_k": (2, DRAWN),
    "top_p": (0.2, DRAWN),
    "min_p": (0.9, DRAWN),
    "repetition_penalty": (3.0, {}),
    "encoder_repetition_penalty": (3.0, {}),
    "no_repeat_ngram_size": (1, {}),
    "encoder_no_repeat_ngram_size": (1, {"sequence_bias": [[[7], 9.0]]}),
    "bad_words_ids": ([[i] for i in range(1, 31, 2)], {}),
    "force_words_ids": ([[1, 2]], {}),
    "sequence_bias": ([[[1], 50.0]], {}),
    "forced_bos_token_id": (3, {"input_ids": [[8]]}),
    "forced_eos_token_id": (3, {}),
    "suppress_tokens": (list(range(10, 31)), {}),
    "begin_suppress_tokens": (list(range(10)), {}),
    "exponential_decay_length_penalty": ([1, 3.0], {"eos_token_id": 2}),
    "renormalize_logits": (True, {"num_beams": 3, "suppress_tokens": list(range(4, 31, 3))}),
    "bos_token_id": (4, {"input_ids": None}),
    "eos_token_id": (end()["eos_token_id"], {}),
    "pad_token_id": (1, {**end()}),
    "decoder_start_token_id": (3, {"model": encoder_decoder}),
    "decoder_input_ids": ([[3, 4], [4, 5]], {"model": encoder_decoder}),
    "stop_strings": ("<1", {"tokenizer": Words()}),
}  # fmt: skip
# Those that change what else is done, each with its own test here or beside it.
OTHERS = {"model", "use_cache", "return_dict_in_generate", "output_scores", "output_logits",
          "streamer", "tokenizer", "past_key_values"}  # fmt: skip


def run(**options):
    model = options.pop("model", decoder)()
    options = {"input_ids": PROMPT, "max_new_tokens": 10, **options}
    return model.generate(**options).tolist()


def test_every_argument_is_walked():
    call = {*names_of(Call), *inspect.signature(function).parameters}
    call -= {"options"}
    assert call | set(FIELDS) == CHANGES.keys() | OTHERS
    described = function.__doc__
    assert not [name for name in {*call, *FIELDS} if name not in described]


@pytest.mark.parametrize("name", CHANGES)
def test_another_value_changes_the_output(name):
    value, beside = CHANGES[name]
    try:
        before = run(**beside)
    except ConfigError:
        before = None  # without the argument there is nothing to start from, or it is needed
        assert name in ("bos_token_id", "stop_strings")
    assert run(**{**beside, name: value}) != before


def test_keeping_nothing_is_another_way_to_the_same(monkeypatch):
    model, sizes = decoder(), []
    inner = type(model).next_logits

    def counting(ids, cache):
        sizes.append(len(ids[0]))
        return inner(model, ids, cache)

    monkeypatch.setattr(model, "next_logits", counting, raising=False)
    cached = model.generate(PROMPT, 4)
    plain = model.generate(PROMPT, 4, use_cache=False)
    np.testing.assert_array_equal(cached, plain)
    assert sizes == [5, 1, 1, 1, 5, 6, 7, 8]


def test_a_streamer_shows_the_text():
    written = []
    decoder().generate([3], 2, streamer=TextStreamer(Words(), written.append))
    assert "".join(written) == Words().decode(decoder().generate([3], 2))


def test_outputs_are_kept_when_asked_for():
    output = decoder().generate(PROMPT, 3, return_dict_in_generate=True)
    assert output.sequences.shape == (2, 8)
    assert (output.scores, output.logits, output.sequences_scores) == (None, None, None)
    for name, field in (("output_scores", "scores"), ("output_logits", "logits")):
        output = decoder().generate(PROMPT, 3, return_dict_in_generate=True, **{name: True})
        assert len(getattr(output, field)) == 3
    output = decoder().generate(
        PROMPT, 3, num_beams=2, return_dict_in_generate=True, output_scores=True
    )
    assert output.sequences_scores.shape == (2,)


def test_what_a_cache_holds_is_not_read_again():
    model = decoder()
    cache = model.new_cache(2, 16)
    written = model.generate(PROMPT, 4, past_key_values=cache)
    np.testing.assert_array_equal(written, model.generate(PROMPT, 4))
    assert cache.lengths.tolist() == [8, 8]  # the last token was not read
    cache.crop(6)
    other = written[:, :8].copy()
    other[0, 6:], other[1, 6:] = [5, 9], [9, 5]  # another ending
    again = model.generate(other, 3, past_key_values=cache)
    np.testing.assert_array_equal(again, model.generate(other, 3))
    cache.crop(0)
    assert cache.is_empty
    np.testing.assert_array_equal(model.generate(PROMPT, 2, past_key_values=cache), written[:, :7])


def test_a_cache_that_cannot_be_used_is_named():
    model = decoder()
    full = model.new_cache(2, 16)
    model.generate(PROMPT, 2, past_key_values=full)
    reader = encoder_decoder()
    for options, message in (
        ({"past_key_values": full}, "holds 6 tokens, expected fewer than the prompt"),
        ({"past_key_values": model.new_cache(1, 16)}, "got 1 sequences for 2 prompts"),
        ({"past_key_values": model.new_cache(2, 16), "num_beams": 2}, "without num_beams"),
        ({"past_key_values": model.new_cache(2, 8)}, "has room for 8 tokens, got 9"),
        ({"past_key_values": model.new_cache(2, 99), "max_new_tokens": 12}, "room for 16"),
        ({"past_key_values": full, "use_cache": False}, "no effect with use_cache=False"),
        ({"past_key_values": full, "model": lambda: reader}, "no effect on an encoder-decoder"),
    ):
        with pytest.raises(ConfigError, match=f"past_key_values: .*{message}"):
            run(**{"max_new_tokens": 4, **options})
